"""The stacks of a Pulumi backend, asked through the `pulumi` command: listed once, exported side by side."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from stacks_pulumi.account.states import StackState, read_export
from stacks_pulumi.cost.documents import InputError

__all__ = ["Run", "Stacks", "Unread", "from_backend", "from_files", "pulumi", "tagged"]

Run = Callable[[Sequence[str]], bytes]
"""Runs `pulumi` with these arguments and returns its standard output; raises InputError if it fails."""

_AT_ONCE: Final = 4
_TIMEOUT: Final = 120.0


class _Listed(msgspec.Struct, rename="camel"):
    name: str
    update_in_progress: bool = False


@dataclass(frozen=True)
class Unread:
    """
    A stack that could not be read whole.

    Attributes:
        stack: Its name, or the file's.
        error: Why.
    """

    stack: str
    error: str


@dataclass(frozen=True)
class Stacks:
    """
    The stacks that an account is compared with.

    Attributes:
        read: Those that were read whole.
        unread: The others.
        source: Where they come from, for people.
        notes: What a reader has to know of them.
    """

    read: tuple[StackState, ...] = ()
    unread: tuple[Unread, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = field(default=())


def pulumi(arguments: Sequence[str]) -> bytes:
    """
    Run the Pulumi engine.

    Raises:
        InputError: It is not installed, fails, or does not end.
    """
    command = shutil.which("pulumi")
    if command is None:
        raise InputError(
            "the command `pulumi` is not on the PATH, so its stacks cannot be listed: install it, or hand in exports "
            "with --state FILE"
        )
    try:
        done = subprocess.run(  # noqa: S603  (the arguments are ours and names that the engine itself listed)
            [command, *arguments, "--non-interactive"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"`pulumi {' '.join(arguments[:2])}` did not end within {_TIMEOUT:.0f} s") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = next((line.removeprefix("error: ") for line in said if line.strip()), "it gives no reason")
        raise InputError(f"`pulumi {' '.join(arguments[:2])}` failed: {reason}")
    return done.stdout


def from_backend(run: Run = pulumi) -> Stacks:
    """
    Read every stack of the backend that `pulumi` is logged in to.

    Raises:
        InputError: The stacks cannot be listed.
    """
    listed = _listed(run(["stack", "ls", "--all", "--json"]))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = list(pool.map(lambda stack: _exported(stack, run), listed))
    return Stacks(
        tuple(result for result in results if isinstance(result, StackState)),
        tuple(result for result in results if isinstance(result, Unread)),
        "the backend's stacks",
    )


def tagged(name: str, value: str, run: Run = pulumi) -> frozenset[str]:
    """
    Return what `pulumi --stack` takes for each stack with this tag.

    Raises:
        InputError: The backend cannot say.
    """
    return frozenset(
        stack.name for stack in _listed(run(["stack", "ls", "--all", "--json", "--tag", f"{name}={value}"]))
    )


def from_files(paths: Sequence[Path]) -> Stacks:
    """Read exports from files."""
    results = [_from_file(path) for path in paths]
    read = [
        (path, result) for path, result in zip(paths, results, strict=True) if isinstance(result, StackState)
    ]
    names = [state.name for _, state in read]
    twice = sorted({name for name in names if names.count(name) > 1})
    notes = [
        f"more than one file is an export of {name}: if they are of one stack, hand in the latest alone"
        for name in twice
    ]
    return Stacks(
        tuple(
            _renamed(state, f"{state.name} ({path})") if state.name in twice else state
            for path, state in read
        ),
        tuple(result for result in results if isinstance(result, Unread)),
        "the exports that were handed in",
        tuple(notes),
    )


def _listed(data: bytes) -> list[_Listed]:
    try:
        return msgspec.json.decode(data or b"[]", type=list[_Listed])
    except msgspec.DecodeError as error:
        raise InputError(
            f"what `pulumi stack ls --json` wrote cannot be read ({error}): hand in exports with --state FILE"
        ) from None


def _exported(stack: _Listed, run: Run) -> StackState | Unread:
    if stack.update_in_progress:
        return Unread(stack.name, "an update is running, and what it creates is not in its state yet")
    try:
        return read_export(run(["stack", "export", "--stack", stack.name]), stack.name)
    except InputError as error:
        return Unread(stack.name, str(error))


def _from_file(path: Path) -> StackState | Unread:
    try:
        return read_export(path.read_bytes())
    except InputError as error:
        return Unread(str(path), str(error))
    except OSError as error:
        return Unread(str(path), error.strerror or str(error))


def _renamed(state: StackState, name: str) -> StackState:
    managed = tuple(replace(one, stack=name) for one in state.managed)
    interrupted = tuple(replace(one, stack=name) for one in state.interrupted)
    return StackState(name, state.project, state.ref, managed, interrupted)
