"""
A clock in a file, with a variable speed: one process moves it, and the other processes read it and wait by it.

The file contains the clock's seconds, followed by the number of waiting threads of each process. So the process that
moves the clock sees whether any thread waits.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import mmap
import os
import threading
from pathlib import Path
from typing import Final

FASTEST: Final = 20.0
"""The highest speed of the clock, in seconds per second."""
PROCESSES: Final = 509
_LOOK: Final = 0.002
_SIZE: Final = 8 * (1 + PROCESSES)


class SharedClock:
    """
    The clock of the package and of an emulator.

    Args:
        path: The file.
        new: Whether to create the file.
    """

    def __init__(self, path: Path, *, new: bool = False) -> None:
        if new:
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("d")
        self._mine = 1 + os.getpid() % PROCESSES
        self._lock = threading.Lock()
        self._alarms = _Alarms(self)

    def now(self) -> float:
        """Return the clock's seconds."""
        return float(self._cells[0])

    def move(self, seconds: float) -> None:
        """Advance the clock."""
        self._cells[0] += seconds

    def is_waited_for(self) -> bool:
        """Return whether a thread of any process waits."""
        return any(self._cells[1:])

    def forget(self) -> None:
        """Reset the numbers of waiting threads, because their processes have ended."""
        for cell in range(1, 1 + PROCESSES):
            self._cells[cell] = 0.0

    def sleep(self, seconds: float) -> None:
        """Wait for that long."""
        alone = threading.Condition()
        with alone:
            self.wait(alone, seconds)

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait until the condition is notified, or until the timeout."""
        if seconds <= 0:
            return
        # This is `Condition.wait`, which supports a timeout only on the system's clock.
        waiter = threading.Lock()
        waiter.acquire()
        condition._waiters.append(waiter)  # type: ignore[attr-defined]  # there is no public way to wake one waiter
        saved = condition._release_save()  # type: ignore[attr-defined]  # as above
        self._count(1)
        try:
            self._alarms.set(self.now() + seconds, waiter)
            waiter.acquire()
        finally:
            self._count(-1)
            condition._acquire_restore(saved)  # type: ignore[attr-defined]  # as above
            with contextlib.suppress(ValueError):
                condition._waiters.remove(waiter)  # type: ignore[attr-defined]  # as above

    def _count(self, more: int) -> None:
        with self._lock:
            self._cells[self._mine] += more


class _Alarms:
    """Wakes the threads of a process. One thread reads the clock for all waiters, which saves processor time."""

    def __init__(self, clock: SharedClock) -> None:
        self._clock = clock
        self._set: list[tuple[float, int, threading.Lock]] = []
        self._number = itertools.count()
        self._earlier = threading.Condition()
        self._thread: threading.Thread | None = None

    def set(self, due: float, waiter: threading.Lock) -> None:
        """Release the lock at a time of the clock, if it is still locked."""
        with self._earlier:
            heapq.heappush(self._set, (due, next(self._number), waiter))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            elif self._set[0][2] is waiter:
                self._earlier.notify()

    def _run(self) -> None:
        with self._earlier:
            while True:
                if not self._set:
                    self._earlier.wait()
                elif (left := self._set[0][0] - self._clock.now()) > 0:
                    self._earlier.wait(max(left / FASTEST, _LOOK))
                else:
                    waiter = heapq.heappop(self._set)[2]
                    # No longer locked, because the waiter was notified.
                    with contextlib.suppress(RuntimeError):
                        waiter.release()
