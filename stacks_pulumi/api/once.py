"""
How a request takes effect exactly once, over a network that loses responses.

`once` creates a resource. A POST that is repeated may create two resources, and one that times out may have created
one. So: list, POST, and if the outcome is unknown, list again before the next step.

`settle` changes or deletes one. If a response is lost, the retry may be refused because the first attempt was carried
out, or is in progress. The same happens after a crash: an earlier process has sent the request. So a refusal is an
error only if the state differs from the requested one.

`look_twice` decides that something is gone. `Deleted` knows what this client has deleted, while lists still show it.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

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
    PaymentRequiredError,
    StacksError,
    UnreadableAnswerError,
    WaitCancelledError,
)


class _HasId(Protocol):
    @property
    def id(self) -> Any: ...


A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T", bound=_HasId)

PAUSES: Final = (1.0, 3.0, 8.0)
_FEW: Final = 2
_PAUSE: Final = 2.0
_UNKNOWN: Final = (
    "{why}, so the outcome of the request is unknown: look in the STACKS dashboard before you try again, and adopt or "
    "delete the object if it exists"
)
_UNREAD: Final = "no list could be read after that"
_SUCCESS: Final = range(200, 300)
_REFUSALS: Final = (BadRequestError, ConflictError)
_LATER: Final = 5.0
"""Seconds after the end of a request in which it may still make a resource: a server may go on after its answer."""
_OWN_EFFECT: Final = (BadRequestError, ConflictError, PaymentRequiredError)
"""Refusals that an earlier attempt may have caused: it has taken the name, or its price has reached the cap."""


def once(
    send: Callable[[Call[A]], T],
    call: Call[A],
    *,
    before: Sequence[T] | None,
    taken: Callable[[T], bool] | None,
    look: Callable[[], Listing[T]],
    ours: Callable[[T], bool],
    alike: Callable[[T], bool] = lambda _row: False,
    is_proven: Callable[[T], bool] = lambda _row: False,
    clock: Clock,
    final_error: Callable[[StacksError], StacksError | None] = lambda _error: None,
    pauses: Sequence[float] = PAUSES,
    visible: float = 0.0,
    made_at: Callable[[T], str | None] = lambda _row: None,
    now: Callable[[], float | None] = lambda: None,
) -> T:
    """
    Create a resource once, and return it.

    Args:
        send: Sends the request; raises `UnreadableAnswerError` if the response has no id.
        call: The request. Its pulse is called before each further attempt. If the pulse raises, no further attempt is
            made, but the list is still read.
        before: The list from before the request; `None` requests it now. If it is incomplete, an unknown outcome stays
            unknown. A `Listing` was read from the API. Any other sequence is an assumption of the caller and does not
            prove that lists can be read. If a refusal then follows an unknown outcome, and no list explains it, the
            outcome stays unknown.
        taken: Whether a resource prevents the creation; `None` if no resource can.
        look: Lists the resources that exist now.
        ours: Whether a new resource is the one that was requested.
        alike: Whether a new resource that is not known to be ours may be it nevertheless. Then the outcome is unknown.
        is_proven: Whether a resource that is ours shows by itself that it is new, so that an incomplete list is enough.
        clock: Time.
        final_error: For an error after which the request must not be sent again although its outcome is unknown: the
            error to raise if two lists, with a pause between them, show no new resource. `None` for all other errors.
        pauses: Seconds before the list that follows each attempt with an unknown outcome; one attempt for each.
        visible: The seconds after which a new resource is listed. If it is given, the list is read for these seconds
            after an unknown outcome, and only then the request is sent a second and last time.
        made_at: Returns the creation time of a resource.
        now: Returns the time by the clock of creation times; `None` if it is not known.

    Raises:
        ExistsError: The resource existed before, or another client created it first.
        StacksError: The API's error; if no list shows the outcome, the error that left it unknown.
    """
    assumed = before is not None and not isinstance(before, Listing)
    former = look() if before is None else Listing(before)
    _check_absence(call.what, former, taken)
    known = {row.id for row in former}

    def appeared() -> T | None:
        listed = look()
        new = [row for row in listed if row.id not in known]
        # A row that could be read only in part may match, or not match, by mistake.
        created = next((row for row in new if row.id not in listed.damaged and ours(row)), None)
        is_shown = created is not None and (former.gap is None or is_proven(created))
        if not is_shown and (former.gap is not None or any(row.id in listed.damaged for row in new)):
            msg = f"the list cannot be read in full ({scrub(former.gap or 'a row')}), so it does not show the result"
            raise _SuspectError(msg, status=200)
        if created is None:
            _check_complete(listed, [row.id for row in new if alike(row)])
        return created

    def resolve(error: StacksError, rest: Sequence[float]) -> T | None:
        """Return the resource that the request created in spite of this error; `None` if it may be sent again."""
        final = final_error(error)
        if final is None:
            # A success without an id was carried out. Any other request may still be in progress; it is sent again
            # if the list shows no new resource. If the list may be far behind, one look does not show that.
            done = visible > 0 or (isinstance(error, UnreadableAnswerError) and error.status in _SUCCESS)
            return _find(appeared, error, rest, clock, done=done)
        created = _find(appeared, error, pauses, clock, done=True, looks=2)
        if created is None:
            raise final from None
        return created

    doubt: StacksError | None = None
    ended = -math.inf
    for attempt in range(_FEW if visible else len(pauses)):
        rest = _over(visible) if visible else pauses[attempt:]
        try:
            if doubt is not None:
                beat(call.pulse)
            return send(call)
        except StacksError as error:
            if in_doubt(error):
                doubt = error
                ended = max(ended, _end_of(error, now()))
                created = resolve(error, rest)
            elif doubt is None:
                # Another client may have created the resource before the list was read, or it is on another page.
                # If the list had one like it, that explains the refusal.
                _check_refusal(call.what, error, look, taken)
                raise
            else:
                # It was refused, perhaps because an earlier attempt was carried out, or the pulse ended it.
                done = isinstance(error, _OWN_EFFECT) or not isinstance(error, CALL_ERRORS)
                created = _find(appeared, doubt, rest if done else (0.0,), clock, done=done)
                if created is None and visible:
                    # If another client has the name, that explains the refusal.
                    _check_refusal(call.what, error, look, taken)
                explains = assumed or (visible > 0 and isinstance(error, _REFUSALS))
                if created is None and explains and isinstance(error, CALL_ERRORS):
                    raise _unknown(
                        doubt, f"then it was refused ({error.reason}), and no list shows it"
                    ) from None
                if created is None:
                    raise
        if created is not None:
            _check_awaited(created.id, _is_later(made_at(created), ended, now()), call.pulse, doubt)
            return created
    raise doubt or AssertionError


def _check_refusal(
    what: str, error: StacksError, look: Callable[[], Listing[T]], taken: Callable[[T], bool] | None
) -> None:
    if isinstance(error, _REFUSALS) and taken is not None:
        with contextlib.suppress(*CALL_ERRORS):
            _check_absence(what, look(), taken)


def _end_of(error: StacksError, now: float | None) -> float:
    """Return when a request with an unknown outcome had ended; infinite if that is not known, or it was carried out."""
    was_done = isinstance(error, UnreadableAnswerError) and error.status in _SUCCESS
    return math.inf if was_done or now is None else now


def _is_later(created_at: str | None, ended: float, now: float | None) -> bool:
    """Return whether a resource was made between the end of a request and now, so perhaps by another client."""
    at = seconds_of(created_at)
    return at is not None and now is not None and ended + _LATER < at <= now + _LATER


def _check_awaited(id_: object, is_later: bool, pulse: Pulse | None, doubt: StacksError) -> None:
    """
    Check that a resource which another client may have made is not the result of a request that was cancelled.

    No state would get its id, so it would be deleted, and the next run of the same program may have made it.
    """
    try:
        beat(pulse if is_later else None)
    except WaitCancelledError:
        msg = f"{scrub(str(id_))} was made after that, perhaps by the next run of the program"
        raise _unknown(doubt, msg) from None
    except StacksError:
        return  # a deadline has passed


def _over(seconds: float) -> list[float]:
    """Return the pauses between looks over that many seconds; the longest is a twelfth of them."""
    longest = max(seconds / 12, 1.0)
    pauses = [min(1.0, seconds)]
    while (left := seconds - sum(pauses)) > 0:
        pauses.append(min(pauses[-1] * 2, longest, left))
    return pauses


def _check_absence(what: str, rows: Listing[T], taken: Callable[[T], bool] | None) -> None:
    existing = None if taken is None else next(filter(taken, rows), None)
    if existing is not None:
        msg = f"{what}: it already exists (id {existing.id}); take it over, or remove it first"
        raise ExistsError(scrub(msg), existing=existing) from None


def _check_complete(rows: Listing[Any], alike: Sequence[object]) -> None:
    """Check that a list shows everything, and nothing that may be the result although it is not known to be."""
    rows.require_complete()
    if alike:
        msg = f"{scrub(str(alike[0]))} appeared after that, and may be the result under another name"
        raise _SuspectError(msg, status=200)


class _SuspectError(UnreadableAnswerError):
    """A list does not show whether the request had a result."""


def _unknown(doubt: StacksError, why: str) -> StacksError:
    return doubt.but(message=f"{doubt.reason}; {_UNKNOWN.format(why=why)}", code="outcome-unknown")


def _find(
    appeared: Callable[[], T | None],
    doubt: StacksError,
    pauses: Sequence[float],
    clock: Clock,
    *,
    done: bool,
    looks: int = 1,
) -> T | None:
    """
    Return the new resource; `None` if `looks` lists did not show one. Raises `doubt` if fewer lists could be read.

    If the request was carried out (`done`), the list is read until the pauses end, because it may lag. Otherwise the
    first list that can be read decides.
    """
    looked, until, why = 0, clock.now() + max(sum(pauses), 2 * sum(PAUSES)), _UNREAD
    # A new resource may exist that no state contains, so neither a cancellation nor a deadline ends the search.
    with shielded():
        for pause in (0.0, *pauses) if done else pauses:
            sleep_with_pulse(pause, clock)
            if clock.now() > until:
                break  # the looks themselves took the time, because the API fails
            try:
                created = appeared()
            except _SuspectError as error:
                # It was not there at the looks before, so these show nothing.
                looked, why = 0, error.message
                continue
            except CALL_ERRORS:
                continue
            looked += 1
            if created is not None or not done:
                return created
    if looked >= looks:
        return None
    raise _unknown(doubt, why) from None


def look_twice(
    look: Callable[[], R | None], clock: Clock, lag: float, pulse: Pulse | None = None
) -> R | None:
    """
    Return the object that a look finds; `None` only if two looks that are `lag` seconds apart did not find it.

    One absence proves nothing: a list may be behind, and so may the answer for one id.

    Args:
        look: Looks for one object. It raises if what it reads is incomplete, and returns `None` if it is not there.
        clock: Time.
        lag: How many seconds the platform may be behind.
        pulse: Called between the looks; what it raises ends the wait.
    """
    seen = look()
    if seen is not None:
        return seen
    sleep_with_pulse(lag, clock, pulse)
    return look()


class Deleted:
    """
    What this client has deleted, for as long as the platform may still show it or hold its name.

    Args:
        clock: Time.
        seconds: How long that may be.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str], float] = {}

    def add(self, scope: str, id: str) -> None:
        """Record that the API has acknowledged the deletion of an object; `scope` is where its id is unique."""
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
        Return the result of an attempt. A refusal may be the effect of a deletion that is not in effect yet: then the
        attempt is repeated.

        Args:
            scope: Where the deleted objects were.
            attempt: Creates an object.
            pulse: Called during waits; what it raises ends the wait.
            is_held: Whether a deletion may be the reason for a refusal; asked only if something in the scope was
                deleted a short time ago.

        Raises:
            StacksError: The error of the attempt, if nothing in the scope was deleted a short time ago.
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
    """Whether the call that ended with this error may have been carried out, by any of its attempts."""
    return in_doubt(error) or error.after_doubt


def settle(send: Handler, call: Call[R], look: Callable[[StacksError], R | None]) -> R:
    """
    Send a call. If it is refused, or its outcome is unknown, look at the state and return that result.

    Args:
        send: The chain.
        call: What to send.
        look: Gets the error. Returns the call's result if the state is the requested one, otherwise `None` or false.

    Raises:
        StacksError: The error of the call, if the state is not the requested one or cannot be read.
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
    """Return the error of a request whose result could not be seen."""
    msg = (
        f"{error.reason}; the look for its result failed too, so the outcome of the request is unknown: look in the "
        "STACKS dashboard"
    )
    if in_doubt(error) or not isinstance(error, ApiError):
        return error.but(message=msg, code="outcome-unknown")
    # The refusal was of a repetition. As that refusal, a 404 for instance, it would be handled as an answer.
    return ApiError(
        msg,
        code="outcome-unknown",
        status=error.status,
        operation=error.operation,
        text=error.text,
        body=error.body,
        after_doubt=True,
    )
