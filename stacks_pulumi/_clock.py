"""
Time as an argument, and waiting that can be cancelled.

Everything that waits takes a clock, so that tests need no real time.

A *pulse* is a function that is called again and again during a wait. It raises to end the wait: the operation was
cancelled, or its time is up. After a request whose outcome is unknown, the look that finds the outcome must not end
like that, or a resource would be lost. That code runs inside `shielded()`, where no pulse is called.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

__all__ = [
    "SYSTEM_CLOCK",
    "Clock",
    "Pulse",
    "SystemClock",
    "beat",
    "is_shielded",
    "shielded",
    "sleep_with_pulse",
    "wait_while",
]

Pulse = Callable[[], None]
"""Called at least twice a second during a wait, without any lock held; what it raises ends the wait."""

_STEP: Final = 0.5
_local: Final = threading.local()


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


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Call no pulse in this thread while inside: neither a cancellation nor a deadline ends a wait."""
    before = is_shielded()
    _local.shielded = True
    try:
        yield
    finally:
        _local.shielded = before


def is_shielded() -> bool:
    """Return whether this thread is inside `shielded()`."""
    return getattr(_local, "shielded", False)


def beat(pulse: Pulse | None) -> None:
    """Call the pulse, unless there is none or this thread is shielded. Every pulse is called here."""
    if pulse is not None and not is_shielded():
        pulse()


def wait_while(
    blocked: Callable[[], float], changed: threading.Condition, clock: Clock, pulse: Pulse | None = None
) -> None:
    """
    Wait until `blocked` returns 0 or false.

    Args:
        blocked: Called with the lock held, after every notification and at least twice a second. Returns the number of
            seconds after which it can become free by itself, or true if only a notification can free it.
        changed: Its lock is held by the caller, once. It is notified whenever `blocked` may return something else.
        clock: Time.
        pulse: Called immediately and then at least twice a second while blocked, with the lock released.
    """
    pulse_at = -math.inf
    while seconds := blocked():
        now = clock.now()
        if now < pulse_at:
            clock.wait(changed, min(seconds, pulse_at - now))
            continue
        pulse_at = now + _STEP
        changed.release()
        try:
            beat(pulse)
        finally:
            changed.acquire()


def sleep_with_pulse(seconds: float, clock: Clock, pulse: Pulse | None = None) -> None:
    """Sleep, and call the pulse immediately and then at least twice a second; what it raises ends the sleep."""
    wake = clock.now() + seconds
    alone = threading.Condition()
    with alone:
        wait_while(lambda: max(wake - clock.now(), 0.0), alone, clock, pulse)
