"""
What began on this machine, how did it end, and which change is made at the moment?

A killed `apply` leaves no entry in the stack's history. So what begins is written down on this machine before it
begins, and is removed at its end.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import msgspec

from stacks_pulumi._environment import without_secrets
from stacks_pulumi._pulumi_cli import InputError, read, read_file, read_stack
from stacks_pulumi.errors import ErrorCode, StacksError
from stacks_pulumi.gate import record as records
from stacks_pulumi.gate.record import Record, RefusedError

if TYPE_CHECKING:
    from stacks_pulumi._pulumi_cli import Event, ResourceEvent

_DAY: Final = datetime.timedelta(hours=24)
_UNKNOWN: Final = ("[outcome-unknown]", "[rollback-failed]")
"""The codes of errors after which something may exist that is in no state."""
_CODES: Final = tuple(f"[{code}]" for code in get_args(ErrorCode))
_MAKES: Final = frozenset({"create", "create-replacement"})


class Begun(msgspec.Struct, frozen=True):
    """
    An `apply` that began, and whose end is not known.

    Attributes:
        record: The record's digest.
        stack: The stack's full name.
        at: When it began.
        increase: The most that it adds to the monthly price; `None` without a bound.
        engine: The process id of its engine; 0 before it starts.
        creates: The monthly price of each container that it creates, by its name.
    """

    record: str
    stack: str
    at: datetime.datetime
    increase: Decimal | None
    engine: int = 0
    creates: dict[str, Decimal] = {}


def home() -> Path:
    """Return the folder with the gate's lock, and with what began on this machine and has no end."""
    base = Path(os.environ.get("XDG_STATE_HOME") or "")
    root = base if base.is_absolute() else Path.home() / ".local" / "state"
    return root / "stacks-pulumi" / "gate"


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """
    Hold the lock of this machine: budgets over several stacks hold only if one change after the other is judged.

    It ends with this process. The engine does not have it, because its plugins would have it too, and a kill may leave
    some of them.

    Raises:
        InputError: The file cannot be written.
    """
    file = home() / "lock"
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}", code="file-access") from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stderr.write(f"stacks-pulumi gate: waiting for another change on this machine ({file})\n")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def begin(record: Record, begun: Begun) -> None:
    """
    Write down that an update begins: if it is killed, its approval is void and it counts in full.

    Raises:
        InputError: A file cannot be written.
    """
    for file, old in _all_begun():
        # What began more than a day ago counts no longer.
        if old is not None and old.at <= begun.at - _DAY and not _is_running(old):
            file.unlink(missing_ok=True)
    write(begun)
    records.put(record.folder, records.STARTED, msgspec.json.encode(begun))


def write(begun: Begun) -> None:
    """
    Write down an update that began.

    Raises:
        InputError: The file cannot be written.
    """
    file = _file(begun.record)
    records.put(file.parent, file.name, msgspec.json.encode(begun))


def end(record: Record, *, changed: bool = False) -> None:
    """Write down that an update has ended; if it has changed nothing, its record can be applied again."""
    _file(record.digest).unlink(missing_ok=True)
    if not changed:
        (record.folder / records.STARTED).unlink(missing_ok=True)


def has_begun(record: Record) -> bool:
    """Return whether an `apply` of a record began on this machine and has no end, from whatever copy of the record."""
    return _file(record.digest).exists()


def unfinished(now: datetime.datetime) -> list[Begun]:
    """Return the updates that began in the last 24 hours and have no end."""
    # For one that cannot be read, any increase is possible.
    begun = [one or Begun("", "", now, None) for _, one in _all_begun()]
    return [one for one in begun if one.at > now - _DAY]


def check_idle() -> None:
    """
    Refuse to begin while the engine of a killed `apply` runs.

    Raises:
        RefusedError: It runs.
    """
    for _, one in _all_begun():
        if one is not None and _is_running(one):
            raise RefusedError(
                f"the engine of an `apply` that was killed still changes the stack {one.stack} (process {one.engine}): "
                "wait for its end",
                names_others=True,
            )


def is_refused(events: Path) -> bool:
    """Return whether a policy stopped an update. The engine ends with the same exit code after other failures."""
    told = (line.policy_event for line in _events(events))
    return any(one and one.enforcement_level == "mandatory" and not one.exceptions for one in told)


def is_unknown(events: Path, export: Callable[[], bytes] | None) -> bool:
    """
    Return whether an operation of an update has ended without a known result, or may have.

    Each error of a provider of ours has a code. A create that has failed without one, or that the state does not have,
    may have made something: the provider was killed, or the state could not be written.

    Args:
        events: The file with the events of the update.
        export: Returns the export of the stack; `None` if the update has succeeded.
    """
    lines = _events(events)
    if not lines and events.is_file() and events.stat().st_size > 0:
        return True  # the disk was full, and what is missing may say it
    said = [one.diagnostic_event for one in lines if one.diagnostic_event is not None]
    if any(code in one.message for one in said for code in _UNKNOWN):
        return True
    begun = _makes(one.resource_pre_event for one in lines)
    unexplained = begun - {one.urn for one in said if any(code in one.message for code in _CODES)}
    if export is None or not unexplained:
        return False
    try:
        there = {one.urn for one in read_stack(export()).resources}
    except StacksError:
        return True
    return not unexplained <= there & _makes(one.res_outputs_event for one in lines)


def _makes(events: Iterable[ResourceEvent | None]) -> set[str]:
    """Return the URNs of our resources that are created in these events, and not in the preview before them."""
    steps = [one.metadata for one in events if one is not None and not one.planning]
    return {one.urn for one in steps if one.op in _MAKES and one.new is not None and one.new.kind is not None}


def _events(file: Path) -> list[Event]:
    """Return the events of an update; none if they cannot be read."""
    try:
        document = read(read_file(file))
    except InputError:
        return []
    return document if isinstance(document, list) else []


def _is_running(one: Begun) -> bool:
    return one.engine != 0 and is_running(one.engine)


def _file(digest: str) -> Path:
    return home() / f"begun-{records.digest_of(digest.encode())[:32]}.json"


def _all_begun() -> list[tuple[Path, Begun | None]]:
    """Return the updates that began on this machine and have no end, each with its file; `None` if it is damaged."""
    found: list[tuple[Path, Begun | None]] = []
    for file in sorted(home().glob("begun-*.json")):
        try:
            found.append((file, msgspec.json.decode(file.read_bytes(), type=Begun)))
        except (OSError, msgspec.DecodeError):
            found.append((file, None))
    return found


def is_running(pid: int) -> bool:
    """Return whether a process is an engine that runs; true also if that cannot be found out."""
    process = Path("/proc", str(pid))
    try:
        if process.parent.joinpath("self").exists():
            # The name is in brackets, and may have spaces.
            name, _, rest = process.joinpath("stat").read_text(errors="replace").rpartition(")")
            return "pulumi" in name and not rest.lstrip().startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return False
    try:
        listed = subprocess.run(  # noqa: S603  (a number)
            ["ps", "-o", "stat=,comm=", "-p", str(pid)],  # noqa: S607  (found on PATH)
            env=without_secrets(),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return True
    state, _, command = listed.stdout.strip().partition(" ")
    return "pulumi" in command and not state.startswith("Z")
