"""
One list call for everybody who waits.

Whoever needs a newer list than there is, and finds no call under way, makes it (the leader); the others sleep until
it is published. There is no thread of its own. Three rules keep it true:

1. A waiter trusts only a list whose call began after the waiter came: an older one may show the time before the
   waiter's own request. Calls are numbered as they begin; a waiter's ticket is the first number that it trusts.
2. What goes wrong with a call is told to all who would have trusted it, except for what concerns the leader alone
   (it was cancelled, its time is up): then the next one leads.
3. A wait outlives every failed call but those that no waiting can mend (401, 403).
"""

from __future__ import annotations

import copy
import functools
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from stacks_pulumi._clock import Clock, Pulse, wait_while
from stacks_pulumi.api._call import CALL_ERRORS, Call, Handler
from stacks_pulumi.api._watch import StateWatch, Tracked, Watch
from stacks_pulumi.api.models import Listing
from stacks_pulumi.api.wait import Wait
from stacks_pulumi.errors import ForbiddenError, InvalidApiKeyError, StacksError

__all__ = ["Feed", "interval"]

T = TypeVar("T", bound=Tracked)

_FATAL: Final = (InvalidApiKeyError, ForbiddenError)
_NEW: Final = 1.0
_SHORTEST: Final = 2.0
_LONGEST: Final = 10.0
_HELD_BACK: Final = 3.0
"""Seconds between looks from which on it is the rate limit that makes people wait for one, and they should know."""


def interval(age: float) -> float:
    """
    Seconds between the looks for a waiter that has waited for so long.

    A waiter that has just come sees soon whether it was quick; then it is two seconds for as long as containers
    usually take to boot (10 to 30 s), and then a twelfth of the time waited: what takes long costs few calls and is
    still seen soon in proportion.
    """
    return _NEW if age < _SHORTEST else min(max(age / 12, _SHORTEST), _LONGEST)


@dataclass(frozen=True)
class _Look(Generic[T]):
    number: int
    things: Listing[T] = field(default_factory=Listing)
    error: StacksError | None = None


class Feed(Generic[T]):
    """
    A list that many threads look at.

    Args:
        send: The chain.
        call: The request for the list.
        clock: Time.
        noun: What is in it, for messages.
        confirm: Looks for one thing alone; asked before something is called vanished.
        pace: Seconds between calls that the rate limit can bear. A poll that takes the last request of a window makes
            everybody wait for the next window, so the fewer there are left the longer they have to last.
    """

    def __init__(
        self,
        send: Handler,
        call: Call[Listing[T]],
        clock: Clock,
        *,
        noun: str,
        confirm: Callable[[Any], T | None] | None = None,
        pace: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._send = send
        self._call = call
        self._clock = clock
        self._noun = noun
        self._confirm = confirm
        self._pace = pace
        self._changed = threading.Condition()
        self._begun = 0
        self._began_at = -math.inf
        self._busy = False
        self._latest: _Look[T] = _Look(0)
        self._readable: Listing[T] = Listing()

    def snapshot(self, max_age: float = 0.0, pulse: Pulse | None = None) -> Listing[T]:
        """
        The list, by a call that began after this was called, or not more than so many seconds before.

        Args:
            max_age: That number of seconds.
            pulse: Called while the call waits for its turn, or while this thread waits for another thread's call.

        Raises:
            StacksError: That call failed.
        """
        with self._changed:
            recent = self._clock.now() - self._began_at < max_age and self._latest.error is None
            ticket = self._begun + (0 if recent else 1)
        while True:
            with self._changed:
                wait_while(
                    lambda: self._busy and self._latest.number < ticket, self._changed, self._clock, pulse
                )
                look = self._latest
                number = None if look.number >= ticket else self._begin()
            if number is not None:
                self._lead(number, poll=False, pulse=pulse)
            elif look.error is not None:
                raise copy.copy(look.error) from None
            else:
                return look.things

    def find(self, id: Any, max_age: float = 0.0) -> T | None:
        """
        The thing with that id in a list that is not older than so many seconds, or `None` if it is not there.

        Raises:
            StacksError: The list call failed, or the list does not show it and is incomplete.
        """
        return self.snapshot(max_age).find(lambda thing: bool(thing.id == id))

    def seen(self, id: Any) -> T | None:
        """Return the thing with that id from the last list that could be read, without a call; `None` if not there."""
        with self._changed:
            return next((thing for thing in self._readable if thing.id == id), None)

    def wait(
        self,
        wait: Wait,
        id: Any,
        *,
        deadline: float,
        on_tick: Callable[[T | None, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        is_it: Callable[[T], bool] | None = None,
    ) -> T | None:
        """
        Wait for a state of one thing.

        Args:
            wait: What to wait for.
            id: Of which one.
            deadline: When to give up, in seconds of the clock's `now()`.
            on_tick: Called at least once a second, also between looks, with what was seen last (`None`: nothing) and
                the seconds waited.
            cancelled: Asked at least twice a second; true ends the wait. While a list call is under way in this very
                thread, both pause for as long as it takes, 10 s at most per attempt.
            is_it: Whether what has the id is the thing that is waited for; another one counts as its absence.

        Returns:
            The thing as it was seen; `None` if being gone was the target.

        Raises:
            UnexpectedStateError: It is in a state that does not lead to the wanted one.
            VanishedError: It is not there any more.
            WaitTimeoutError: The time is up.
            WaitCancelledError: `cancelled()` was true.
            InvalidApiKeyError: The key was revoked meanwhile.
            ForbiddenError: The key may not list.
        """
        return self.follow(
            StateWatch(
                wait,
                id,
                self._noun,
                confirm=self._confirm,
                clock=self._clock,
                deadline=deadline,
                on_tick=on_tick,
                cancelled=cancelled,
                is_it=is_it,
            )
        )

    def follow(self, watch: Watch[T]) -> T | None:
        """Wait until the watch is content; what it raises ends the wait. Returns what it found."""
        with self._changed:
            ticket = self._begun + 1
        while True:
            with self._changed:
                wait_while(
                    functools.partial(self._blocked, watch, ticket), self._changed, self._clock, watch.pulse
                )
                look = self._latest
                number = None if look.number >= ticket else self._begin()
            if number is not None:
                self._lead(number, poll=True, pulse=watch.pulse)
            elif look.error is None:
                ticket = look.number + 1
                if watch.judge(look.things):
                    return watch.found
            elif isinstance(look.error, _FATAL):
                raise copy.copy(look.error) from None
            else:
                ticket = look.number + 1
                watch.trouble = look.error

    def held_back(self) -> float:
        """Seconds for which the rate limit lets nobody look; 0 where it holds up nobody."""
        pace = self._pace()
        if pace < _HELD_BACK:
            return 0.0
        with self._changed:
            # Whoever is about to look waits for the limiter, which has nothing left in this window.
            return pace if self._busy else max(self._began_at + min(pace, _LONGEST) - self._clock.now(), 0.0)

    def _blocked(self, watch: Watch[T], ticket: int) -> float:
        """Seconds until this waiter makes the next call, true while another thread makes one, 0 if it has its list."""
        if self._latest.number >= ticket:
            return 0.0
        every = max(interval(watch.elapsed), min(self._pace(), _LONGEST))
        due = max(watch.delay - watch.elapsed, self._began_at + every - self._clock.now())
        return due if due > 0 else self._busy

    def _begin(self) -> int:
        """With the lock held, and no call in progress: the number of the call that the caller makes now."""
        self._busy = True
        self._begun += 1
        self._began_at = self._clock.now()
        return self._begun

    def _lead(self, number: int, *, poll: bool, pulse: Pulse | None) -> None:
        look: _Look[T] | None = None
        try:
            look = _Look(number, self._send(replace(self._call, poll=poll, pulse=pulse)))
        except CALL_ERRORS as error:
            look = _Look(number, error=error)
        finally:
            with self._changed:
                self._busy = False
                if look is not None:
                    self._latest = look
                    if look.error is None:
                        self._readable = look.things
                self._changed.notify_all()
