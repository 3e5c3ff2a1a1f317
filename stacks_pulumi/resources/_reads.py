"""
A cache of API responses that many resources share.

Without it, a refresh of two hundred containers would send two hundred requests for data that one list contains. The
engine starts only a few reads at a time, so sharing only the requests in flight would not be enough. A response is
reused while it is recent and this process has changed nothing since the request.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from stacks_pulumi._clock import Clock, Pulse, wait_while

__all__ = ["Reads"]

_T = TypeVar("_T")
_Key = tuple[str, ...]

MAX_AGE: Final = 600.0
"""
Seconds for which a response is reused. A refresh takes time in any case, so its data is never from one moment.

This is longer than a large refresh takes under the rate limit: a response that expires during the refresh would be
requested again.
"""


@dataclass(frozen=True)
class _Answer:
    value: Any
    requested_at: float
    expires_at: float
    changes: int


class Reads:
    """
    The cached responses of one account.

    Args:
        clock: The clock to wait with.
        pulse: Called while a caller waits for a response that another one has requested; an exception ends the wait.
    """

    def __init__(self, clock: Clock, pulse: Pulse | None = None) -> None:
        self._clock = clock
        self._pulse = pulse
        self._changed = threading.Condition()
        self._requested: set[_Key] = set()
        self._answers: dict[_Key, _Answer] = {}
        self._changes = 0

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Enclose a change: a response that was requested before its end is not used after it."""
        try:
            yield
        finally:
            with self._changed:
                self._changes += 1

    def get(self, *key: str, ask: Callable[[], _T], max_age: float = MAX_AGE) -> _T:
        """
        Return the response for a key, requested again only if necessary.

        Args:
            key: The request's identity.
            ask: Sends the request. An exception from it goes to this caller, and the next caller sends it again.
            max_age: The greatest age of a cached response in seconds, when this is called. Callers that arrive during
                a request share its response, however long it takes.
        """
        came = self._clock.now()
        with self._changed:
            wait_while(lambda: key in self._requested, self._changed, self._clock, self._pulse)
            known = self._answers.get(key)
            self._evict()
            if known is not None and known.changes == self._changes and came - known.requested_at < max_age:
                value: _T = known.value
                return value
            self._requested.add(key)
            requested_at, changes = self._clock.now(), self._changes
        try:
            answer = ask()
        except BaseException:
            self._done(key, None)
            raise
        self._done(key, _Answer(answer, requested_at, requested_at + max_age, changes))
        return answer

    def _done(self, key: _Key, answer: _Answer | None) -> None:
        with self._changed:
            self._requested.discard(key)
            if answer is not None:
                self._answers[key] = answer
            self._changed.notify_all()

    def _evict(self) -> None:
        """Remove expired responses, because they may be long lists."""
        now = self._clock.now()
        self._answers = {
            key: answer
            for key, answer in self._answers.items()
            if answer.changes == self._changes and now < answer.expires_at
        }
