"""
Restarts a source once for all of its connections that are created at the same time.

A source must be restarted before it can read the variables of a new connection, so ten connections would cause ten
restarts. Therefore, a restart waits until no other connection of the same source is in progress or expected. During a
restart, a container cannot be connected or backed up. So a restart also waits until these operations have ended.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

import msgspec

from stacks_pulumi._clock import SYSTEM_CLOCK, Clock, wait_while

GRACE: Final = 1.0
"""Seconds to wait for another connection: the engine sends its calls in quick succession."""

_POLL: Final = 0.5


class ExpectedConnections:
    """
    For each source, the connections that this run of the engine has not created yet.

    The engine creates a connection when its target is ready, and two targets may become ready at different times. The
    program knows all connections of a source and passes their names with each connection. So a restart can wait for a
    connection whose target is being created now. It does not wait for any other connection, because no other connection
    is certain to follow. Connections and containers are identified by their names in the program.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._declared: dict[str, Mapping[str, str]] = {}
        self._begun: set[str] = set()
        self._soon: dict[str, float] = {}
        self._creating: Counter[str] = Counter()

    def clear(self) -> None:
        """Forget everything: the run of the engine has ended."""
        with self._lock:
            self._declared.clear()
            self._begun.clear()
            self._soon.clear()
            self._creating.clear()

    def declare(self, connection: str, siblings: Mapping[str, str]) -> None:
        """
        Record that the engine has sent a connection to `check`; its creation follows if it is new.

        The siblings are all connections of the same source that request its restart: name -> name of the target. The
        target's name is empty if the program passed only an id.
        """
        with self._lock:
            self._declared[connection] = dict(siblings)
            self._soon[connection] = self._clock.now() + GRACE

    def begin(self, connection: str) -> None:
        """Record that the creation of a connection has begun."""
        with self._lock:
            self._begun.add(connection)

    @contextlib.contextmanager
    def creating(self, container: str) -> Iterator[None]:
        """
        Mark a container as being created during the block. Connections to it can follow only after its creation has
        succeeded.
        """
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
        """Return how many seconds to wait for another connection of the same source; 0 if none is expected."""
        with self._lock:
            siblings = self._declared.get(connection)
            now = self._clock.now()
            if siblings is None:
                # If the program passed an id, the siblings are not known, and further connections may follow.
                return max(since + GRACE - now, 0.0)
            missing = [name for name in siblings if name != connection and name not in self._begun]
            if any(self._creating[siblings[name]] for name in missing):
                return _POLL
            soon = [
                since + GRACE,
                *(self._soon[key] for name in missing for key in (name, siblings[name]) if key in self._soon),
            ]
            return max(max(soon) - now, 0.0) if missing else 0.0


EXPECTED: Final = ExpectedConnections()
"""The register of this process."""


PATIENCE: Final = 300.0
"""
Seconds after which a delayed restart begins in any case.

This is several windows of the rate limit, because many concurrent connections and backups may all wait for the limit.
"""


class _Container(msgspec.Struct):
    asked: int = 0
    """The number of the latest restart request."""
    done: int = 0
    """The number of the latest restart request that has been fulfilled."""
    restarting: bool = False


class NewConnection(msgspec.Struct):
    """
    A connection that was created.

    Attributes:
        name: Its name in the program.
        number: The number of its restart request.
    """

    name: str = ""
    number: int = 0


class Restarts:
    """Combines the restarts of each source. One instance is used for all operations of a process on one account."""

    def __init__(self, clock: Clock, expected: ExpectedConnections | None = None) -> None:
        self._clock = clock
        self._expected = expected or ExpectedConnections(clock)
        # One lock for all containers, because an operation may delay the restarts of two of them.
        self._changed = threading.Condition()
        self._containers: defaultdict[str, _Container] = defaultdict(_Container)
        self._holds: list[Collection[str] | None] = []

    @contextlib.contextmanager
    def held_off(self, containers: Collection[str] | None, on_wait: Callable[[], None]) -> Iterator[None]:
        """
        Wait until no restart of these containers is in progress (of any container, if `containers` is `None`). Prevent
        new restarts during the block.

        A caller waits only for restarts that have begun. These restarts do not wait for callers, so there is no
        deadlock.
        """
        with self._changed:
            self._holds.append(containers)
        try:
            with self._changed:
                wait_while(lambda: self._is_restarting(containers), self._changed, self._clock, on_wait)
            yield
        finally:
            with self._changed:
                self._holds.remove(containers)
                self._changed.notify_all()

    @contextlib.contextmanager
    def connecting(
        self, source: str, target: str, on_wait: Callable[[], None], name: str = ""
    ) -> Iterator[NewConnection]:
        """
        Prevent restarts of source and target during the block, which creates a connection; yield the connection's
        record.
        """
        made = NewConnection(name)
        with self.held_off((source, target), on_wait):
            # From here on, the restart is delayed.
            self._expected.begin(name)
            try:
                yield made
            finally:
                # Request the restart while restarts are prevented, so that the next one serves this connection as well.
                made.number = self._ask(source)

    def restart(
        self,
        source: str,
        restart: Callable[[], None],
        on_wait: Callable[[], None],
        made: NewConnection | None = None,
    ) -> bool:
        """
        Restart the source, or wait until another thread has restarted it; return whether this thread did it.

        A restart is enough if it begins after the connection was created (after this call, if `made` is `None`). An
        exception from `restart` is raised only in the thread that called it; another waiting thread then tries.
        """
        made = NewConnection(number=self._ask(source)) if made is None else made
        mine, since = made.number, self._clock.now()
        with self._changed:
            state = self._containers[source]

            def blocked() -> float:
                if state.done >= mine:
                    return False
                if state.restarting:
                    return True
                if self._clock.now() >= since + GRACE + PATIENCE:
                    return False
                return self._is_held_off(source) or self._expected.seconds(made.name, since)

            wait_while(blocked, self._changed, self._clock, on_wait)
            if state.done >= mine:
                return False
            state.restarting = True
            serves = state.asked
        try:
            restart()
            with self._changed:
                state.done = serves
        finally:
            with self._changed:
                state.restarting = False
                self._changed.notify_all()
        return True

    def _ask(self, source: str) -> int:
        with self._changed:
            self._containers[source].asked += 1
            return self._containers[source].asked

    def _is_restarting(self, containers: Collection[str] | None) -> bool:
        return any(
            state.restarting
            for id_, state in self._containers.items()
            if containers is None or id_ in containers
        )

    def _is_held_off(self, container: str) -> bool:
        return any(containers is None or container in containers for containers in self._holds)
