"""
Reads that many resources share.

A refresh of two hundred containers would ask two hundred times for what one list shows. The engine hands the reads
over a few at a time, so sharing only the requests in flight would still be many. An answer is used again while it is
young and while this process has changed nothing since it was requested.
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
Seconds for which an answer is used; a refresh as a whole does not show one moment either.

Longer than the windows of the rate limit that a large refresh takes: an answer that expires within it is requested
again by each resource that shares it.
"""


@dataclass(frozen=True)
class _Answer:
    value: Any
    requested_at: float
    expires_at: float
    changes: int


class Reads:
    """
    The answers of one account that are still good.

    Args:
        clock: Time.
        pulse: Called while a caller waits for the answer that another one has requested; what it raises ends the wait.
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
        """While this process changes something: no answer that was requested before its end is used after it."""
        try:
            yield
        finally:
            with self._changed:
                self._changes += 1

    def get(self, *key: str, ask: Callable[[], _T], max_age: float = MAX_AGE) -> _T:
        """
        Return the answer to a question, requested again only if necessary.

        Args:
            key: The question.
            ask: Requests the answer. What it raises is the caller's, and the next caller requests again.
            max_age: How old an answer may be when this is called, in seconds. However long its request takes, the
                callers that came meanwhile share it.
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
        """Drop the answers that no caller could use any more: they may be long lists."""
        now = self._clock.now()
        self._answers = {
            key: answer
            for key, answer in self._answers.items()
            if answer.changes == self._changes and now < answer.expires_at
        }
