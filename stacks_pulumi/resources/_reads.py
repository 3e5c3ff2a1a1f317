"""
Reads that many resources share.

A refresh of two hundred containers asks two hundred times for what one call tells. The engine hands the reads over a
few at a time, so sharing only what is under way would still be many calls. An answer is used again while it is
young and while this process has changed nothing since it was asked for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from stacks_pulumi._clock import Clock

__all__ = ["Reads"]

_T = TypeVar("_T")

MAX_AGE: Final = 600.0
"""
Seconds for which an answer stands for the state of things; a refresh as a whole is no more of one moment.

Longer than the windows of the rate limit that a large refresh takes: an answer that gets old within it is asked for
again by each resource that shares it.
"""


@dataclass
class _Answer:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    asked_at: float | None = None
    changes: int = -1


class Reads:
    """The answers of one account that are still good."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, ...], _Answer] = {}
        self._changes = 0

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """While something is changed by this process: nothing that was asked before its end counts after it."""
        try:
            yield
        finally:
            with self._lock:
                self._changes += 1

    def get(self, *key: str, ask: Callable[[], _T], max_age: float = MAX_AGE) -> _T:
        """
        The answer to a question, asked anew only if need be.

        Args:
            key: What is asked.
            ask: Asks the API; what it raises is the caller's, and the next caller asks again.
            max_age: How old an answer may be when this is called, in seconds. However long its call takes, those that
                came meanwhile share it.
        """
        came = self._clock.now()
        with self._lock:
            answer = self._answers.setdefault(key, _Answer())
        with answer.lock:
            now = self._clock.now()
            with self._lock:
                changes = self._changes
            young = answer.asked_at is not None and came - answer.asked_at < max_age
            if not young or answer.changes != changes:
                answer.value = ask()
                answer.asked_at, answer.changes = now, changes
            value: _T = answer.value
            return value
