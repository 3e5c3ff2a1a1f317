"""
A call from the engine, and the operation that it starts, with deadline, cancellation and progress.

A host implements `EngineCall`; a call returns `Checked`, `Difference` or `Found` to the host.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar

import msgspec

from stacks_pulumi._clock import Clock, is_shielded, sleep_with_pulse
from stacks_pulumi._environment import pulumi_home
from stacks_pulumi._identifiers import name_of
from stacks_pulumi.errors import (
    ErrorCode,
    StacksError,
    UnexpectedStateError,
    WaitCancelledError,
    WaitTimeoutError,
    clean,
    with_code,
)


class EngineCall(ABC):
    """
    One call from the engine for one resource.

    Attributes:
        urn: The resource's URN; empty if it is not known.
        timeout: Seconds from `CustomTimeouts`, or `None` if the program set none.
        engine: The engine's address, which is the same for all processes of one operation; empty if it is not known.
    """

    urn: str = ""
    timeout: float | None = None
    engine: str = ""

    @property
    def name(self) -> str:
        """The resource's name in the program; empty if it is not known."""
        return name_of(self.urn)

    @property
    def asks_existence(self) -> bool:
        """
        Whether a read checks only whether the object exists (`resourceExists`). The engine then invents the resource's
        name.
        """
        return self.name.startswith("__exists__")

    def stored_inputs(self) -> Mapping[str, Any] | None:
        """During a read, return the inputs in the state; `None` if they are not known."""
        return None

    @abstractmethod
    def is_active(self) -> bool:
        """Return whether the engine still waits for the response; true if that is not known."""

    @abstractmethod
    def fail(self, message: str) -> NoReturn:
        """End the call with an error; the user sees only this message, without a traceback."""

    @abstractmethod
    def fail_keeping_id(self, id_: str, outs: Mapping[str, Any], reasons: Sequence[str]) -> NoReturn:
        """
        End a create or an update that failed part-way, and keep the resource and its id in the state.

        The engine shows the reasons. The next `up` calls `update` even if nothing differs; `destroy` deletes the
        resource.
        """

    @abstractmethod
    def fail_waiting(self, message: str) -> NoReturn:
        """End a create that must wait longer than an operation can last; nothing was created."""

    @abstractmethod
    def status(self, message: str) -> None:
        """Show a line next to the resource while its operation runs; the line disappears afterwards."""

    @abstractmethod
    def info(self, message: str) -> None:
        """Show a line that stays in the output of the operation."""

    @abstractmethod
    def warn(self, message: str) -> None:
        """Show a warning that stays in the output of the operation."""

    @abstractmethod
    def error(self, message: str) -> None:
        """Show an error next to the resource; it does not end the operation."""

    @abstractmethod
    def debug(self, message: str) -> None:
        """Show a line that the user sees only with `--debug`."""


class Checked(msgspec.Struct, frozen=True):
    """
    The result of `check`.

    Attributes:
        inputs: The valid inputs, in their normal form.
        failures: The problems, by property.
    """

    inputs: dict[str, Any]
    failures: dict[str, str]


class Difference(msgspec.Struct, frozen=True):
    """
    The result of `diff`.

    Attributes:
        changes: Whether an update or a replacement is needed.
        fields: The inputs that have changed.
        replaces: The changed inputs that require a replacement.
        delete_before_replace: Whether a replacement deletes the old object first.
    """

    changes: bool
    fields: list[str]
    replaces: list[str]
    delete_before_replace: bool


class Found(msgspec.Struct, frozen=True):
    """
    The result of `read`.

    Attributes:
        outs: The outputs.
        inputs: The inputs with the API's values, so that the next preview shows drift.
    """

    outs: dict[str, Any]
    inputs: dict[str, Any]


_PROGRESS_INTERVAL: Final = 1.0
"""Seconds between two progress lines: the engine does not redraw more often, and each line is a call to the engine."""

_LIMIT_STEP: Final = 10
"""
The wait for the rate limit is shown in steps of this many seconds: without a terminal, each new text adds a line for
each resource.
"""

_PAUSE: Final = 2.0

_T = TypeVar("_T")
_local: Final = threading.local()


def limit_text(seconds: float) -> str:
    """Return the progress line for the longest possible wait for the rate limit."""
    return f"rate limit: {_LIMIT_STEP * math.ceil(seconds / _LIMIT_STEP)} s"


class Operation(msgspec.Struct):
    """
    The context of one call from the engine.

    Attributes:
        call: The call.
        clock: The clock to wait with.
        started: The start time, by the clock.
        deadline: The time by which it must end, by the clock.
    """

    call: EngineCall
    clock: Clock
    started: float
    deadline: float
    _last_progress: float | None = None
    _shown: str = ""

    @property
    def label(self) -> str:
        """The resource's name in the program."""
        return self.call.name

    @property
    def quoted_urn(self) -> str:
        """The resource's URN quoted for a shell command, because its name may contain quotes."""
        return "'" + self.call.urn.replace("'", "'\"'\"'") + "'"

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return self.clock.now() - self.started

    def cancelled(self) -> bool:
        """Return whether the engine has ended or has cancelled the operation."""
        return not is_shielded() and not self.call.is_active()

    def check_active(self) -> None:
        """
        Check that the engine still waits for the result.

        Raises:
            WaitCancelledError: The engine no longer waits.
        """
        if self.cancelled():
            msg = f"the engine has ended; {self.label} was cancelled after {self.elapsed():.0f} s"
            raise WaitCancelledError(msg, subject=self.label, elapsed=self.elapsed())

    def check(self, waiting_for: str) -> None:
        """
        Check that the engine still waits for the result, and that the deadline has not passed.

        Raises:
            WaitCancelledError: The engine no longer waits.
            WaitTimeoutError: The deadline has passed.
        """
        self.check_active()
        if self.clock.now() >= self.deadline and not is_shielded():
            msg = (
                f"{self.label}: timed out after {self.elapsed():.0f} s, while it waited for {waiting_for} "
                "(custom_timeouts allows more time)"
            )
            raise WaitTimeoutError(msg, subject=self.label, elapsed=self.elapsed())

    def look_until(
        self, wanted: Callable[[_T], object], look: Callable[[], _T], *, seconds: float, waiting: str
    ) -> _T:
        """
        Call `look` repeatedly. Return its result as soon as `wanted` accepts it, or the last result after `seconds`.
        """
        until = min(self.clock.now() + seconds, self.deadline)
        while True:
            # Read the clock before the look. Otherwise, the last look could be earlier than `until`.
            is_last = self.clock.now() >= until
            seen = look()
            if is_last or wanted(seen):
                return seen
            self.progress(waiting)
            sleep_with_pulse(min(_PAUSE, max(until - self.clock.now(), 0.0)), self.clock, self.check_active)

    def second_look(self, id_: str, why: str) -> Callable[[], None]:
        """
        Return the function to call during the wait before a second check; `why` is its reason, such as `is not listed`.
        """

        def pulse() -> None:
            self.check(f"a second look for {id_}, which {why}")
            self.progress(f"{why.removeprefix('is ').removeprefix('has ')}: looking again")

        return pulse

    def progress(self, text: str) -> None:
        """
        Show a line next to the resource until the operation ends; at most one line a second.

        In a terminal of 100 columns, the line has about 25 columns. The engine itself shows the duration of the
        operation. Without a terminal, for instance in CI, each line stays, so a repeated text is shown only once.
        """
        now = self.clock.now()
        is_due = self._last_progress is None or now - self._last_progress >= _PROGRESS_INTERVAL
        if is_due and text != self._shown:
            self._last_progress, self._shown = now, text
            self.call.status(text)

    def warn(self, text: str) -> None:
        self.call.warn(text)

    def report(self, message: str, code: ErrorCode = "rollback-failed") -> None:
        """
        Show an error that stays in the output, to report an object that is left in the account. It is also written to
        stderr, because the engine may have ended.
        """
        text = with_code(message, code)
        print(clean(f"stacks-pulumi: {self.label}: {text}"), file=sys.stderr, flush=True)  # noqa: T201  (works without the engine)
        self.call.error(text)

    def inform(self, text: str) -> None:
        self.call.info(text)

    @contextlib.contextmanager
    def running(self) -> Iterator[Operation]:
        """Make this the thread's current operation, so that the client can show its waits and cancel them."""
        _local.operation = self
        try:
            yield self
        finally:
            _local.operation = None
            if self._last_progress is not None:
                # Otherwise the finished resource would show its last line until the end of the `up`.
                self.call.status("")


def current_operation() -> Operation | None:
    """Return the current operation of this thread, or `None`."""
    return getattr(_local, "operation", None)


# --- what the provider processes of one engine share ---

_KEPT: Final = 3 * 3600.0
"""Seconds for which a file is valid: its name is the engine's port, which a later engine may use again."""


def record_adoption(engine: str, kind: str, id_: str, token: str | None) -> None:
    """
    Record that the object was adopted. All provider processes with the same engine address can read the record.

    Each explicit provider has a separate process, with its own register of owners. In one `up`, a program may move a
    container to a resource of a different provider, without an alias. Then one process adopts the container, and the
    other would delete it. No-op without an engine, because then no other process exists.
    """
    file = _file(engine)
    if file is None:
        return
    # If the folder cannot be written, the adoption continues; only the protection between processes is lost.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for other in file.parent.iterdir():
            if _is_old(other):
                other.unlink(missing_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{kind} {token} {id_}\n")


def adopted_elsewhere(engine: str, kind: str, id_: str, token: str | None) -> bool:
    """Return whether a resource with a different token has adopted the object in this operation."""
    file = _file(engine)
    if file is None:
        return False
    try:
        if _is_old(file):
            return False
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    entries = [line.split(" ", maxsplit=2) for line in lines]
    tokens = [entry[1] for entry in entries if len(entry) == 3 and (entry[0], entry[2]) == (kind, id_)]
    return bool(tokens) and tokens[-1] != str(token)


def _is_old(file: Path) -> bool:
    return time.time() - file.stat().st_mtime > _KEPT


def _file(engine: str) -> Path | None:
    if not engine:
        return None
    return pulumi_home() / "stacks-adoptions" / engine.rpartition(":")[2]


def reason_of(error: StacksError, timeout: Literal["create", "update"]) -> str:
    """
    Return the reason why a wait for a container ended, as text for a message. `timeout` is the name of the timeout that
    the user can increase.
    """
    if isinstance(error, WaitTimeoutError) and error.last_state is not None:
        return (
            f'it is still "{error.last_state}" after {error.elapsed:.0f} s (timed out; '
            f'custom_timeouts=pulumi.CustomTimeouts({timeout}="30m") allows more time)'
        )
    if isinstance(error, UnexpectedStateError):
        return f'its status is "{error.last_state}" after {error.elapsed:.0f} s'
    return error.message
