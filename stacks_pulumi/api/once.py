"""
Creating something exactly once, over a network that loses answers.

A POST that is repeated may create twice, and one that is given up may have created. So: look, POST, and whenever it
is not known what became of it, look again before anything else is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from stacks_pulumi._clock import Clock, Pulse, beat, shielded, sleep_with_pulse
from stacks_pulumi.api._call import CALL_ERRORS
from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.api._words import scrub
from stacks_pulumi.api.models import Listing
from stacks_pulumi.errors import (
    BadRequestError,
    ConflictError,
    ExistsError,
    PaymentRequiredError,
    StacksError,
    UnreadableAnswerError,
)

__all__ = ["once"]


class _Named(Protocol):
    @property
    def id(self) -> Any: ...


T = TypeVar("T", bound=_Named)

PAUSES: Final = (1.0, 3.0, 8.0)
_SUCCESS: Final = range(200, 300)
_STANDS_IN_THE_WAY: Final = (BadRequestError, ConflictError, PaymentRequiredError)
"""Refusals that an earlier attempt of ours may have caused: its name is taken, its price has reached the cap."""


def once(
    *,
    what: str,
    before: Listing[T],
    taken: Callable[[T], bool] | None,
    post: Callable[[], T],
    look: Callable[[], Listing[T]],
    ours: Callable[[T], bool],
    clock: Clock,
    refused_by: Callable[[StacksError], StacksError | None] = lambda _error: None,
    pauses: Sequence[float] = PAUSES,
    pulse: Pulse | None = None,
) -> T:
    """
    Create something once, and say what it is.

    Args:
        what: What is done, for messages, for instance `create container "web"`.
        before: What was there before. If that list is incomplete, an unknown outcome stays unknown.
        taken: Whether a thing stands in the way; `None` if none can.
        post: Asks for the thing; raises `UnreadableAnswerError` if the answer does not tell what was made.
        look: Lists what is there now.
        ours: Whether a thing that was not there before is what was asked for.
        clock: Time.
        refused_by: For an error after which the request must not be sent again although its outcome is unknown: the
            error to raise if two looks, with a pause between them, show nothing. `None` for all other errors.
        pauses: Seconds before the look that follows the first, second ... doubtful attempt; one attempt for each.
        pulse: Called before the request is sent again; what it raises ends the attempts, but not a look.

    Raises:
        ExistsError: It was there before it was asked for, or somebody was faster.
        StacksError: What the API said; of an outcome that could not be found out, the first doubtful answer.
    """
    _refuse(what, before, taken)
    known = {thing.id for thing in before}

    def appeared() -> T | None:
        listed = look()
        new = [thing for thing in listed if thing.id not in known]
        # A row that could be read only in part may seem to be ours, or seem not to be.
        found = next((thing for thing in new if thing.id not in listed.damaged and ours(thing)), None)
        damaged = any(thing.id in listed.damaged for thing in new)
        if before.gap is not None or (found is None and damaged):
            msg = f"{what}: a list that cannot be read in full does not show what was created"
            raise UnreadableAnswerError(msg, status=200)
        if found is None:
            listed.require_complete()
        return found

    def resolve(error: StacksError, rest: Sequence[float]) -> T | None:
        """What the request created although it ended like this; `None` if nothing, and it may be sent again."""
        refusal = refused_by(error)
        if refusal is None:
            # A success that does not tell the id was carried out. Anything else may still be in progress, and is sent
            # again if the look shows nothing.
            done = isinstance(error, UnreadableAnswerError) and error.status in _SUCCESS
            return _find(appeared, error, rest, clock, done=done)
        found = _find(appeared, error, pauses, clock, done=True, looks=2)
        if found is None:
            raise refusal from None
        return found

    doubt: StacksError | None = None
    for attempt in range(len(pauses)):
        rest = pauses[attempt:]
        try:
            if doubt is not None:
                beat(pulse)
            return post()
        except StacksError as error:
            if in_doubt(error):
                doubt = error
                found = resolve(error, rest)
            elif doubt is None:
                if isinstance(error, (BadRequestError, ConflictError)) and taken is not None:
                    # Another client may have been faster than our look.
                    with contextlib.suppress(*CALL_ERRORS):
                        _refuse(what, look(), taken)
                raise
            else:
                # It was refused, perhaps because an earlier attempt was carried out, or the pulse ended it.
                done = isinstance(error, _STANDS_IN_THE_WAY) or not isinstance(error, CALL_ERRORS)
                found = _find(appeared, doubt, rest if done else (0.0,), clock, done=done)
                if found is None:
                    raise
        if found is not None:
            return found
    raise doubt or AssertionError


def _refuse(what: str, things: Listing[T], taken: Callable[[T], bool] | None) -> None:
    existing = None if taken is None else next(filter(taken, things), None)
    if existing is not None:
        msg = f"{what}: it is there already (id {existing.id}); take that one over, or remove it first"
        raise ExistsError(scrub(msg), existing=existing) from None


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
    What appeared; `None` if that many looks showed that nothing did. Raises the doubt if fewer looks succeeded.

    What is (perhaps) done shows at once or, if the list lags, a little later: it is looked for until the pauses end.
    """
    looked = 0
    # There may be something that is in no state, so neither a cancellation nor a deadline ends the look.
    with shielded():
        for pause in (0.0, *pauses) if done else pauses:
            sleep_with_pulse(pause, clock)
            try:
                found = appeared()
            except CALL_ERRORS:
                continue
            looked += 1
            if found is not None or not done:
                return found
    if looked >= looks:
        return None
    msg = (
        f"{doubt}; no list shows whether it was carried out, so its outcome is unknown: look in the STACKS dashboard "
        "before you try again"
    )
    raise doubt.replaced(msg) from None
