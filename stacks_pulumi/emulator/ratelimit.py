"""
Requests a minute, per key (guide, "Rate Limiting").

The window runs on real time, never on the driven clock: clients compare `X-RateLimit-Reset` with their own.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UNLIMITED", "Admission", "RateLimiter"]

UNLIMITED = 1_000_000
"""What the headers tell when a key has no limit, so that a client does not keep to 60 a minute for nothing."""


@dataclass(frozen=True)
class Admission:
    """
    What the window says to one request.

    Attributes:
        allowed: Whether it may go on.
        limit: Requests a window.
        remaining: What is left after this request.
        reset: Unix time at which the window ends, in whole seconds, rounded up.
        retry_after: Whole seconds until then.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int

    def headers(self) -> dict[str, str]:
        """The headers that every answer to a known key carries."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }
        if not self.allowed:
            headers["Retry-After"] = str(self.retry_after)
        return headers


class RateLimiter:
    """
    A fixed window per key, which begins with the first request in it.

    Args:
        seconds: Length of a window.
        wall: Where the time comes from.
    """

    # assumed: the kind of window. The guide says what the headers tell, not how the platform counts.

    def __init__(self, seconds: float = 60.0, wall: Callable[[], float] = time.time) -> None:
        self.seconds = seconds
        self._wall = wall
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, label: str, limit: int | None) -> Admission:
        """Count one request of a key."""
        with self._lock:
            now, end, used = self._window(label)
            ceiling = UNLIMITED if limit is None else limit
            allowed = used < ceiling
            if allowed:
                used += 1
            self._windows[label] = (end, used)
            return Admission(
                allowed, ceiling, max(0, ceiling - used), math.ceil(end), max(1, math.ceil(end - now))
            )

    def used(self, label: str) -> tuple[int, float]:
        """Requests counted in a key's present window, and the seconds until it ends."""
        with self._lock:
            now, end, used = self._window(label)
            return used, end - now

    def forget(self) -> None:
        """Begin every window anew."""
        with self._lock:
            self._windows.clear()

    def _window(self, label: str) -> tuple[float, float, int]:
        now = self._wall()
        end, used = self._windows.get(label, (0.0, 0))
        # A wall clock that was set back must not leave a window open for hours.
        if now >= end or end - now > self.seconds:
            end, used = now + self.seconds, 0
        return now, end, used
