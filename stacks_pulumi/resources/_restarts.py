"""
One restart for all connections that are made to a source at the same time.

A source has to be restarted to see the variables of a new connection. Ten connections would be ten restarts; a
restart that waits until nobody is about to make another connection to the same source is one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from stacks_pulumi._clock import Clock

__all__ = ["GRACE", "PATIENCE", "Made", "Restarts"]

GRACE: Final = 1.0
"""Seconds to wait for one more connection: the engine hands over operations one by one, though quickly."""

PATIENCE: Final = 60.0
"""Seconds after which a restart goes ahead although another connection is still on its way."""

_STEP: Final = 0.5


@dataclass
class _Source:
    condition: threading.Condition = field(default_factory=threading.Condition)
    arriving: int = 0
    """Operations that are about to make a connection."""
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
        number: Which request for a restart it counts as.
    """

    number: int = 0


class Restarts:
    """Merges the restarts of each source. One for all operations of a process on one account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}

    @contextlib.contextmanager
    def connecting(self, source: str, on_wait: Callable[[], None]) -> Iterator[Made]:
        """
        While inside, a connection is being made: no restart of the source begins, and the one under way has ended.

        Args:
            source: Its id.
            on_wait: Called about twice a second while waiting; what it raises ends the wait.

        Returns:
            What to ask for a restart with.
        """
        state, made = self._source(source), Made()
        try:
            with state.condition:
                state.arriving += 1
                self._wait(state, lambda: state.restarting, on_wait)
            yield made
        finally:
            with state.condition:
                state.arriving -= 1
                # In one step with the end of the waiting for us: the restart that begins now serves us as well.
                state.asked += 1
                made.number = state.asked
                state.condition.notify_all()

    def restart(
        self,
        source: str,
        restart: Callable[[], None],
        on_wait: Callable[[], None],
        made: Made | None = None,
    ) -> bool:
        """
        Have the source restarted, by this thread or by another one that asked at the same time.

        Args:
            source: Its id.
            restart: Does it, and returns when it is done. What it raises reaches the thread that ran it; the others
                try for themselves.
            on_wait: Called about twice a second while waiting for others; what it raises ends the wait.
            made: The connection that it is for; any restart after it was made will do. None: one from now on.

        Returns:
            Whether it was this thread that did it.
        """
        state = self._source(source)
        with state.condition:
            if made is None:
                state.asked += 1
            mine = state.asked if made is None else made.number
        self._clock.sleep(GRACE)
        patient_until = self._clock.now() + PATIENCE

        def blocked() -> bool:
            others = state.restarting or (state.arriving > 0 and self._clock.now() < patient_until)
            return others and state.done < mine

        with state.condition:
            self._wait(state, blocked, on_wait)
            if state.done >= mine:
                return False
            state.restarting = True
            serves = state.asked
        try:
            restart()
            with state.condition:
                state.done = serves
        finally:
            with state.condition:
                state.restarting = False
                state.condition.notify_all()
        return True

    def _wait(self, state: _Source, blocked: Callable[[], bool], on_wait: Callable[[], None]) -> None:
        """With the lock held: until it is not blocked any more."""
        while blocked():
            self._clock.wait(state.condition, _STEP)
            on_wait()

    def _source(self, source: str) -> _Source:
        with self._lock:
            return self._sources.setdefault(source, _Source())
