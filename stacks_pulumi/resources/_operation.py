"""One operation of the engine on one resource: its deadline, its cancellation and its progress."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from stacks_pulumi._clock import Clock, is_shielded, shielded
from stacks_pulumi.errors import WaitCancelledError, WaitTimeoutError
from stacks_pulumi.resources._engine_call import EngineCall

__all__ = ["Operation", "current_operation"]

_PROGRESS_INTERVAL: Final = 1.0
"""Seconds between two lines of progress: the engine redraws no faster, and each line is a call to it."""

_local: Final = threading.local()


@dataclass
class Operation:
    """
    The context of one call of the engine.

    Attributes:
        call: The call.
        clock: Time.
        started: When it began, on the clock.
        deadline: When it has to end, on the clock.
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
        """Seconds since it began."""
        return self.clock.now() - self.started

    def cancelled(self) -> bool:
        """Whether the engine went away or cancelled the operation."""
        return not is_shielded() and not self.call.is_active()

    def check_active(self) -> None:
        """
        Continue only if the engine still waits for the result.

        Raises:
            WaitCancelledError: It does not.
        """
        if self.cancelled():
            msg = f"the engine is gone; {self.label} was cancelled after {self.elapsed():.0f} s"
            raise WaitCancelledError(msg, subject=self.label, elapsed=self.elapsed())

    def check_time(self, waiting_for: str) -> None:
        """
        Continue only before the deadline.

        Args:
            waiting_for: What it waits for, for the message.

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
        Finish the enclosed work even if the engine has gone away or the time is up: a rollback, or the second half of
        an exchange. Requests that wait for the rate limit are shielded as well.
        """
        with shielded():
            yield

    def progress(self, text: str) -> None:
        """
        Show a line beside the resource until the operation ends; not more than one a second.

        A terminal of 100 columns leaves about 25 for it, and the engine shows the time of the operation itself.
        """
        now = self.clock.now()
        if self._last_progress is None or now - self._last_progress >= _PROGRESS_INTERVAL:
            self._last_progress = now
            self.call.status(text)

    def warn(self, text: str) -> None:
        """Show a warning that stays."""
        self.call.warn(text)

    def report(self, text: str) -> None:
        """Show an error that stays, on stderr too, because the engine may be gone."""
        self.call.error(text)
        print(f"stacks-pulumi: {self.label}: {text}", file=sys.stderr, flush=True)  # noqa: T201  (the last way out)

    def inform(self, text: str) -> None:
        """Show a line that stays."""
        self.call.info(text)

    @contextlib.contextmanager
    def running(self) -> Iterator[Operation]:
        """Make it the thread's current operation, so that the client can report and end its waits."""
        _local.operation = self
        try:
            yield self
        finally:
            _local.operation = None
            if self._last_progress is not None:
                # The row of a resource that is done would keep its last line until the whole operation ends.
                self.call.status("")


def current_operation() -> Operation | None:
    """The operation that this thread is busy with."""
    return getattr(_local, "operation", None)
