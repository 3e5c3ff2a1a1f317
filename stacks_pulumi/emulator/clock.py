"""The clock for containers, backups and caps: the wall clock and the seconds that a test adds to it."""

from __future__ import annotations

import datetime as dt
import threading
import time

__all__ = ["DAY", "DrivenClock", "iso", "month"]

DAY = 86400.0
"""Seconds of a day."""

_END = 253_370_764_800.0
"""The start of the year 9999, the last one for dates; it is left for later events."""


class DrivenClock:
    """
    A wall clock that can be advanced, frozen and resumed.

    Args:
        start: Seconds since the Unix epoch to begin at; by default now.
        running: Whether it runs by itself. If not, only `advance` moves it.
    """

    def __init__(self, start: float | None = None, *, running: bool = True) -> None:
        self._lock = threading.Lock()
        self._running = running
        self._origin = time.monotonic()
        self._start = time.time() if start is None else start
        self._driven = 0.0

    def now(self) -> float:
        """Return the emulated platform's time in seconds since the Unix epoch."""
        with self._lock:
            return self._moment()

    @property
    def driven(self) -> float:
        """The seconds that `advance` has added."""
        with self._lock:
            return self._driven

    def advance(self, seconds: float) -> float:
        """
        Advance the clock.

        Returns:
            The new time.

        Raises:
            ValueError: `seconds` is negative or not a number, or the new time is too late for a date.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"the clock can be advanced by 0 seconds or more, not by {seconds}")
        with self._lock:
            moment = self._moment() + seconds
            if moment >= _END:
                raise ValueError(f"the clock can be advanced to the year 9998, not by {seconds} seconds")
            self._driven += seconds
            return moment

    @property
    def frozen(self) -> bool:
        """Whether only `advance` moves it."""
        with self._lock:
            return not self._running

    def freeze(self) -> None:
        """Stop the clock: only `advance` moves it then. No-op if it is frozen."""
        with self._lock:
            self._start = self._moment() - self._driven
            self._running = False

    def resume(self) -> None:
        """Let the clock run again from its present time. No-op if it is running."""
        with self._lock:
            self._start = self._moment() - self._driven
            self._origin = time.monotonic()
            self._running = True

    def _moment(self) -> float:
        passed = time.monotonic() - self._origin if self._running else 0.0
        return self._start + self._driven + passed


def iso(moment: float | None) -> str | None:
    """Return a moment as the API writes it: UTC, milliseconds, `Z`. `None` is returned unchanged."""
    if moment is None:
        return None
    text = dt.datetime.fromtimestamp(moment, dt.timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def month(moment: float) -> str:
    """Return the calendar month of a moment in UTC, as `2026-05`; spending is counted by month."""
    return dt.datetime.fromtimestamp(moment, dt.timezone.utc).strftime("%Y-%m")
