"""
Makes a request take effect exactly once, even if the network loses responses.

`Once` creates an object. If the outcome is unknown, it checks whether the object exists, and if not, sends the request
again. If the platform itself does not prevent a second object, the list is checked twice before that. One lost response
costs a few seconds, and an outage costs about 15 seconds.

`settle` changes or deletes an object. If a response is lost, the retry may be refused because the first attempt was
carried out or is in progress. The same happens after a crash, if an earlier process sent the request. So a refusal is
an error only if the state differs from the requested state.

`look_twice` decides whether an object is deleted. `Deleted` records the objects that this client has deleted, for as
long as lists may still contain them.
"""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from stacks_pulumi._clock import Clock, Pulse, beat, shielded, sleep_with_pulse
from stacks_pulumi._identifiers import seconds_of
from stacks_pulumi.api._bodies import scrub
from stacks_pulumi.api._call import CALL_ERRORS, Call, Handler
from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.api.models import Listing
from stacks_pulumi.errors import (
    ApiError,
    BadRequestError,
    ConflictError,
    ExistsError,
    StacksError,
    UnreadableAnswerError,
)


class _HasId(Protocol):
    @property
    def id(self) -> Any: ...


R = TypeVar("R")
T = TypeVar("T", bound=_HasId)

PAUSES: Final = (1.0, 2.0, 4.0)
"""Seconds before each repeat of a request whose outcome is unknown."""
BETWEEN: Final = 2.0
"""Seconds between two checks that together prove that an object does not exist."""
_SEARCH: Final = (0.0, 2.0, 3.0, 5.0)
"""Seconds before each check for the effect of a request that must not be repeated."""
_EVERY: Final = 10.0
"""Seconds between later checks while the requested name is taken, but no list contains the object that has the name."""
_EARLIER: Final = 2.0
"""Seconds by which a creation time may precede our request, because dates are whole seconds."""
_LATER: Final = 5.0
"""
Seconds after the end of our request during which the server may still carry it out, because the server continues after
our timeout.
"""
_PAUSE: Final = 2.0
_UNKNOWN: Final = (
    "{why}, so the outcome of the request is unknown: check the STACKS dashboard before you try again, and adopt or "
    "delete the object if it exists"
)
_UNREAD: Final = "no list could be read after that"
_SUCCESS: Final = range(200, 300)
_REFUSALS: Final = (BadRequestError, ConflictError)


class _UnprovenError(StacksError):
    """A list shows an object that may be ours, but nothing proves it."""


class Once(ABC, Generic[T]):
    """
    A request that creates exactly one object, even if its responses are lost. For each kind of object, a subclass lists
    the existing objects and recognises our own object among them.

    Args:
        send: The chain.
        call: The request. Its pulse is called before each repeat. If the pulse raises, no further request is sent,
            but the search for the effect of earlier requests continues.
        clock: The clock.
        now: Returns the time by the API's clock; `None` if it is not known.
        warn: Called with a message about a second object that the repeats may have created.

    Attributes:
        is_repeatable: Whether the request may be sent again. If not, only the effect of the first request is searched
            for.
        may_exist_twice: Whether the platform allows two identical objects. If so, the list is checked twice before a
            repeat.
        needs_time: Whether an object can be recognised as ours only by its creation time.
        until: The time, by the clock, until which to check while the name is taken; `None` if the usual checks are
            enough.
        begun: The time of the first request, by the API's clock; `None` if it is not known.
    """

    is_repeatable: ClassVar[bool] = True
    may_exist_twice: ClassVar[bool] = False
    needs_time: ClassVar[bool] = False
    until: float | None = None
    begun: float | None = None

    def __init__(
        self,
        send: Handler,
        call: Call[Any],
        clock: Clock,
        *,
        now: Callable[[], float | None] = lambda: None,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.call = call
        self.clock = clock
        self.now = now
        self.warn = warn
        self.former: Listing[T] = Listing()
        self._listed: Listing[T] = Listing()
        self._asks_alone = False
        self._doubt: StacksError | None = None
        self._chain = send
        self._known: set[Any] = set()
        self._requests: list[tuple[float, float]] = []
        self._sent = 0

    # --- implemented by each kind ---

    @abstractmethod
    def existing(self) -> Listing[T]:
        """Return the objects that exist now."""

    @abstractmethod
    def is_ours(self, row: T) -> bool:
        """Return whether a row that was not listed before the request has the requested values."""

    def is_taken(self, row: T) -> bool:
        """Return whether an existing object prevents the creation."""
        return False

    def made_at(self, row: T) -> str | None:
        """Return an object's creation time."""
        return None

    def send(self) -> T:
        """Send the request; raise `UnreadableAnswerError` if the response contains no id."""
        made: T = self._chain(self.call)
        return made

    def alone(self) -> T | None:
        """Request the object at its own path, if the path is known without a response."""
        return None

    def says_taken(self, error: StacksError) -> bool:
        """Return whether a refusal states that the name is taken."""
        return False

    def final(self, error: StacksError) -> StacksError | None:
        """If the request must not be sent again after this error, return the error to raise; otherwise `None`."""
        return None

    def remove(self, row: T) -> None:
        """
        Remove a second object that the repeats of this request have created; called only if `may_exist_twice` is true.
        """

    # --- the protocol ---

    def run(self, before: Sequence[T] | None = None) -> T:
        """
        Create the object, and return it.

        Args:
            before: The objects before the request; if `None`, they are requested now.

        Raises:
            ExistsError: The object already existed, or another client created it first.
            StacksError: The API's error, or `outcome-unknown` if the effect of the request cannot be determined.
        """
        self.former = self.existing() if before is None else Listing(before)
        self._check_absence(self.former)
        self._known = {row.id for row in self.former}
        self.begun = self.now()
        try:
            return self._run()
        except _UnprovenError as unproven:
            raise self._unknown(unproven.message) from None

    def _run(self) -> T:
        made = self._attempt()
        for pause in PAUSES if self.is_repeatable else ():
            if made is not None:
                break
            made = self._repeat(pause)
        if made is None:
            # The last two checks.
            made = self._search(_SEARCH[:2])
        if made is None:
            raise self._unknown("no list shows its result")
        return self._settled(made)

    def _repeat(self, pause: float) -> T | None:
        """Check the list, and send the request again if the list shows that the object does not exist."""
        made, was_read = self._look_before_repeat(pause)
        if made is not None or not was_read:
            return made
        self._check_absence(self._listed)
        try:
            beat(self.call.pulse)
        except StacksError as ended:
            return self._ended(ended)
        return self._attempt()

    def _attempt(self) -> T | None:
        """Send the request; return the object, or `None` if the outcome is unknown and no list shows the object yet."""
        begun = self.now()
        self._sent += 1
        try:
            return self.send()
        except StacksError as error:
            if not in_doubt(error):
                if self._doubt is None:
                    self._explain(error)
                    raise
                return self._after_refusal(error)
            self._doubt = error
        finally:
            self._record(begun)
        if (final := self.final(self._doubt)) is not None:
            return self._not_again(final)
        if isinstance(self._doubt, UnreadableAnswerError) and self._doubt.status in _SUCCESS:
            # The request was carried out, so a list will show the object.
            return self._search(_SEARCH)
        return None

    def _is_older(self, row: T) -> bool:
        """Return whether an object was created before our first request; then it belongs to another client."""
        created = seconds_of(self.made_at(row))
        return created is not None and bool(self._requests) and created < self._requests[0][0] - _EARLIER

    def is_in_time(self, row: T) -> bool | None:
        """Return whether an object was created during one of our requests; `None` if that is not known."""
        return is_within(self.made_at(row), self._requests)

    def _record(self, begun: float | None) -> None:
        ended = self.now()
        if begun is None and ended is None:
            return
        # Before the first answer, the API's clock is not known, so the end of the first request is also used as its
        # start.
        self._requests.append((begun if begun is not None else ended or 0.0, ended or begun or 0.0))

    def _look_before_repeat(self, pause: float) -> tuple[T | None, bool]:
        """Return our object if it exists, and whether the lists could be requested."""
        looks = (0.0, BETWEEN) if self.may_exist_twice else (pause,)
        made: T | None = None
        was_read = True
        with shielded():
            for seconds in looks:
                sleep_with_pulse(seconds, self.clock)
                try:
                    made = self._appeared()
                except CALL_ERRORS:
                    was_read = False
                if made is not None:
                    break
        return made, was_read

    def _search(self, pauses: Sequence[float], *, all_read: bool = False) -> T | None:
        """
        Return our object as soon as a check finds it; `None` if no check finds it.

        Raises:
            StacksError: No check could be completed; with `all_read`, at least one check failed or found an incomplete
                list.
        """
        read = 0
        # The new object may exist although no state records it, so neither a cancellation nor a deadline ends the
        # search.
        with shielded():
            for pause in pauses:
                sleep_with_pulse(pause, self.clock)
                try:
                    made = self._appeared()
                    if made is None and all_read:
                        self._listed.require_complete()
                except CALL_ERRORS:
                    continue
                read += 1
                if made is not None:
                    return made
        if read < (len(pauses) if all_read else 1):
            raise self._unknown(_UNREAD)
        return None

    def _appeared(self) -> T | None:
        """Return our object if the list, or a request for the object itself, shows it; otherwise `None`."""
        self._listed = listed = self.existing()
        alone = self.alone() if self._asks_alone else None
        rows = [
            *listed,
            *([alone] if alone is not None and all(row.id != alone.id for row in listed) else []),
        ]
        new = [row for row in rows if row.id not in self._known]
        mine = [
            row
            for row in new
            if row.id not in listed.damaged and self.is_ours(row) and not self._is_older(row)
        ]
        for row in mine:
            is_in_time = self.is_in_time(row)
            if is_in_time or (is_in_time is None and not self.needs_time and self.former.gap is None):
                return row
        if mine:
            shown = scrub(str(mine[0].id))
            made = self.made_at(mine[0])
            when = f"was created at {scrub(made)}" if made else "has no creation time"
            raise _UnprovenError(
                f"{shown} {when}, which does not prove that this request created it: it may be from another stack, "
                "or from the next run of the program",
                code="outcome-unknown",
            )
        if any(row.id in listed.damaged for row in new):
            raise UnreadableAnswerError("a row of the list cannot be read", status=200)
        if self.may_exist_twice or not self.is_repeatable:
            listed.require_complete()
        return None

    def _settled(self, made: T) -> T:
        """Check for a second object that the repeats may have created, and return `made`."""
        if self._sent > 1:
            with contextlib.suppress(*CALL_ERRORS):
                for row in self.existing():
                    if row.id != made.id and row.id not in self._known and self.is_ours(row):
                        self._end_twin(made, row)
        return made

    def _end_twin(self, made: T, twin: T) -> None:
        if self.may_exist_twice and self.is_in_time(twin):
            self.remove(twin)
            return
        self.warn(
            scrub(
                f"{self.call.what}: a retry may have created a second object, {twin.id}, in addition to {made.id}: "
                f"check the STACKS dashboard, and delete {twin.id} if it is not needed"
            )
        )

    def _after_refusal(self, error: StacksError) -> T:
        """
        Return our object after a repeat was refused. The reason for the refusal may be that the first request
        succeeded.
        """
        if not isinstance(error, CALL_ERRORS):
            return self._ended(error)
        is_taken = self._asks_alone = self.says_taken(error)
        for pause in self._looks(is_taken):
            with shielded():
                sleep_with_pulse(pause, self.clock)
                with contextlib.suppress(*CALL_ERRORS):
                    made = self._appeared()
                    if made is not None:
                        return self._settled(made)
                    self._check_absence(self._listed)
            try:
                beat(self.call.pulse)
            except StacksError as ended:
                return self._ended(ended)
        raise self._unknown(
            f"it was sent again and refused ({error.reason}), but no list shows the object"
        ) from None

    def _looks(self, is_taken: bool) -> Iterator[float]:
        yield from _SEARCH
        while is_taken and self.until is not None and self.clock.now() + _EVERY <= self.until:
            yield _EVERY

    def _not_again(self, final: StacksError) -> T:
        made = self._search(_SEARCH[:3], all_read=True)
        if made is None:
            raise final from None
        return made

    def _ended(self, ended: StacksError) -> T:
        """
        Return the object if it was created before the caller ended the attempts; otherwise raise the caller's
        exception.
        """
        # The caller no longer waits, so the request is not sent again.
        made = self._search((*_SEARCH, _EVERY))
        if made is None:
            raise ended from None
        return made

    def _explain(self, error: StacksError) -> None:
        """
        Raise `ExistsError` if a list shows that the request was refused because another client created the object
        first.
        """
        if isinstance(error, _REFUSALS):
            with contextlib.suppress(*CALL_ERRORS):
                self._check_absence(self.existing())

    def _check_absence(self, rows: Listing[T]) -> None:
        existing = next(filter(self.is_taken, rows), None)
        if existing is not None:
            msg = f"{self.call.what}: it already exists (id {existing.id}); adopt it, or remove it first"
            raise ExistsError(scrub(msg), existing=existing) from None

    def _unknown(self, why: str) -> StacksError:
        doubt = self._doubt or UnreadableAnswerError(self.call.what)
        return doubt.but(message=f"{doubt.reason}; {_UNKNOWN.format(why=why)}", code="outcome-unknown")


def is_within(
    created: str | None,
    spans: Sequence[Sequence[float]],
    before: float = _EARLIER,
    after: float = _LATER,
) -> bool | None:
    """
    Return whether a creation time is in one of the spans in which a request ran; `None` if that is not known.

    Args:
        created: The creation time.
        spans: The start and end of each attempt, in seconds since the Unix epoch by the API's clock.
        before: The seconds by which the creation time may precede the start of an attempt.
        after: The seconds by which the creation time may follow the end of an attempt.
    """
    made = seconds_of(created)
    if made is None or not spans:
        return None
    return any(begun - before <= made <= ended + after for begun, ended in spans)


def look_twice(
    look: Callable[[], R | None], clock: Clock, pause: float, pulse: Pulse | None = None
) -> R | None:
    """
    Return the object that `look` finds; `None` only if two calls of `look`, `pause` seconds apart, did not find it.

    A single absence proves nothing, because a list and the response for one id may both lag behind.

    Args:
        look: Looks for one object. It raises if the response is incomplete, and returns `None` if the object is absent.
        clock: The clock.
        pause: The seconds between the two calls.
        pulse: Called between the two calls; an exception from it ends the wait.
    """
    seen = look()
    if seen is not None:
        return seen
    sleep_with_pulse(pause, clock, pulse)
    return look()


class Deleted:
    """
    Records which objects this client has deleted, for as long as the platform may still show them or reserve their
    names.

    Args:
        clock: The clock.
        seconds: The number of seconds for which a deletion is recorded.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str], float] = {}

    def add(self, scope: str, id: str) -> None:
        """Record that the API has acknowledged the deletion of an object; its id is unique within `scope`."""
        with self._lock:
            self._until[scope, id] = self._clock.now() + self._seconds

    def discard(self, scope: str, id: str) -> None:
        """Record that the API has created an object with that id."""
        with self._lock:
            self._until.pop((scope, id), None)

    def without(self, scope: str, rows: Listing[T]) -> Listing[T]:
        """Return a list without the rows of deleted objects."""
        return rows.where(lambda row: not self.has(scope, str(row.id)))

    def has(self, scope: str, id: str) -> bool:
        """Return whether this object was deleted."""
        with self._lock:
            return self._until.get((scope, id), 0.0) > self._clock.now()

    def until_free(
        self,
        scope: str,
        attempt: Callable[[], R],
        pulse: Pulse | None,
        is_held: Callable[[], bool] = lambda: True,
    ) -> R:
        """
        Return the result of an attempt. A refused attempt is repeated if the reason may be a deletion that has not yet
        taken effect.

        Args:
            scope: The scope of the deleted objects.
            attempt: Creates an object.
            pulse: Called during waits; an exception from it ends the wait.
            is_held: Returns whether a deletion may be the reason for a refusal. It is called only if an object in the
                scope was deleted recently.

        Raises:
            StacksError: The error of the attempt, if no object in the scope was deleted recently.
        """
        was_held = False
        while True:
            with self._lock:
                until = max((end for (where, _), end in self._until.items() if where == scope), default=0.0)
            try:
                return attempt()
            except (*_REFUSALS, ExistsError):
                held = self._clock.now() < until and is_held()
                if not held and not was_held:
                    raise
                was_held = held
            sleep_with_pulse(_PAUSE, self._clock, pulse)


def may_be_done(error: StacksError) -> bool:
    """Return whether a call that failed with this error may nevertheless have taken effect."""
    return in_doubt(error) or error.after_doubt


def settle(send: Handler, call: Call[R], look: Callable[[StacksError], R | None]) -> R:
    """
    Send a call. If the call is refused, or its outcome is unknown, check the state, and return the result of `look`.

    Args:
        send: The chain.
        call: The call.
        look: Called with the error. Returns the call's result if the state is the requested state, otherwise `None` or
            false.

    Raises:
        StacksError: The error of the call, if the state is not the requested state or cannot be read.
    """
    try:
        return send(call)
    except CALL_ERRORS as error:
        if not may_be_done(error) and not isinstance(error, _REFUSALS):
            raise
        result = None
        with shielded():
            try:
                result = look(error)
            except CALL_ERRORS:
                if not may_be_done(error):
                    raise error from None
                raise _unseen(error) from None
        if not result:
            raise
        return result


def _unseen(error: StacksError) -> StacksError:
    """Return the error for a request whose effect could not be checked."""
    msg = (
        f"{error.reason}; the search for its result failed too, so the outcome of the request is unknown: check the "
        "STACKS dashboard"
    )
    if in_doubt(error) or not isinstance(error, ApiError):
        return error.but(message=msg, code="outcome-unknown")
    # The API refused a repeated attempt. Do not raise that refusal, for instance a 404, because the caller would treat
    # it as the API's response to the first attempt.
    return ApiError(
        msg,
        code="outcome-unknown",
        status=error.status,
        operation=error.operation,
        text=error.text,
        body=error.body,
        after_doubt=True,
    )
