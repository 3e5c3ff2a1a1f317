"""
The connections of a source that are still to come in this operation of the engine.

A source needs one restart for all of its connections. The engine creates a connection once its target is ready, and two
targets may become ready at different times. The program knows all connections of a source; it tells the provider with
each of them. So a restart can wait for a connection whose target is being created now, and for no other one: only for
that one it is sure that it comes by itself.

Connections and containers are known here by their names in the program.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from stacks_pulumi._clock import SYSTEM_CLOCK, Clock

__all__ = ["EXPECTED", "GRACE", "ExpectedConnections"]

GRACE: Final = 1.0
"""Seconds to wait for one more connection: the engine hands over operations one by one, though quickly."""

_POLL: Final = 0.5


class ExpectedConnections:
    """The register of one process."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._declared: dict[str, Mapping[str, str]] = {}
        self._come: set[str] = set()
        self._soon: dict[str, float] = {}
        self._creating: Counter[str] = Counter()

    def clear(self) -> None:
        """Forget everything: the operation of the engine has ended."""
        with self._lock:
            self._declared.clear()
            self._come.clear()
            self._soon.clear()
            self._creating.clear()

    def declare(self, connection: str, siblings: Mapping[str, str]) -> None:
        """
        Record that the engine has handed over a connection, whose creation follows if there is anything to create.

        Args:
            connection: Its name.
            siblings: All connections of its source that restart it: name -> name of the target, empty if the program
                has only its id.
        """
        with self._lock:
            self._declared[connection] = dict(siblings)
            self._soon[connection] = self._clock.now() + GRACE

    def come(self, connection: str) -> None:
        """Record that the creation of a connection has begun."""
        with self._lock:
            self._come.add(connection)

    @contextlib.contextmanager
    def creating(self, container: str) -> Iterator[None]:
        """While a container is created: the connections to it come when that is done, unless it fails."""
        with self._lock:
            self._creating[container] += 1
        try:
            yield
            with self._lock:
                self._soon[container] = self._clock.now() + GRACE
        finally:
            with self._lock:
                self._creating[container] -= 1

    def seconds(self, connection: str, since: float) -> float:
        """
        Return for how many seconds at least another connection of the same source may come; 0 if none is expected.

        Args:
            connection: The connection whose source is to be restarted.
            since: When it was made, by the clock.
        """
        with self._lock:
            siblings = self._declared.get(connection)
            now = self._clock.now()
            if siblings is None:
                # A program that hands in an id does not tell; others may be on their way.
                return max(since + GRACE - now, 0.0)
            missing = [name for name in siblings if name != connection and name not in self._come]
            if any(self._creating[siblings[name]] for name in missing):
                return _POLL
            soon = [
                since + GRACE,
                *(self._soon.get(key, 0.0) for name in missing for key in (name, siblings[name])),
            ]
            return max(max(soon) - now, 0.0) if missing else 0.0


EXPECTED: Final = ExpectedConnections()
"""The register of this process."""
