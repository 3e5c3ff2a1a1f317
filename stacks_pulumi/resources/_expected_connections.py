"""
The connections of a source that this operation of the engine has not created yet.

One restart of a source should serve all of its connections. The engine creates a connection when its target is ready,
and two targets may become ready at different times. The program knows all connections of a source and passes their
names with each connection. So a restart can wait for a connection whose target is being created now. It waits for no
other connection, because only that one is certain to follow.

Connections and containers are identified here by their names in the program.
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
"""Seconds to wait for one more connection: the engine sends its calls one after another, in quick succession."""

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
        Record that the engine has sent a connection to check; its creation follows if it is new.

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
        """Mark a container as being created: the connections to it follow when that has succeeded."""
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
        Return how many seconds to wait for another connection of the same source; 0 if none is expected.

        Args:
            connection: The connection whose source will be restarted.
            since: When the connection was made, by the clock.
        """
        with self._lock:
            siblings = self._declared.get(connection)
            now = self._clock.now()
            if siblings is None:
                # If the program passed an id, the siblings are not known, and others may follow.
                return max(since + GRACE - now, 0.0)
            missing = [name for name in siblings if name != connection and name not in self._come]
            if any(self._creating[siblings[name]] for name in missing):
                return _POLL
            soon = [
                since + GRACE,
                *(self._soon[key] for name in missing for key in (name, siblings[name]) if key in self._soon),
            ]
            return max(max(soon) - now, 0.0) if missing else 0.0


EXPECTED: Final = ExpectedConnections()
"""The register of this process."""
