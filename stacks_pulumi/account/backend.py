"""Reads the stacks of a Pulumi backend with the `pulumi` command: one list, then several exports concurrently."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from stacks_pulumi._pulumi_cli import PulumiError, find_project, read_project, run
from stacks_pulumi._pulumi_output import InputError
from stacks_pulumi.account.states import Managed, StackState, read_export
from stacks_pulumi.errors import StacksError
from stacks_pulumi.pricing.money import count

__all__ = ["Stacks", "Unread", "caught_up", "from_backend", "from_files", "tagged"]

_AT_ONCE: Final = 4
_FEW: Final = 8
"""Up to this number, exports take only seconds, so no line announces them."""


class _Listed(msgspec.Struct, rename="camel", frozen=True):
    name: str
    last_update: str = ""
    update_in_progress: bool = False


@dataclass(frozen=True)
class Unread:
    """
    A stack that could not be read completely.

    Attributes:
        stack: The name of the stack or of the file.
        error: Why it could not be read.
    """

    stack: str
    error: str


_Result: TypeAlias = StackState | Unread


@dataclass(frozen=True)
class Stacks:
    """
    The stacks that an account is compared with.

    Attributes:
        read: The stacks that were read, completely or in part.
        unread: The stacks that were not read completely.
        source: Where the stacks come from, for messages.
        notes: Notes on them for the reader.
        listed: The result of each stack in the backend's list; empty for files.
    """

    read: tuple[StackState, ...] = ()
    unread: tuple[Unread, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    listed: Mapping[_Listed, _Result] = field(default_factory=dict)


def from_backend() -> Stacks:
    """
    Read every stack of the backend that `pulumi` is logged in to.

    Raises:
        InputError: The stacks cannot be listed.
    """
    listed = _list()
    if len(listed) > _FEW:
        sys.stderr.write(f"reading {count(len(listed), 'stack')} of the backend\n")
    return _of_backend(dict(zip(listed, _exports(listed), strict=True)))


def caught_up(stacks: Stacks) -> Stacks:
    """
    Return the stacks with the changes that were made since they were read.

    An account is read between two reads of the states. If only one of them has a resource, it was created or deleted
    during that time, so it is neither an orphan nor missing.

    Raises:
        InputError: The stacks cannot be listed.
    """
    if not stacks.listed:
        return stacks
    before = {listed.name: result for listed, result in stacks.listed.items()}
    now = _list()
    changed = [listed for listed in now if listed not in stacks.listed]
    results = dict(stacks.listed)
    for listed, result in zip(changed, _exports(changed), strict=True):
        results = {one: kept for one, kept in results.items() if one.name != listed.name}
        results[listed] = _joined(before.get(listed.name), result)
    for listed in results.keys() - set(now):
        # The stack was removed from the backend, after its resources.
        kept = results[listed]
        if isinstance(kept, StackState):
            results[listed] = _joined(kept, StackState(kept.name, kept.project, kept.ref))
    return _of_backend(results)


def _joined(before: _Result | None, now: _Result) -> _Result:
    """Return the current state of a stack, together with the resources that it had before."""
    if isinstance(now, Unread) or isinstance(before, Unread):
        return now if isinstance(now, Unread) else Unread(now.name, "an update was running while it was read")
    if before is None:
        before = StackState(now.name, now.project, now.ref)
    earlier, later = _by_identity(before.managed), _by_identity(now.managed)
    managed = tuple(
        replace(one, in_transit=not (key in earlier and key in later))
        for key, one in {**earlier, **later}.items()
    )
    interrupted = tuple(dict.fromkeys((*before.interrupted, *now.interrupted)))
    return replace(now, managed=managed, interrupted=interrupted)


def _by_identity(managed: Iterable[Managed]) -> dict[tuple[str, ...], Managed]:
    return {(one.urn, one.id, one.created_at or "", str(one.left_over)): one for one in managed}


def _of_backend(results: Mapping[_Listed, _Result]) -> Stacks:
    read, unread = _parted(results.values())
    notes = (
        ()
        if results
        else ("the backend has no stacks: see with `pulumi whoami -v` whether it is the right one",)
    )
    return Stacks(read, unread, "the backend's stacks", notes, results)


def _parted(results: Iterable[_Result]) -> tuple[tuple[StackState, ...], tuple[Unread, ...]]:
    """Return the stacks that were read, and those that were not read completely."""
    results = list(results)
    read = tuple(result for result in results if isinstance(result, StackState))
    unread = [result for result in results if isinstance(result, Unread)]
    return read, (*unread, *(Unread(state.name, state.gap) for state in read if state.gap))


def tagged(name: str, value: str) -> frozenset[str]:
    """
    Return the name for `pulumi --stack` of each stack with this tag.

    Raises:
        InputError: The backend cannot list them.
    """
    return frozenset(stack.name for stack in _list("--tag", f"{name}={value}"))


def from_files(paths: Sequence[Path]) -> Stacks:
    """Read exports from files. If several are of one stack, the latest is used."""
    results = {path: _from_file(path) for path in paths}
    latest = sorted(
        ((path, state) for path, state in results.items() if isinstance(state, StackState)),
        key=lambda one: one[1].saved_at,
        reverse=True,
    )
    notes = []
    for position, (path, state) in enumerate(latest):
        later = next((file for file, other in latest[:position] if _is_one_stack(state, other)), None)
        if later is not None:
            del results[path]
            notes.append(
                f"{path} is left out: {later} is an export of the same stack, {state.name}, and not older"
            )
    read, unread = _parted(results.values())
    names = [state.name for state in read]
    notes += [
        f"more than one file is an export of a stack {name}: they share no resource, and count as different stacks"
        for name in dict.fromkeys(name for name in names if names.count(name) > 1)
    ]
    told_apart = (
        _renamed(state, f"{state.name} ({path})") if names.count(state.name) > 1 else state
        for path, state in results.items()
        if isinstance(state, StackState)
    )
    return Stacks(tuple(told_apart), unread, "the exports in --state", tuple(notes))


def _is_one_stack(one: StackState, other: StackState) -> bool:
    """Whether two exports have a resource in common."""
    return one.name == other.name and not {
        (resource.urn, resource.id) for resource in one.managed
    }.isdisjoint((resource.urn, resource.id) for resource in other.managed)


def _list(*options: str) -> list[_Listed]:
    try:
        return msgspec.json.decode(
            run(["stack", "ls", "--all", "--json", *options]) or b"[]", type=list[_Listed]
        )
    except (PulumiError, msgspec.DecodeError) as error:
        why = error.message if isinstance(error, PulumiError) else error
        raise PulumiError(
            f"`pulumi stack ls` failed ({why}): correct that, or pass files that `pulumi stack export` wrote, with "
            "--state FILE"
        ) from None


def _exports(listed: Sequence[_Listed]) -> list[_Result]:
    file = find_project(Path.cwd())
    project = "" if file is None else str(read_project(file).get("name", ""))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda stack: _exported(stack, project), listed))


def _exported(stack: _Listed, project: str) -> _Result:
    if stack.update_in_progress:
        return Unread(stack.name, "an update is running, and what it creates is not in its state yet")
    try:
        return read_export(run(["stack", "export", "--stack", stack.name]), stack.name, project)
    except StacksError as error:
        return Unread(stack.name, error.message)


def _from_file(path: Path) -> _Result:
    try:
        return read_export(path.read_bytes())
    except InputError as error:
        return Unread(str(path), error.message)
    except OSError as error:
        return Unread(str(path), error.strerror or str(error))


def _renamed(state: StackState, name: str) -> StackState:
    managed = tuple(replace(one, stack=name) for one in state.managed)
    interrupted = tuple(replace(one, stack=name) for one in state.interrupted)
    return replace(state, name=name, managed=managed, interrupted=interrupted)
