"""
Two clocks for tests: one whose waits take no real time, even with many threads, and a fast clock for processes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from stacks_pulumi.emulator import DrivenClock
from tests.support.waiting import PATIENCE

__all__ = ["SPEED", "FakeClock", "begin", "fast_clock", "fast_wall"]

SPEED: Final = 10.0
"""
The speed of an account's clock and of its stacks, in seconds per second.

At this speed, the ten minutes for a create are one minute of real time; on a loaded machine, a create takes ten
seconds.
"""


class _Timeline:
    """The start time that the fast clocks of a test and of its processes share."""

    begun = time.time()


def begin() -> None:
    """Start the fast clocks of a new test at the present time."""
    _Timeline.begun = time.time()


def fast_wall() -> float:
    """Return the time of a fast clock that was not advanced, in seconds since the Unix epoch."""
    return _Timeline.begun + (time.time() - _Timeline.begun) * SPEED


def fast_clock() -> DrivenClock:
    """Return the clock of an emulator for a stack, or for a host with `SPEED`."""
    return DrivenClock(fast_wall(), speed=SPEED)


class FakeClock:
    """
    A clock that stands still until every thread waits.

    In one thread, a sleep advances the clock. For many threads, `run` starts them. Whenever all of them sleep, it
    advances the clock until the first thread wakes.
    """

    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        self._now = 1000.0
        self._wall = wall
        self._lock = threading.Lock()
        self._asleep: dict[threading.Thread, tuple[float, threading.Condition]] = {}
        self._crew: list[threading.Thread] = []
        self._rested = threading.Event()

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._wall + self._now - 1000.0

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self._now += max(seconds, 0.0)

    def sleep(self, seconds: float) -> None:
        if threading.current_thread() not in self._crew:
            self.advance(seconds)
            return
        wake = self._now + seconds
        alone = threading.Condition()
        with alone:
            while self._now < wake:
                self.wait(alone, wake - self._now)

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        thread = threading.current_thread()
        if thread not in self._crew:
            self.advance(seconds)  # no other thread exists that could notify
            return
        if seconds <= 0:
            return
        with self._lock:
            self._asleep[thread] = (self._now + seconds, condition)
        self._rested.set()
        condition.wait()
        with self._lock:
            del self._asleep[thread]

    def run(self, *jobs: Callable[[], Any]) -> list[Any]:
        """Run all jobs concurrently, each in its own thread; return what each returned or raised."""
        outcomes: list[Any] = [None] * len(jobs)

        def carry_out(index: int, job: Callable[[], Any]) -> None:
            try:
                outcomes[index] = job()
            except BaseException as error:  # noqa: BLE001  (the test gets it)
                outcomes[index] = error
            self._rested.set()

        self._crew = [
            threading.Thread(target=carry_out, args=(index, job), daemon=True)
            for index, job in enumerate(jobs)
        ]
        for thread in self._crew:
            thread.start()
        give_up = time.monotonic() + PATIENCE
        while alive := [thread for thread in self._crew if thread.is_alive()]:
            self._rested.clear()
            if self._all_asleep(alive):
                self._wake_next()
            elif time.monotonic() > give_up:
                msg = f"{len(alive)} threads neither end nor sleep"
                raise AssertionError(msg)
            else:
                # A thread says that it sleeps or ends shortly before it does.
                self._rested.wait(0.002)
        self._crew = []
        return outcomes

    def _all_asleep(self, alive: list[threading.Thread]) -> bool:
        with self._lock:
            if any(thread not in self._asleep for thread in alive):
                return False
            conditions = [condition for _wake, condition in self._asleep.values()]
            # A notified thread stays in `_asleep` until it runs, but its condition no longer lists it as a waiter.
            return all(len(c._waiters) == conditions.count(c) for c in conditions)  # type: ignore[attr-defined]  # not public

    def _wake_next(self) -> None:
        with self._lock:
            self._now = max(self._now, min(wake for wake, _condition in self._asleep.values()))
            due = {id(c): c for wake, c in self._asleep.values() if wake <= self._now}
        for condition in due.values():
            with condition:
                condition.notify_all()
