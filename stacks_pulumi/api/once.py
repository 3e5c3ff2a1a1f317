"""
Creating something exactly once, over a network that loses answers.

A POST that is repeated may create twice, and one that is given up may have created. So: look, POST, and whenever it
is not known what became of it, look again before anything else is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

from stacks_pulumi._clock import Clock, Pulse, beat, shielded, sleep_with_pulse
from stacks_pulumi.api._call import CALL_ERRORS
from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.api._words import scrub
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
    before: Iterable[T],
    taken: Callable[[T], bool] | None,
    post: Callable[[], T],
    look: Callable[[], Iterable[T]],
    ours: Callable[[T], bool],
    clock: Clock,
    pauses: Sequence[float] = PAUSES,
    pulse: Pulse | None = None,
) -> T:
    """
    Create something once, and say what it is.

    Args:
        what: What is done, for messages, for instance `create container "web"`.
        before: What was there before.
        taken: Whether a thing stands in the way; `None` if none can.
        post: Asks for the thing; raises `UnreadableAnswerError` if the answer does not tell what was made.
        look: Lists what is there now.
        ours: Whether a thing that was not there before is what was asked for.
        clock: Time.
        pauses: Seconds before the look that follows the first, second ... doubtful attempt; one attempt for each.
        pulse: Called before the request is sent again; what it raises ends the attempts, but not a look.

    Raises:
        ExistsError: It was there before it was asked for, or somebody was faster.
        StacksError: What the API said; of an outcome that could not be found out, the first doubtful answer.
    """
    before = tuple(before)
    _refuse(what, before, taken)
    known = {thing.id for thing in before}

    def appeared() -> T | None:
        return next((thing for thing in look() if thing.id not in known and ours(thing)), None)

    doubt: StacksError | None = None
    for attempt in range(len(pauses)):
        try:
            if doubt is not None:
                beat(pulse)
            return post()
        except CALL_ERRORS as error:
            if in_doubt(error):
                doubt = error
                # A success that does not tell the id was carried out. Anything else may still be in progress, and is
                # sent again if the look shows nothing.
                done = isinstance(doubt, UnreadableAnswerError) and doubt.status in _SUCCESS
                found = _find(appeared, doubt, pauses[attempt:], clock, done=done)
            elif doubt is None:
                if isinstance(error, (BadRequestError, ConflictError)):
                    # Somebody may have been faster than our look.
                    with contextlib.suppress(*CALL_ERRORS):
                        _refuse(what, () if taken is None else look(), taken)
                raise
            else:
                done = isinstance(error, _STANDS_IN_THE_WAY)
                found = _find(appeared, doubt, pauses[attempt:] if done else (0.0,), clock, done=done)
                if found is None:
                    raise
        except StacksError:
            # The pulse ended it before the request was sent again, so the first one is looked for once more.
            if doubt is None:
                raise
            found = _find(appeared, doubt, pauses[attempt:], clock, done=True)
            if found is None:
                raise
        if found is not None:
            return found
    raise doubt or AssertionError


def _refuse(what: str, things: Iterable[T], taken: Callable[[T], bool] | None) -> None:
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
) -> T | None:
    """
    What appeared; `None` if a look showed that nothing did. Raises the doubt if no look came about.

    What is (perhaps) done shows at once or, if the list lags, a little later: it is looked for until the pauses end.
    """
    looked = False
    # There may be something that is in no state, so neither a cancellation nor a deadline ends the look.
    with shielded():
        for pause in (0.0, *pauses) if done else pauses:
            sleep_with_pulse(pause, clock)
            try:
                found = appeared()
            except CALL_ERRORS:
                continue
            looked = True
            if found is not None or not done:
                return found
    if looked:
        return None
    raise doubt
