"""
Which requests are retried, when, and how often. No other layer retries.

    GET, PUT, DELETE    no answer, 429, 5xx, an answer that cannot be read
    POST                429, and connections that were never made: it certainly did not happen

A POST whose outcome is unknown is resolved by `once`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import tenacity

from stacks_pulumi._clock import Clock, sleep_with_pulse
from stacks_pulumi.api._call import Call, Handler
from stacks_pulumi.errors import (
    ApiError,
    ConnectionFailedError,
    NoCapacityError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    StacksError,
    UnreadableAnswerError,
)

__all__ = ["Quota", "Retry", "in_doubt", "most_attempts", "pause", "worth_another"]

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
_LONGEST_ADVICE: Final = 300.0
_LONGEST_OUTAGE: Final = 30.0
"""Seconds to wait at most where a server that failed asks for a pause. It may be wrong about how long it takes."""


def in_doubt(error: BaseException) -> bool:
    """Whether the outcome of a request is unknown that ended with this error."""
    if isinstance(error, ConnectionFailedError):
        return error.sent
    return isinstance(error, (ServerError, UnreadableAnswerError)) and not isinstance(error, NoCapacityError)


def worth_another(call: Call[Any], error: BaseException) -> bool:
    """
    Whether the same call may be sent again after this error.

    A restart (`PUT .../status`) is not idempotent to the letter, and still is repeated: what is asked for is that the
    container starts anew from now on. If the first one did happen, the second costs seconds; if it did not, leaving
    it out would leave the container without its new environment for good.
    """
    if isinstance(error, RateLimitedError):
        # An hour's pause is for people to decide on.
        return error.retry_after is None or error.retry_after <= _LONGEST_ADVICE
    if isinstance(error, ConnectionFailedError) and not error.sent:
        return True
    return call.repeatable and in_doubt(error)


def most_attempts(error: BaseException) -> int:
    """How often a call is sent at most, if this is how it ended."""
    if isinstance(error, RateLimitedError):
        return 10  # each one waited for as long as the API asked
    if isinstance(error, UnreadableAnswerError):
        return 3  # one may have been cut short; what always looks like this is meant
    return 5


def pause(error: BaseException, attempt: int, chance: float) -> float:
    """Seconds before the next attempt: full jitter, so that calls that failed together do not return together."""
    if isinstance(error, RateLimitedError):
        return 0.0  # the limiter holds everybody back already
    advice = (error.retry_after if isinstance(error, ServerError) else None) or 0.0
    jitter = chance * min(_FIRST_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE)
    return jitter + min(advice, _LONGEST_OUTAGE)


class Quota:
    """
    What keeps an outage from being multiplied: retries are paid from a purse that only success refills.

    Args:
        size: How many retries may fail in a row, over all calls together.
    """

    def __init__(self, size: int = 100) -> None:
        self._size = size
        self._left = float(size)
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Pay for one retry; false if the purse is empty."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def refill(self, paid: int) -> None:
        """After a success: what its own retries cost comes back, or a little if it needed none."""
        with self._lock:
            self._left = min(self._left + max(paid, 0.2), self._size)


class Retry:
    """The handler."""

    def __init__(self, handle: Handler, clock: Clock, chance: Callable[[], float] = random.random) -> None:
        self._handle = handle
        self._clock = clock
        self._chance = chance
        self._quota = Quota()

    def __call__(self, call: Call[T]) -> T:
        """
        Carry the call out, in more than one attempt if that is safe and may help.

        Raises:
            StacksError: The last attempt's error.
        """
        paid = 0
        doubtful = False

        def attempt() -> T:
            nonlocal doubtful
            try:
                value = self._handle(call)
            except NotFoundError:
                # It is gone, and an earlier attempt of ours may well have been what removed it: that is success.
                if doubtful and call.method == "DELETE":
                    return call.parse("")
                raise
            except StacksError as error:
                if doubtful and isinstance(error, ApiError):
                    raise replace(error, after_doubt=True) from None
                doubtful = doubtful or in_doubt(error)
                raise
            self._quota.refill(paid)
            return value

        def spent(state: tenacity.RetryCallState) -> bool:
            nonlocal paid
            error = _error_of(state)
            if state.attempt_number >= most_attempts(error):
                return True
            if isinstance(error, RateLimitedError):
                return False
            paid += 1
            return not self._quota.take()

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: worth_another(call, error)),
            stop=spent,
            wait=lambda state: pause(_error_of(state), state.attempt_number, self._chance()),
            sleep=lambda seconds: sleep_with_pulse(seconds, self._clock, call.pulse),
            reraise=True,
        )(attempt)


def _error_of(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome is not None else None
    if error is None:
        msg = "tenacity asks for a pause only after an error"
        raise AssertionError(msg)
    return error
