"""One operation of the engine on one resource: how long it may take, who listens, and what they see meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from stacks_pulumi._clock import Clock
from stacks_pulumi.errors import StacksError, WaitCancelledError, WaitTimeoutError
from stacks_pulumi.resources import _host

__all__ = ["Operation", "current_operation"]

_PROGRESS_INTERVAL: Final = 1.0
"""Seconds between two lines of progress: the engine redraws no faster, and each line is a call to it."""

_local: Final = threading.local()


@dataclass
class Operation:
    """
    What a provider's method needs to know of the call that it serves.

    Attributes:
        call: The gRPC call.
        clock: Time.
        started: When it began, on the clock.
        deadline: When it has to end, on the clock.
    """

    call: _host.Call
    clock: Clock
    started: float
    deadline: float
    _last_progress: float | None = field(default=None, repr=False)
    _undoing: bool = field(default=False, repr=False)

    @property
    def label(self) -> str:
        """The resource's name in the program."""
        return self.call.name

    def elapsed(self) -> float:
        """Seconds since it began."""
        return self.clock.now() - self.started

    def cancelled(self) -> bool:
        """Whether the engine went away or called it off."""
        return not self._undoing and not self.call.is_active()

    def check_active(self) -> None:
        """
        Go on only if somebody still waits for the result.

        Raises:
            WaitCancelledError: Nobody does.
        """
        if self.cancelled():
            msg = f"the engine is gone; {self.label} was given up after {self.elapsed():.0f} s"
            raise WaitCancelledError(msg, subject=self.label, elapsed=self.elapsed())

    def check_time(self, waiting_for: str) -> None:
        """
        Go on only while there is time.

        Args:
            waiting_for: What it waits for, for the message.

        Raises:
            WaitTimeoutError: There is none left.
        """
        if self.clock.now() >= self.deadline and not self._undoing:
            msg = (
                f"{self.label}: the time was up after {self.elapsed():.0f} s, while it waited for {waiting_for} "
                "(custom_timeouts gives it more)"
            )
            raise WaitTimeoutError(msg, subject=self.label, elapsed=self.elapsed())

    @contextlib.contextmanager
    def undoing(self) -> Iterator[None]:
        """
        While what was made is taken back, because nobody is left to tell of it; best effort.

        That nobody listens calls off everything else, a request that waits for the rate limit included, but not this.
        """
        before, self._undoing = self._undoing, True
        try:
            with contextlib.suppress(StacksError):
                yield
        finally:
            self._undoing = before

    def progress(self, text: str) -> None:
        """Show a line beside the resource until the operation ends; not more than one a second."""
        now = self.clock.now()
        if self._last_progress is None or now - self._last_progress >= _PROGRESS_INTERVAL:
            self._last_progress = now
            _host.engine().status(self.call.urn, text)

    def warn(self, text: str) -> None:
        """Show a warning that stays."""
        _host.engine().warn(self.call.urn, text)

    def inform(self, text: str) -> None:
        """Show a line that stays."""
        _host.engine().info(self.call.urn, text)

    @contextlib.contextmanager
    def running(self) -> Iterator[Operation]:
        """Make it the thread's current operation, so that a wait deep in the client can say for whom it waits."""
        _local.operation = self
        try:
            yield self
        finally:
            _local.operation = None
            if self._last_progress is not None:
                # The row of a resource that is done would keep its last line until the whole operation ends.
                _host.engine().status(self.call.urn, "")


def current_operation() -> Operation | None:
    """The operation that this thread is busy with."""
    return getattr(_local, "operation", None)
