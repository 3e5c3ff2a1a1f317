"""
Decides which requests are retried, when, and how often. No other layer retries.

    GET, PUT, DELETE, a POST with `again`    no response, 429, 5xx, a response that cannot be read
    any other POST                           429, and a connection that failed before the request was sent
    any                                      a broker's temporary refusal

`once` finds out whether a create request with an unknown outcome was carried out. For a restore request, nothing can
show this.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from stacks_pulumi._clock import Clock, Pulse, beat, sleep_with_pulse
from stacks_pulumi.api._call import Call, Handler
from stacks_pulumi.errors import (
    ConflictError,
    ConnectionFailedError,
    NoCapacityError,
    RateLimitedError,
    ServerError,
    StacksError,
    UnreadableAnswerError,
)

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
_LONGEST_ADVICE: Final = 300.0
_LONGEST_OUTAGE: Final = 30.0
"""
The maximum wait in seconds if a failed server asks for a pause. The pause that the server asks for may be too long.
"""
_BUSY_PAUSE: Final = 5.0


_MOVED: Final = frozenset({301, 307, 308})
"""Redirects that ask the client to repeat the request at a different address. The request was not carried out."""


def is_busy(error: BaseException) -> bool:
    """
    Return whether a broker has refused a request, without sending it, only because another operation is in progress.
    """
    return isinstance(error, ConflictError) and error.body.get("code") == "grant-busy"


def in_doubt(error: BaseException) -> bool:
    """Return whether this error leaves the outcome of its request unknown."""
    if isinstance(error, ConnectionFailedError):
        return error.sent
    if isinstance(error, UnreadableAnswerError) and error.status in _MOVED:
        return False
    return isinstance(error, (ServerError, UnreadableAnswerError)) and not isinstance(error, NoCapacityError)


def worth_another(call: Call[Any], error: BaseException) -> bool:
    """
    Return whether the same call may be sent again after this error.

    A restart (`PUT .../status`) is not exactly idempotent, but it is retried too. If the first request was carried out,
    a second restart costs only seconds. If the first request was lost and not retried, the container would keep running
    without its new environment.
    """
    if isinstance(error, RateLimitedError):
        # If the API asks for a longer wait than that, the user decides whether to wait.
        return error.retry_after is None or error.retry_after <= _LONGEST_ADVICE
    if isinstance(error, ConnectionFailedError) and not error.sent:
        return True
    if is_busy(error):
        return True
    return call.repeatable and in_doubt(error)


def most_attempts(error: BaseException) -> int:
    """Return the maximum number of attempts for a call that ends with this error."""
    if isinstance(error, RateLimitedError):
        return 10  # each attempt waits as long as the API asks
    if is_busy(error):
        return 12  # for about a minute
    if isinstance(error, UnreadableAnswerError):
        return 3  # one answer may be cut short; if several are unreadable, a retry does not help
    return 5


def pause(error: BaseException, attempt: int, chance: float) -> float:
    """
    Return the seconds before the next attempt. They are random, so that calls that failed together are not repeated
    together.
    """
    if isinstance(error, RateLimitedError):
        return 0.0  # the limiter already delays all calls
    if is_busy(error):
        return _BUSY_PAUSE
    advice = (error.retry_after if isinstance(error, ServerError) else None) or 0.0
    jitter = chance * min(_FIRST_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE)
    return jitter + min(advice, _LONGEST_OUTAGE)


class Quota:
    """
    A budget for retries, so that retries do not multiply the load during an outage. Only successful calls refill it.

    Args:
        size: The number of retries, over all calls, that may fail in a row.
    """

    def __init__(self, size: int = 100) -> None:
        self._size = size
        self._left = float(size)
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one retry from the budget; return false if the budget is used up."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def refill(self, paid: int) -> None:
        """
        After a successful call, refill the budget by the cost of the call's retries, or by a small amount if there were
        none.
        """
        with self._lock:
            self._left = min(self._left + max(paid, 0.2), self._size)


class Retry:
    """
    The handler that retries calls.

    Args:
        handle: The handlers that follow in the chain.
        clock: The clock.
        chance: Returns a random number from 0 to 1.
        on_repeat: Called before each retry of a request that changes something; an exception from it ends the call.
    """

    def __init__(
        self,
        handle: Handler,
        clock: Clock,
        chance: Callable[[], float] = random.random,
        on_repeat: Pulse = lambda: None,
    ) -> None:
        self._handle = handle
        self._clock = clock
        self._chance = chance
        self._on_repeat = on_repeat
        self._quota = Quota()

    def __call__(self, call: Call[T]) -> T:
        """
        Send the call, and retry it if that is safe and may help.

        Raises:
            StacksError: The last attempt's error.
        """
        paid, doubtful = 0, False
        for attempt in itertools.count(1):
            try:
                value = self._handle(call)
            except StacksError as error:
                free = isinstance(error, RateLimitedError)
                again = worth_another(call, error) and attempt < most_attempts(error)
                if not again or not (free or self._quota.take()):
                    if doubtful:
                        raise error.but(after_doubt=True) from None
                    raise
                paid += not free
                call = msgspec.structs.replace(call, refused=call.refused or free)
                doubtful = doubtful or in_doubt(error)
                seconds = pause(error, attempt, self._chance())
            else:
                self._quota.refill(paid)
                return value
            sleep_with_pulse(seconds, self._clock, call.pulse)
            if call.endpoint.method != "GET":
                beat(self._on_repeat)
        raise AssertionError
