"""Threads that take turns, on a clock that moves only while all of them wait: each run is the same."""

from __future__ import annotations

import functools
import heapq
import itertools
import threading
from collections.abc import Callable

from stacks_pulumi.emulator import DrivenClock
from tests.broker.conftest import HurriedClock

__all__ = ["KilledError", "Lock", "PlatformClock", "Turns"]

_POLL = 0.05
"""Seconds between two looks of a thread that waits for another one."""
_BEGUN = 1_800_000_000.0


class KilledError(BaseException):
    """Ends a thread of a process that was killed."""


class Turns(HurriedClock):
    """A clock, with threads of which one runs at a time: until it ends, or waits for a time of this clock."""

    def __init__(self) -> None:
        self._now, self._life, self._count = 0.0, 0, itertools.count()
        self._due: list[tuple[float, int, Callable[[], None], bool]] = []
        self._waits = threading.Semaphore(0)
        self._mine = threading.local()
        self._errors: list[BaseException] = []

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return _BEGUN + self._now

    def at(self, seconds: float, event: Callable[[], None], *, is_thread: bool = False) -> None:
        """Let something happen later."""
        heapq.heappush(self._due, (self._now + seconds, next(self._count), event, is_thread))

    def start(self, job: Callable[[], None]) -> None:
        """Run a job in a thread."""
        life, turn = self._life, threading.Semaphore(0)

        def run() -> None:
            turn.acquire()
            self._mine.turn, self._mine.life = turn, life
            try:
                self._check_life()
                job()
            except KilledError:
                pass
            except BaseException as error:  # noqa: BLE001  (it fails in the thread that advances the clock)
                self._errors.append(error)
            finally:
                self._waits.release()

        threading.Thread(target=run, daemon=True).start()
        self.at(0.0, functools.partial(self._resume, turn), is_thread=True)

    def sleep(self, seconds: float) -> None:
        self._check_life()
        self.at(max(seconds, 0.0), functools.partial(self._resume, self._mine.turn), is_thread=True)
        self._waits.release()
        self._mine.turn.acquire()
        self._check_life()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        condition.release()
        try:
            self.sleep(min(seconds, _POLL))
        finally:
            condition.acquire()

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything that happens in it."""
        until = self._now + seconds
        while self._due and self._due[0][0] <= until:
            at, _, event, _ = heapq.heappop(self._due)
            self._now = max(self._now, at)
            event()
            if self._errors:
                raise self._errors[0]
        self._now = until

    def end(self) -> None:
        """Let everything happen that is due at any time."""
        while self._due:
            self.advance(max(self._due[0][0] - self._now, 0.0))

    def kill(self) -> None:
        """End all threads, each where it waits now."""
        self._life += 1
        self._due = [(self._now if one[3] else one[0], *one[1:]) for one in self._due]
        heapq.heapify(self._due)

    def _resume(self, turn: threading.Semaphore) -> None:
        turn.release()
        self._waits.acquire()

    def _check_life(self) -> None:
        if self._mine.life != self._life:
            raise KilledError


class PlatformClock(DrivenClock):
    """The same time, for an emulator."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    def now(self) -> float:
        return self._turns.wall()

    def wall(self) -> float:
        return self._turns.wall()


class Lock:
    """A lock that a thread may hold while it waits for a time."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._is_held = turns, False

    def __enter__(self) -> None:
        while self._is_held:
            self._turns.sleep(_POLL)
        self._is_held = True

    def __exit__(self, *_: object) -> None:
        self._is_held = False
