"""
The rate limit of each key (guide, "Rate Limiting").

The window uses real time, not the driven clock: clients compare `X-RateLimit-Reset` with their own clock.
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
"""The limit in the headers for a key without one, so that clients do not apply their default of 60 a minute."""


@dataclass(frozen=True)
class Admission:
    """
    The rate limiter's result for one request.

    Attributes:
        allowed: Whether the request is within the limit.
        limit: Requests in a window.
        remaining: The number of requests left after this one.
        reset: Unix time at which the window ends, in whole seconds, rounded up.
        retry_after: Whole seconds until then.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int

    def headers(self) -> dict[str, str]:
        """Return the headers of every response to a known key."""
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
    A fixed window for each key, which begins with its first request.

    Args:
        seconds: Length of a window.
        wall: Returns the time.
    """

    # assumed: the kind of window. The guide describes the headers, not how the platform counts.

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
        """Return the number of requests in a key's current window, and the seconds until it ends."""
        with self._lock:
            now, end, used = self._window(label)
            return used, end - now

    def forget(self) -> None:
        """Reset every window."""
        with self._lock:
            self._windows.clear()

    def _window(self, label: str) -> tuple[float, float, int]:
        now = self._wall()
        end, used = self._windows.get(label, (0.0, 0))
        # If the wall clock was set back, the window must not last for hours.
        if now >= end or end - now > self.seconds:
            end, used = now + self.seconds, 0
        return now, end, used
