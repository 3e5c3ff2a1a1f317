"""
One restart of a source for all connections that are made at the same time, and no restart during another operation.

A source has to be restarted to see the variables of a new connection. Ten connections would be ten restarts. So a
restart waits until no other connection to the same source is in progress or expected. While a container restarts, it
can neither be connected nor be backed up, so such an operation holds the restart off until it is done.
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from stacks_pulumi._clock import Clock, wait_while
from stacks_pulumi.resources._expected_connections import GRACE, ExpectedConnections

__all__ = ["PATIENCE", "Made", "Restarts"]

PATIENCE: Final = 300.0
"""
Seconds after which a restart goes ahead although it is still held off.

Several windows of the rate limit: with many concurrent connections and backups, each waits for its turn.
"""


@dataclass
class _Container:
    asked: int = 0
    """Number of the newest request for a restart."""
    done: int = 0
    """Number of the newest request that a restart has served."""
    restarting: bool = False


@dataclass
class Made:
    """
    A connection that was made.

    Attributes:
        name: Its name in the program.
        number: Which request for a restart it counts as.
    """

    name: str = ""
    number: int = 0


class Restarts:
    """
    Merges the restarts of each source. One for all operations of a process on one account.

    Args:
        clock: Time.
        expected: The connections that are still to come.
    """

    def __init__(self, clock: Clock, expected: ExpectedConnections | None = None) -> None:
        self._clock = clock
        self._expected = expected or ExpectedConnections(clock)
        # One for all containers, because a hold may concern two of them.
        self._changed = threading.Condition()
        self._containers: defaultdict[str, _Container] = defaultdict(_Container)
        self._holds: list[Collection[str] | None] = []

    @contextlib.contextmanager
    def held_off(self, containers: Collection[str] | None, on_wait: Callable[[], None]) -> Iterator[None]:
        """
        While inside, no restart of these containers begins, and the ones in progress have ended.

        A holder waits only for restarts that have begun, and those wait for no holder: there is no deadlock.

        Args:
            containers: Their ids; `None` if it is not known which one it is about: all.
            on_wait: Called about twice a second while waiting; what it raises ends the wait.
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
    ) -> Iterator[Made]:
        """
        While inside, a connection is being made: restarts of both ends are held off.

        Args:
            source: Id of the container that gets the variables.
            target: Id of the one that they lead to.
            on_wait: Called about twice a second while waiting; what it raises ends the wait.
            name: The connection's name in the program.

        Returns:
            What to ask for a restart of the source with.
        """
        made = Made(name)
        with self.held_off((source, target), on_wait):
            # From here on the restart is held off.
            self._expected.come(name)
            try:
                yield made
            finally:
                # Before the restart is let go: it serves us as well.
                made.number = self._ask(source)

    def restart(
        self,
        source: str,
        restart: Callable[[], None],
        on_wait: Callable[[], None],
        made: Made | None = None,
    ) -> bool:
        """
        Restart the source, in this thread or in another one that asked at the same time.

        Args:
            source: Its id.
            restart: Does it, and returns when it is done. What it raises reaches the thread that ran it; the others
                try for themselves.
            on_wait: Called about twice a second while waiting for others; what it raises ends the wait.
            made: The connection that it is for; any restart after it was made will do. None: one from now on.

        Returns:
            Whether it was this thread that did it.
        """
        made = Made(number=self._ask(source)) if made is None else made
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
