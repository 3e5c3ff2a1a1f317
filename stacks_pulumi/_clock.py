"""
Clocks that functions receive as arguments, and waits that can be cancelled.

Every function that waits takes a clock, so that tests need no real time.

A *pulse* is a function that is called repeatedly during a wait. If the operation was cancelled or has timed out, the
pulse raises an exception that ends the wait. After a request whose outcome is unknown, the provider lists the resources
to find the outcome. If this list request were interrupted, the provider could lose track of a resource. So the request
runs inside `shielded()`, where no pulse is called.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

Pulse = Callable[[], None]
"""
A function that is called at least twice a second during a wait, without any lock held. An exception from it ends the
wait.
"""

_STEP: Final = 0.5
_local: Final = threading.local()


class Clock(Protocol):
    """The clock that the client and the waits use."""

    def now(self) -> float:
        """Return a monotonic time in seconds, for intervals and deadlines."""

    def wall(self) -> float:
        """Return the seconds since the Unix epoch, for comparison with times from the API."""

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`. Do nothing if the number is zero or negative."""

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """
        Wait until the condition is notified, but not longer than `seconds`. The caller holds the condition's lock.
        """


class SystemClock:
    """The system's real clock."""

    def now(self) -> float:
        """Return the seconds of the monotonic clock."""
        return time.monotonic()

    def wall(self) -> float:
        """Return the seconds since the Unix epoch."""
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
    """While the block runs, call no pulse in this thread, so that neither a cancellation nor a deadline ends a wait."""
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
    """Call the pulse, unless it is `None` or this thread is shielded. Only this function calls a pulse directly."""
    if pulse is not None and not is_shielded():
        pulse()


def wait_while(
    blocked: Callable[[], float], changed: threading.Condition, clock: Clock, pulse: Pulse | None = None
) -> None:
    """
    Wait until `blocked` returns 0 or false.

    Args:
        blocked: Called with the lock held, after every notification and at least twice a second. Returns the number of
            seconds after which its result may change without a notification, or true if only a notification can change
            it.
        changed: The condition that is notified whenever `blocked` may return a different value. The caller holds the
            condition's lock, and has acquired the lock only once.
        clock: The clock to wait with.
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


class Turns:
    """
    Allows only one thread at a time to work on a subject, for operations that read the subject before they change it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy: set[str] = set()

    @contextlib.contextmanager
    def of(self, subject: str, clock: Clock, pulse: Pulse) -> Iterator[None]:
        """Wait until no other thread works on the subject; other threads wait until the end of the block."""
        with self._changed:
            wait_while(lambda: subject in self._busy, self._changed, clock, pulse)
            self._busy.add(subject)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(subject)
                self._changed.notify_all()


def sleep_with_pulse(seconds: float, clock: Clock, pulse: Pulse | None = None) -> None:
    """Sleep. Call the pulse immediately and then at least twice a second; an exception from it ends the sleep."""
    wake = clock.now() + seconds
    alone = threading.Condition()
    with alone:
        wait_while(lambda: max(wake - clock.now(), 0.0), alone, clock, pulse)
