"""
Lets threads wait until a container or a backup reaches a wanted state. All of them share one list call (`Feed`), and
each thread evaluates the list itself (`Watch`).

If a thread needs a newer list and no call is in progress, that thread makes the call: it is the leader. The others
sleep until the leader publishes the result. The feed has no background thread. Three rules keep it correct:

1. A waiter trusts only a list whose call began after the waiter arrived: an older list may show the state from before
   the waiter's own request. Calls are numbered when they begin; a waiter's ticket is the number of the first call that
   it trusts.
2. If a call fails, all waiters that would have trusted its list get its error. If only the leader was cancelled or
   timed out, the others get no error, and another waiter becomes the leader.
3. A wait continues after a failed call, except after 401 and 403, which a retry cannot fix.
"""

from __future__ import annotations

import copy
import functools
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from stacks_pulumi._clock import Clock, Pulse, wait_while
from stacks_pulumi.api._bodies import scrub
from stacks_pulumi.api._call import CALL_ERRORS, Call, Handler
from stacks_pulumi.api._words import is_known_status
from stacks_pulumi.api.models import Listing
from stacks_pulumi.api.wait import Wait, WaitVerdict, verdict
from stacks_pulumi.errors import (
    ForbiddenError,
    InvalidApiKeyError,
    StacksError,
    UnexpectedStateError,
    VanishedError,
    WaitCancelledError,
    WaitError,
    WaitTimeoutError,
)
from stacks_pulumi.platform_file import UNKNOWN, PlatformFile

_TICK: Final = 0.5
_FATAL: Final = (InvalidApiKeyError, ForbiddenError)
_SHORTEST: Final = 2.0
_LONGEST: Final = 10.0
_HELD_BACK: Final = 3.0
"""
If the time between list calls is at least this many seconds, the rate limit is the cause, and the user is informed.
"""


class HasStatus(Protocol):
    """A resource that a caller can wait for: a container or a backup."""

    @property
    def id(self) -> Any:
        """Its id."""

    @property
    def status(self) -> str | None:
        """Its state."""

    @property
    def error_message(self) -> str | None:
        """Why the resource failed."""


T = TypeVar("T", bound=HasStatus)


class Watch(ABC, Generic[T]):
    """
    One waiter, with the state that it waits for, the last list that it read, and the end of its wait.

    Args:
        subject: The awaited resource, for instance `container usr-abc12345-web`.
        wanted: The state that it should reach.
        clock: The clock.
        deadline: The time, by the clock, at which the wait times out.
        on_tick: Called at least once a second with the last known resource and the seconds waited.
        cancelled: Called at least twice a second; true cancels the wait.

    Attributes:
        delay: Seconds before the first list.
        earliest: Seconds before the first list if few requests are left in the window.
        quick: The first seconds of the wait, during which lists are requested more often.
        often: The seconds between two of these lists, if the rate limit allows it.
        resource: The resource as the last list showed it; `None` if that list did not contain it.
        last_state: Its last known state.
        trouble: The reason why the last list or confirmation failed; `None` if it succeeded.
        started: The time, by the clock, when the wait began.
    """

    delay: float = 1.0
    earliest: float = 0.0
    quick: float = 2.0
    often: float = 1.0
    missing: bool = False
    """
    Whether an earlier list contained the resource, but the last one did not. If so, the interval between lists stays
    short.
    """

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
        self.resource: T | None = None
        self.last_state: str | None = None
        self.trouble: StacksError | None = None
        self._clock = clock
        self._deadline = deadline
        self._on_tick = on_tick
        self._cancelled = cancelled
        self.started = clock.now()
        self._tick_at = self.started + _TICK

    @abstractmethod
    def judge(self, rows: Listing[T]) -> bool:
        """
        Return whether a new list shows that the wait has reached its target. Raise an error if the list shows a
        failure.
        """

    @property
    def elapsed(self) -> float:
        """Seconds waited."""
        return self._clock.now() - self.started

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
            seen = "not listed" if self.resource is None else f"still {self._shown_state}"
            raise self._end(WaitTimeoutError, seen, self._advice)
        if self._on_tick is not None and now >= self._tick_at:
            self._tick_at = now + _TICK
            self._on_tick(self.resource, now - self.started)

    @property
    def _shown_state(self) -> str:
        return f'"{scrub(self.last_state or "unknown", 40)}"'

    @property
    def _advice(self) -> str:
        if self.trouble is not None:
            return f"the last status request failed: {self.trouble.message}"
        return "check it in the dashboard, or read its logs, then wait longer"

    def _end(self, kind: type[WaitError], what_is: str, next_step: str) -> WaitError:
        return kind(
            f"{self.subject}: {what_is} after {self.elapsed:.0f} s, wanted {self.wanted}; {next_step}",
            subject=self.subject,
            last_state=self.last_state,
            elapsed=self.elapsed,
        )


class StateWatch(Watch[T]):
    """
    Waits until one resource reaches a wanted state.

    A resource is absent if neither a list nor a request for the resource itself shows it. After an acknowledged
    deletion, one absence proves that it is deleted. Otherwise, it is treated as deleted if it was absent twice, `pause`
    seconds apart, and was not seen in between. A new resource that was never seen may not be visible yet, so only the
    deadline ends the wait for it.

    Args:
        wait: What to wait for.
        id: The id of the resource.
        noun: Its kind, for messages.
        lag: The seconds for which a list and a request for the resource may disagree.
        pause: The seconds between two absences that together show that the resource is gone.
        is_new: Whether the resource was created a moment ago, and may not be visible yet.
        confirm: Requests the resource itself; returns `None` if it does not exist. Called if a list does not contain
            the resource.
        is_it: Returns whether the resource with that id is the right one. If not, it is treated as absent.
        warn: Called with the remedy for an unknown status, once for each such status.
        others: See `Watch`.
    """

    def __init__(
        self,
        wait: Wait,
        id: Any,
        noun: str,
        *,
        lag: float,
        pause: float,
        is_new: bool = False,
        confirm: Callable[[Any], T | None] | None = None,
        is_it: Callable[[T], bool] | None = None,
        warn: Callable[[str], None] | None = None,
        **others: Any,
    ) -> None:
        super().__init__(f"{noun} {scrub(str(id), 80)}", wait.name, **others)
        self.delay, self.earliest = wait.delay, wait.earliest
        self.quick, self.often = wait.quick, wait.often
        self._wait = wait
        self._id = id
        self._noun = noun
        self._lag = lag
        self._pause = pause
        self._confirm = confirm
        self._is_it = is_it
        self._warn = warn
        self._was_seen = not is_new
        # A list may take a while to show a new resource. Until then, do not request the resource itself.
        self._confirm_at = -math.inf if self._was_seen else self.started + lag
        self._absent_since: float | None = None
        self._state: str | None = None
        self._looks = 0
        self._has_changed = False
        self._explained: dict[str, str | None] = {}

    def judge(self, rows: Listing[T]) -> bool:
        """
        Return whether the resource is in the wanted state.

        Raises:
            UnexpectedStateError: The resource is in a failed state.
            VanishedError: The resource does not exist any more.
        """
        self.trouble = None
        try:
            meaning = self._meaning(rows)
        except CALL_ERRORS as error:
            if isinstance(error, _FATAL):
                raise
            self.trouble = error
            return False
        if meaning is WaitVerdict.FAILED:
            remedy = (
                "read its logs, fix the cause, then start it again or delete it"
                if self._noun == "container"
                else "check it in the dashboard"
            )
            raise self._end(UnexpectedStateError, f"is {self._shown_state}{self._why}", remedy)
        if meaning is WaitVerdict.VANISHED:
            raise self._end(
                VanishedError, "no longer listed", "another client or STACKS deleted it: create it again"
            )
        return meaning is WaitVerdict.REACHED

    def _meaning(self, rows: Listing[T]) -> WaitVerdict:
        listed = self._listed(rows)
        if listed is not None:
            # If the list contains no status, only a request for the resource itself shows the status.
            alone = self._confirm(self._id) if listed.status is None and self._confirm else None
            return self._seen(alone or listed)
        if self._confirm is None or (self._wait.acknowledged and rows.gap is None):
            rows.require_complete()
            return self._absent()
        self.missing = self._was_seen
        now = self._clock.now()
        if rows.gap is None and now < self._confirm_at:
            return WaitVerdict.GO_ON
        # A new resource will soon be in a list, so request the resource itself only now and then.
        self._confirm_at = now + (self._pause if self._was_seen else self._lag)
        found = self._confirm(self._id)
        if found is None or (self._is_it is not None and not self._is_it(found)):
            return self._absent()
        return self._seen(found)

    def _listed(self, rows: Listing[T]) -> T | None:
        found = next((row for row in rows if row.id == self._id), None)
        return found if found is None or self._is_it is None or self._is_it(found) else None

    def _seen(self, resource: T) -> WaitVerdict:
        self._was_seen, self.missing, self._absent_since = True, False, None
        state = resource.status or ""
        if state != self._state:
            self._has_changed = self._has_changed or self._state is not None
            self._state, self._looks = state, 0
        self._looks += 1
        self.resource, self.last_state = resource, resource.status
        if state and state not in self._explained:
            text = self._explained[state] = self._unknown(state)
            if text is not None and self._warn is not None:
                self._warn(text)
        # If the resource may be in a failed state when the wait begins, ignore that state while lists may lag behind.
        may_be_old = self._wait.failures > 1 and not self._has_changed and self.elapsed < self._lag
        return verdict(self._wait, state, self._looks, may_be_old=may_be_old)

    def _absent(self) -> WaitVerdict:
        now = self._clock.now()
        self.resource, self._state = None, None
        self.missing = self._was_seen
        if not self._was_seen:
            return WaitVerdict.GO_ON
        if self._absent_since is None:
            self._absent_since = now
        if not self._wait.acknowledged and now - self._absent_since < self._pause:
            return WaitVerdict.GO_ON
        return WaitVerdict.REACHED if self._wait.gone == "target" else WaitVerdict.VANISHED

    def _unknown(self, status: str) -> str | None:
        """Return the warning for a status that is not in the guide; `None` for a known status."""
        if is_known_status(status, self._noun):
            return None
        return (
            f'the status "{scrub(status, 40)}" is not in the API guide, so it does not show whether the '
            f"{self._noun} is {self._wait.name}: check it in the STACKS dashboard"
        )

    @property
    def _advice(self) -> str:
        return self._explained.get(self.last_state or "") or super()._advice

    @property
    def _why(self) -> str:
        message = None if self.resource is None else self.resource.error_message
        return f" ({scrub(message)})" if message else ""


def interval(age: float, quick: float, often: float) -> float:
    """
    Return the seconds between list calls for a waiter that has waited for `age` seconds.

    A new waiter checks often while the operation may be a quick one. Then it checks every two seconds for as long as
    containers usually take to boot (10 to 30 s). After that, the interval is a twelfth of the time waited. So a long
    operation costs few calls, and its end is noticed after a proportionally small delay.
    """
    return often if age < quick else min(max(age / 12, _SHORTEST), _LONGEST)


class _ListCall(msgspec.Struct, Generic[T], frozen=True):
    """A list call that has ended, with its list or its error."""

    number: int
    rows: Listing[T] = msgspec.field(default_factory=Listing)
    error: StacksError | None = None


class Feed(Generic[T]):
    """
    A list that many threads share.

    Args:
        send: The chain.
        call: The request for the list.
        clock: The clock.
        noun: The kind of resource in the list: `container` or `backup`.
        confirm: Requests one resource by its id. Called before a resource is reported as vanished.
        pace: Returns how many seconds apart calls may be, given the rate limit. A poll that takes the last request of a
            window makes all calls wait for the next window. So polls are rarer when few requests are left.
        platform: The facts about the platform, including how far lists may lag behind.
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
        platform: PlatformFile = UNKNOWN,
    ) -> None:
        self._send = send
        self._call = call
        self._clock = clock
        self._noun = noun
        self._confirm = confirm
        self._pace = pace
        self._platform = platform
        self._changed = threading.Condition()
        self._begun = 0
        self._began_at = -math.inf
        self._busy = False
        self._latest: _ListCall[T] = _ListCall(0)
        self._readable: Listing[T] = Listing()

    def snapshot(self, max_age: float = 0.0, pulse: Pulse | None = None) -> Listing[T]:
        """
        Return the result of a list call that began at most `max_age` seconds before this call.

        Args:
            max_age: With 0, the list call must begin after this method was called.
            pulse: Called while the call waits for its turn, or while this thread waits for another thread's call.

        Raises:
            StacksError: The list call failed.
        """
        with self._changed:
            recent = self._clock.now() - self._began_at < max_age and self._latest.error is None
            ticket = self._begun + (0 if recent else 1)
        while True:
            with self._changed:
                wait_while(
                    lambda: self._busy and self._latest.number < ticket, self._changed, self._clock, pulse
                )
                latest = self._latest
                number = None if latest.number >= ticket else self._begin()
            if number is not None:
                self._lead(number, poll=False, pulse=pulse)
            elif latest.error is not None:
                raise copy.copy(latest.error) from None
            else:
                return latest.rows

    def find(self, id: Any, max_age: float = 0.0) -> T | None:
        """
        Return the resource with that id from a list that is at most `max_age` seconds old; `None` if the list does not
        contain it.

        Raises:
            StacksError: The list call failed, or the list is incomplete and does not contain the resource.
        """
        return self.snapshot(max_age).find(lambda row: bool(row.id == id))

    def seen(self, id: Any) -> T | None:
        """
        Without a new call, return the resource with that id from the last list that could be parsed; `None` if that
        list does not contain it.
        """
        with self._changed:
            rows = self._readable
        return next((row for row in rows if row.id == id), None)

    def wait(
        self,
        wait: Wait,
        id: Any,
        *,
        deadline: float,
        on_tick: Callable[[T | None, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        is_it: Callable[[T], bool] | None = None,
        is_new: bool = False,
        warn: Callable[[str], None] | None = None,
    ) -> T | None:
        """
        Wait until one resource reaches a wanted state.

        Args:
            wait: What to wait for.
            id: The id of the resource.
            deadline: The time, by the clock, at which the wait times out.
            on_tick: Called at least once a second, including between list calls, with the last known resource (or
                `None`) and the seconds waited.
            cancelled: Called at least twice a second; true ends the wait. While this thread makes a list call (at most
                10 s per attempt), neither `on_tick` nor `cancelled` is called.
            is_it: Returns whether the resource with that id is the right one. If not, it is treated as absent.
            is_new: Whether the resource was created a moment ago, and may not be visible yet.
            warn: Called with the remedy for an unknown status, as soon as a list shows the status.

        Returns:
            The resource as the last list showed it; `None` if the target was its deletion.

        Raises:
            UnexpectedStateError: The resource is in a state from which it cannot reach the wanted one.
            VanishedError: The resource does not exist any more.
            WaitTimeoutError: The wait timed out.
            WaitCancelledError: `cancelled()` was true.
            InvalidApiKeyError: The key was revoked during the wait.
            ForbiddenError: The key may not list the resources.
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
                lag=self._platform.lag,
                pause=self._platform.pause,
                is_new=is_new,
                warn=warn,
            )
        )

    def follow(self, watch: Watch[T]) -> T | None:
        """Wait until the watch accepts a list, and return its resource. If the watch raises, the wait ends."""
        with self._changed:
            ticket = self._begun + 1
        while True:
            with self._changed:
                wait_while(
                    functools.partial(self._is_blocked, watch, ticket),
                    self._changed,
                    self._clock,
                    watch.pulse,
                )
                latest = self._latest
                number = None if latest.number >= ticket else self._begin()
            if number is not None:
                self._lead(number, poll=True, pulse=watch.pulse)
            elif isinstance(latest.error, _FATAL):
                raise copy.copy(latest.error) from None
            else:
                ticket = latest.number + 1
                if latest.error is not None:
                    watch.trouble = latest.error
                elif watch.judge(latest.rows):
                    return watch.resource

    def held_back(self) -> float:
        """Return the seconds until the rate limit allows the next list call; 0 if it does not delay the waiters."""
        pace = self._pace()
        if pace < _HELD_BACK:
            return 0.0
        with self._changed:
            # A call in progress waits for the limiter, because no request is left in this window.
            return pace if self._busy else max(self._began_at + min(pace, _LONGEST) - self._clock.now(), 0.0)

    def _is_blocked(self, watch: Watch[T], ticket: int) -> float:
        """
        Return the seconds for which this waiter has nothing to do; 0 if a list for it was received or a call is due.
        """
        if self._latest.number >= ticket:
            return 0.0
        due = self._due(watch) - self._clock.now()
        return due if due > 0 else math.inf if self._busy else 0.0

    def _due(self, watch: Watch[T]) -> float:
        """
        Return the time, by the clock, at which this waiter makes the next call if no other waiter makes it earlier.
        """
        every, pace = (
            _SHORTEST if watch.missing else interval(watch.elapsed, watch.quick, watch.often),
            min(self._pace(), _LONGEST),
        )
        # A list call that is too early shows nothing, and uses up a request that will be needed later.
        delay = max(watch.delay, watch.earliest if pace > every else 0.0)
        return max(watch.started + delay, self._began_at + max(every, pace))

    def _begin(self) -> int:
        """
        Return the number of the call that the caller makes now. The caller holds the lock, and no call is in progress.
        """
        self._busy = True
        self._begun += 1
        self._began_at = self._clock.now()
        return self._begun

    def _lead(self, number: int, *, poll: bool, pulse: Pulse | None) -> None:
        ended = None
        try:
            ended = _ListCall(number, self._send(msgspec.structs.replace(self._call, poll=poll, pulse=pulse)))
        except CALL_ERRORS as error:
            ended = _ListCall(number, error=error)
        finally:
            with self._changed:
                self._busy = False
                if ended is not None:
                    self._latest = ended
                    if ended.error is None:
                        self._readable = ended.rows
                self._changed.notify_all()
