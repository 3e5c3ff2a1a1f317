"""
One waiter: what it waits for, what it has seen, and how its wait ends.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from stacks_pulumi._clock import Clock
from stacks_pulumi.api._call import CALL_ERRORS
from stacks_pulumi.api._scrub import scrub
from stacks_pulumi.api.models import Listing
from stacks_pulumi.api.wait import Wait, WaitVerdict, verdict
from stacks_pulumi.errors import (
    StacksError,
    UnexpectedStateError,
    VanishedError,
    WaitCancelledError,
    WaitError,
    WaitTimeoutError,
)

__all__ = ["StateWatch", "Tracked", "Watch"]

_TICK: Final = 0.5


class Tracked(Protocol):
    """What can be waited for: containers and backups."""

    @property
    def id(self) -> Any:
        """Its id."""

    @property
    def status(self) -> str | None:
        """Its state."""

    @property
    def error_message(self) -> str | None:
        """Why the resource failed."""


T = TypeVar("T", bound=Tracked)


class Watch(ABC, Generic[T]):
    """
    A waiter.

    Args:
        subject: What is waited for, for instance `container usr-abc12345-web`.
        wanted: The state that it should reach.
        clock: The clock.
        deadline: When the wait times out, by `clock.now()`.
        on_tick: Called at least once a second with the last known resource and the seconds waited.
        cancelled: Called at least twice a second; true cancels the wait.
    """

    delay: float = 1.0

    def __init__(
        self,
        subject: str,
        wanted: str,
        *,
        clock: Clock,
        deadline: float,
        on_tick: Callable[[T | None, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.subject = subject
        self.wanted = wanted
        self.found: T | None = None
        self.last_state: str | None = None
        self.trouble: StacksError | None = None
        self._clock = clock
        self._deadline = deadline
        self._on_tick = on_tick
        self._cancelled = cancelled
        self._started = clock.now()
        self._tick_at = -math.inf

    @abstractmethod
    def judge(self, things: Listing[T]) -> bool:
        """Whether a new list shows that the wait has reached its target. Raises if it shows a failure."""

    @property
    def elapsed(self) -> float:
        """Seconds waited."""
        return self._clock.now() - self._started

    def pulse(self) -> None:
        """
        Check for cancellation and timeout; called at least twice a second.

        Raises:
            WaitCancelledError: The caller cancelled the wait.
            WaitTimeoutError: The wait timed out.
        """
        now = self._clock.now()
        if self._cancelled is not None and self._cancelled():
            raise self._end(WaitCancelledError, "the wait was cancelled", "the operation continues at STACKS")
        if now >= self._deadline:
            seen = "not listed" if self.found is None else f"still {self._shown_state}"
            raise self._end(WaitTimeoutError, seen, self._advice)
        if self._on_tick is not None and now >= self._tick_at:
            self._tick_at = now + _TICK
            self._on_tick(self.found, now - self._started)

    @property
    def _shown_state(self) -> str:
        return f'"{scrub(self.last_state or "unknown", 40)}"'

    @property
    def _advice(self) -> str:
        if self.trouble is not None:
            return f"the last look failed: {self.trouble.message}"
        return "look at it in the dashboard or at its logs, then wait for longer"

    def _end(self, kind: type[WaitError], what_is: str, next_step: str) -> WaitError:
        return kind(
            f"{self.subject}: {what_is} after {self.elapsed:.0f} s, wanted {self.wanted}; {next_step}",
            subject=self.subject,
            last_state=self.last_state,
            elapsed=self.elapsed,
        )


class StateWatch(Watch[T]):
    """
    Waits until one resource is in a state.

    Args:
        wait: What to wait for.
        id: The id of the resource.
        noun: Its kind, for messages.
        confirm: Requests the resource itself; `None` if it does not exist. Called before the resource is reported as
            vanished, and if an incomplete list does not contain it.
        is_it: Whether the resource with that id is the right one. If not, it counts as absent.
        others: See `Watch`.
    """

    def __init__(
        self,
        wait: Wait,
        id: Any,
        noun: str,
        *,
        confirm: Callable[[Any], T | None] | None = None,
        is_it: Callable[[T], bool] | None = None,
        **others: Any,
    ) -> None:
        super().__init__(f"{noun} {scrub(str(id), 80)}", wait.name, **others)
        self.delay = wait.delay
        self._wait = wait
        self._id = id
        self._confirm = confirm
        self._is_it = is_it
        self._state: str | None = ""
        self._looks = 0

    def judge(self, things: Listing[T]) -> bool:
        """
        Whether the resource is in the wanted state.

        Raises:
            UnexpectedStateError: It is in a failed state.
            VanishedError: It does not exist any more.
        """
        self.trouble = None
        try:
            meaning = self._meaning(things)
        except CALL_ERRORS as error:
            self.trouble = error
            return False
        if meaning is WaitVerdict.FAILED:
            raise self._end(
                UnexpectedStateError,
                f"is {self._shown_state}{self._why}",
                "read its logs, fix the cause, then start it again or delete it",
            )
        if meaning is WaitVerdict.VANISHED:
            raise self._end(
                VanishedError, "no longer listed", "another client or STACKS deleted it: create it again"
            )
        return meaning is WaitVerdict.REACHED

    def _meaning(self, things: Listing[T]) -> WaitVerdict:
        thing = next((thing for thing in things if thing.id == self._id), None)
        if self._confirm is None:
            if thing is None:
                things.require_complete()
            return self._look(thing)
        if thing is None and things.gap is not None:
            return self._look(self._confirm(self._id))
        meaning = self._look(thing)
        return self._look(self._confirm(self._id)) if meaning is WaitVerdict.VANISHED else meaning

    def _look(self, thing: T | None) -> WaitVerdict:
        if thing is not None and self._is_it is not None and not self._is_it(thing):
            thing = None
        state = None if thing is None else thing.status or ""
        self._looks = self._looks + 1 if state == self._state else 1
        self._state = state
        self.found = thing
        if thing is not None:
            self.last_state = thing.status
        return verdict(self._wait, state, self._looks)

    @property
    def _why(self) -> str:
        message = None if self.found is None else self.found.error_message
        return f" ({scrub(message)})" if message else ""
