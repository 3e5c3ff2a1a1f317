"""
The rate limiter, which decides when a request may be sent. All threads of a process share it, and the API's rate
headers correct it.

The API counts requests in windows of one minute. While requests are left in a window, no request is delayed. When none
are left, all requests wait until the window ends. The number of requests that are left is:

    free = limit - sent - others

The API announces `limit`. `sent` is the number of requests that this process sent in this window, including those in
flight. `others` is the number of requests that the API counts in addition, for instance because another process uses
the same key. At the start of a window, only a few requests are sent until the first response arrives. Only that
response shows whether the window is new, how many requests it allows, and whether the API can be reached.

`rates`, `retry_after` and `server_time` read the headers (guide, "Rate Limiting"). `rates` and `retry_after` convert
times to seconds from now.
"""

from __future__ import annotations

import email.utils
import enum
import itertools
import math
import random
import re
import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec

from stacks_pulumi._clock import Clock, Pulse, beat, wait_while
from stacks_pulumi.api._call import Answer, Call, Sender

WINDOW: Final = 60.0
"""Length of a window in seconds: limits are per minute."""

_LONGEST_LEFT: Final = WINDOW + 5
"""The maximum number of seconds until a window ends. A larger value shows that one of the two clocks is wrong."""

OnLimit = Callable[[float, int], None]
"""
Called with two numbers: the seconds until the rate limit allows requests, and the number of waiting calls. The first
number is 0 if the call only waits for its turn in the queue.
"""

_PROBES: Final = 4
"""The number of requests that may be in flight while the window is unknown."""
_SAME_WINDOW: Final = 5.0
"""If the ends of two windows differ by at most this many seconds, they are the same window."""
_NO_ADVICE: Final = 10.0
"""Seconds to wait after a 429 that does not state how long to wait."""
_LONGEST_PAUSE: Final = 300.0
_TOO_MANY: Final = 429


class Priority(enum.IntEnum):
    """The order of calls that wait for the rate limit: a call with a smaller number is sent first."""

    REFUSED = 0
    WRITE = 1
    READ = 2
    POLL = 3


def priority_of(call: Call[Any]) -> Priority:
    """Return the priority of a call among the calls that wait for the rate limit."""
    if call.refused:
        return Priority.REFUSED
    if call.poll:
        return Priority.POLL
    return Priority.READ if call.endpoint.method == "GET" else Priority.WRITE


class Limit:
    """The handler in which every attempt of every call waits for its turn in the queue."""

    def __init__(self, send: Sender, limiter: Limiter) -> None:
        self._send = send
        self._limiter = limiter

    def __call__(self, call: Call[Any]) -> Answer:
        """Wait for the call's turn, then send the call."""
        self._limiter.acquire(priority_of(call), call.pulse)
        answer: Answer | None = None
        try:
            answer = self._send(call)
            return answer
        finally:
            self._limiter.release(answer)


class Limiter:
    """
    The queue of calls, and the count of requests in the current window.

    Args:
        per_minute: The limit that applies until a header reports a different one.
        at_once: How many requests may be in flight.
        clock: The clock.
        on_limit: See `OnLimit`. Called in the waiting thread, while it holds no lock: when the wait begins, and then at
            least once a second. If it raises, the request is not sent.
        spread: Returns a random number from 0 to 1. It prevents processes that wait for the same window from sending at
            the same moment.
    """

    def __init__(
        self,
        per_minute: int,
        at_once: int,
        clock: Clock,
        on_limit: OnLimit | None = None,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._on_limit = on_limit
        self._spread = spread
        self._at_once = at_once
        self._changed = threading.Condition()
        self._tickets = itertools.count()
        self._queue: set[tuple[Priority, int]] = set()
        self._telling: set[tuple[Priority, int]] = set()
        self._in_flight = 0
        self._limit = per_minute
        self._sent = 0
        self._others = 0
        self._ends = -math.inf
        self._known = False
        self._paused_until = -math.inf
        self._ahead: float | None = None

    @property
    def per_minute(self) -> int:
        """
        The number of requests per minute: the limit in the API's headers or, before the first response, the configured
        limit.
        """
        with self._changed:
            return self._limit

    def server_now(self) -> float | None:
        """Return the time by the API's clock, in seconds since the Unix epoch; `None` if no response has shown it."""
        with self._changed:
            return None if self._ahead is None else self._clock.wall() + self._ahead

    def acquire(self, priority: Priority, pulse: Pulse | None = None) -> None:
        """Wait until a request may be sent; count it as sent."""
        with self._changed:
            ticket = (priority, next(self._tickets))
            self._queue.add(ticket)
            try:
                wait_while(
                    lambda: self._blocked(ticket),
                    self._changed,
                    self._clock,
                    lambda: self._tell(ticket, pulse),
                )
                self._sent += 1
                self._in_flight += 1
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def release(self, answer: Answer | None) -> None:
        """
        Record that a request is no longer in flight, and read the rate headers of its response; `answer` is `None` if
        there was no response.
        """
        with self._changed:
            if answer is not None:
                self._learn(answer)
            self._in_flight -= 1
            self._changed.notify_all()

    def pace(self) -> float:
        """Return how many seconds apart requests must be sent so that the remaining ones last until the window ends."""
        with self._changed:
            left = self._ends - self._clock.now()
            return max(left, 0.0) / max(self._free, 1)

    def _blocked(self, ticket: tuple[Priority, int]) -> float:
        return self._closed_for(self._clock.now()) or not self._is_turn_of(ticket)

    def _tell(self, ticket: tuple[Priority, int], pulse: Pulse | None) -> None:
        with self._changed:
            closed_for, queued = self._closed_for(self._clock.now()), len(self._queue)
            # `on_limit` may take seconds. Until it returns, the next call in the queue may be sent before this one.
            self._telling.add(ticket)
        try:
            beat(pulse)
            if self._on_limit is not None:
                self._on_limit(closed_for, queued)
        finally:
            with self._changed:
                self._telling.discard(ticket)

    def _is_turn_of(self, ticket: tuple[Priority, int]) -> bool:
        at_once = self._at_once
        if not self._known:
            at_once = min(_PROBES, at_once)
        elif self._others:
            # Another process uses the same window: the fewer requests are left, the fewer may be in flight.
            at_once = min(max(self._free // 2, 1), at_once)
        return self._in_flight < at_once and ticket == min(self._queue - self._telling)

    @property
    def _free(self) -> int:
        return self._limit - self._sent - self._others

    def _closed_for(self, now: float) -> float:
        """Return the seconds until a request may be sent; 0 if one may be sent now."""
        if now < self._paused_until:
            return self._paused_until - now
        if now >= self._ends:
            self._open(now + WINDOW, self._in_flight)
            self._known = False
        return 0.0 if self._free > 0 else self._ends - now

    def _open(self, ends: float, sent: int) -> None:
        self._ends = ends
        self._sent = sent
        self._others = 0

    def _learn(self, answer: Answer) -> None:
        now, told = self._clock.now(), rates(answer)
        date = server_time(answer)
        if date is not None:
            self._ahead = date - answer.received
        if told.limit is not None and told.limit != self._limit:
            self._limit = told.limit
            self._others = 0
        if answer.status == _TOO_MANY:
            self._pause(now, answer, told.left)
            return
        known, self._known = self._known, True
        if told.remaining is None or told.left == 0 or now < self._paused_until:
            return  # no headers, or headers of a window that has ended
        if told.left is not None:
            # Begin the next window a little later than announced: clocks show whole seconds, and other processes may
            # wait for the same moment.
            ends = now + told.left + 0.25 + self._spread() / 2
            if not known or ends < self._ends:
                self._ends = ends
            elif ends > self._ends + _SAME_WINDOW:
                # By the API's clock, the window that we counted has ended. The API may count our requests in flight in
                # the new window.
                self._open(ends, self._in_flight)
        self._others = max(self._others, self._limit - told.remaining - self._sent)

    def _pause(self, now: float, answer: Answer, left: float | None) -> None:
        advice = retry_after(answer)
        seconds = next((s for s in (advice, left) if s is not None), _NO_ADVICE)
        seconds = min(max(seconds, 1.0), _LONGEST_PAUSE) + self._spread() / 2
        self._paused_until = max(self._paused_until, now + seconds)
        # The API states when it accepts requests again. A new window begins then, no matter how many requests were
        # counted before.
        self._ends = self._paused_until


_COUNT: Final = re.compile(r"(\d{1,9})(?!\w)")
_SECONDS: Final = re.compile(r"(\d{1,11}(?:\.\d+)?)(?!\w)")


class Rates(msgspec.Struct, frozen=True):
    """
    The rate headers of a response. If a header is missing or invalid, its attribute is `None`.

    Attributes:
        limit: The number of requests that are allowed in a window.
        remaining: The number of requests that are left in this window.
        left: Seconds until the window ends; 0 if it has ended.
    """

    limit: int | None = None
    remaining: int | None = None
    left: float | None = None


def rates(answer: Answer) -> Rates:
    limit = _number(_COUNT, answer.headers.get("x-ratelimit-limit"))
    remaining = _number(_COUNT, answer.headers.get("x-ratelimit-remaining"))
    reset = _number(_SECONDS, answer.headers.get("x-ratelimit-reset"))
    left = None if reset is None else min(max(reset - _server_time(answer), 0.0), _LONGEST_LEFT)
    return Rates(int(limit) if limit else None, None if remaining is None else int(remaining), left)


def retry_after(answer: Answer) -> float | None:
    """
    Return how many seconds to wait according to the response, which may state a number or a date; otherwise `None`.
    """
    text = answer.headers.get("retry-after")
    seconds = _number(_SECONDS, text)
    if seconds is not None:
        return seconds
    date = _date(text)
    return None if date is None else max(date - _server_time(answer), 0.0)


def server_time(answer: Answer) -> float | None:
    """Return the date in the response's headers, in seconds since the Unix epoch; `None` if there is no date."""
    return _date(answer.headers.get("date"))


def _server_time(answer: Answer) -> float:
    # The reset time comes from the server's clock, so it is compared with the answer's date, if the answer has one.
    date = server_time(answer)
    return answer.received if date is None else date


def _number(pattern: re.Pattern[str], text: str | None) -> float | None:
    match = pattern.match(text.strip()) if text else None
    return float(match.group(1)) if match else None


def _date(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
