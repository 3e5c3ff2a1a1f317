"""
Time as an argument.

Whatever waits takes a clock, so that tests run in no time and one knows who sleeps where.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """What the client and the waits know of time."""

    def now(self) -> float:
        """Seconds that only ever grow; for intervals and deadlines."""

    def wall(self) -> float:
        """Seconds since the Unix epoch; to compare with what the API says."""

    def sleep(self, seconds: float) -> None:
        """Wait for that long. Nothing if it is not positive."""

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait, with the condition's lock held, until it is notified or that long."""


class SystemClock:
    """The clock on the wall."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        if seconds > 0:
            time.sleep(seconds)

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait on the condition."""
        if seconds > 0:
            condition.wait(seconds)


SYSTEM_CLOCK = SystemClock()
