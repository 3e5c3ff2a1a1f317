"""One operation of the engine on one resource: its deadline, its cancellation and its progress."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from stacks_pulumi._clock import Clock, is_shielded, shielded
from stacks_pulumi.error_codes import with_code
from stacks_pulumi.errors import WaitCancelledError, WaitTimeoutError
from stacks_pulumi.resources._engine_call import EngineCall

__all__ = ["Operation", "current_operation"]

_PROGRESS_INTERVAL: Final = 1.0
"""Seconds between two lines of progress: the engine does not redraw faster, and each line is a call to it."""

_local: Final = threading.local()


@dataclass
class Operation:
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
    _last_progress: float | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """The resource's name in the program."""
        return self.call.name

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
            msg = f"the engine is gone; {self.label} was cancelled after {self.elapsed():.0f} s"
            raise WaitCancelledError(msg, subject=self.label, elapsed=self.elapsed())

    def check_time(self, waiting_for: str) -> None:
        """
        Check that the deadline has not passed.

        Args:
            waiting_for: The reason for the wait, for the message.

        Raises:
            WaitTimeoutError: The deadline has passed.
        """
        if self.clock.now() >= self.deadline and not is_shielded():
            msg = (
                f"{self.label}: timed out after {self.elapsed():.0f} s, while it waited for {waiting_for} "
                "(custom_timeouts allows more time)"
            )
            raise WaitTimeoutError(msg, subject=self.label, elapsed=self.elapsed())

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """
        Finish the enclosed work even if the engine has ended or the deadline has passed: for a rollback, or for the
        second half of an exchange. Requests that wait for the rate limit are shielded as well.
        """
        with shielded():
            yield

    def progress(self, text: str) -> None:
        """
        Show a line beside the resource until the operation ends; at most one line a second.

        In a terminal of 100 columns, about 25 are left for it. The engine itself shows the duration of the operation.
        """
        now = self.clock.now()
        if self._last_progress is None or now - self._last_progress >= _PROGRESS_INTERVAL:
            self._last_progress = now
            self.call.status(text)

    def warn(self, text: str) -> None:
        """Show a warning that stays."""
        self.call.warn(text)

    def report(self, message: str) -> None:
        """Show an error that stays, on stderr too, because the engine may be gone: something is left in the account."""
        text = with_code(message, "rollback-failed")
        self.call.error(text)
        print(f"stacks-pulumi: {self.label}: {text}", file=sys.stderr, flush=True)  # noqa: T201  (works without the engine)

    def inform(self, text: str) -> None:
        """Show a line that stays."""
        self.call.info(text)

    @contextlib.contextmanager
    def running(self) -> Iterator[Operation]:
        """Make it the thread's current operation, so that the client can show its waits and end them."""
        _local.operation = self
        try:
            yield self
        finally:
            _local.operation = None
            if self._last_progress is not None:
                # Otherwise the finished resource would show its last line until the whole `up` ends.
                self.call.status("")


def current_operation() -> Operation | None:
    """Return the current operation of this thread, or `None`."""
    return getattr(_local, "operation", None)
