"""
The rate limit, kept by all threads of a process together and led by what the API's headers say.

The API counts requests in windows of a minute. While a window has requests left nothing is slowed down; when it has
none, everybody waits until it ends. What is known is only ever this:

    free = limit - sent - others

`limit` is announced by the API, `sent` is ours in this window (those in flight included), and `others` is what the
API counts beyond ours: a second process with the same key. Of each window the first answer has to come before more
than a few requests are out, because until then nobody knows whether the window really is new, how large it is, and
whether the API is there at all.
"""

from __future__ import annotations

import itertools
import math
import random
import threading
from collections.abc import Callable
from typing import Any, Final

from stacks_pulumi._clock import Clock, Pulse, beat, wait_while
from stacks_pulumi.api._call import Answer, Call, Priority, Sender
from stacks_pulumi.api._rate_headers import WINDOW, rates, retry_after

__all__ = ["Limit", "Limiter", "OnLimit"]

OnLimit = Callable[[float, int], None]
"""Called with the seconds until the rate limit opens (0 if only for a turn) and the number of calls that wait."""

_PROBES: Final = 4
"""How many requests may be out while the window is not known."""
_SAME_WINDOW: Final = 5.0
"""Ends of windows that are closer than this, in seconds, are the end of one window."""
_NO_ADVICE: Final = 10.0
"""How long to pause after a 429 that does not say for how long."""
_LONGEST_PAUSE: Final = 300.0
_TOO_MANY: Final = 429


class Limit:
    """The handler: every attempt of every call takes its place in the queue."""

    def __init__(self, send: Sender, limiter: Limiter) -> None:
        self._send = send
        self._limiter = limiter

    def __call__(self, call: Call[Any]) -> Answer:
        """Wait for a turn, then send."""
        self._limiter.acquire(call.priority, call.pulse)
        answer: Answer | None = None
        try:
            answer = self._send(call)
            return answer
        finally:
            self._limiter.release(answer)


class Limiter:
    """
    The queue and the count.

    Args:
        per_minute: The budget until a header says otherwise.
        at_once: How many requests may be in flight.
        clock: Time.
        on_limit: See `OnLimit`. Called in the thread that waits, at once and then at least once a second, without
            any lock held. What it raises ends that request before it is sent.
        spread: A number from 0 to 1 that keeps processes which wait for the same moment apart.
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

    @property
    def per_minute(self) -> int:
        """Requests a minute, as the API's headers say it; the budget until then."""
        with self._changed:
            return self._limit

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
        """Take note that a request is no longer in flight, and of what its answer (`None`: none came) tells."""
        with self._changed:
            if answer is not None:
                self._learn(answer)
            self._in_flight -= 1
            self._changed.notify_all()

    def pace(self) -> float:
        """Seconds between requests at which the rest of this window lasts until its end."""
        with self._changed:
            left = self._ends - self._clock.now()
            return max(left, 0.0) / max(self._free, 1)

    def _blocked(self, ticket: tuple[Priority, int]) -> float:
        return self._closed_for(self._clock.now()) or not self._is_turn_of(ticket)

    def _tell(self, ticket: tuple[Priority, int], pulse: Pulse | None) -> None:
        with self._changed:
            closed_for, queued = self._closed_for(self._clock.now()), len(self._queue)
            # `on_limit` may take seconds. Until it returns, the next in the queue goes first.
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
            # Somebody else takes from the same window: the less is left, the fewer go out before the next answer.
            at_once = min(max(self._free // 2, 1), at_once)
        return self._in_flight < at_once and ticket == min(self._queue - self._telling)

    @property
    def _free(self) -> int:
        return self._limit - self._sent - self._others

    def _closed_for(self, now: float) -> float:
        """Seconds until there is something to be had."""
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
        if told.limit is not None and told.limit != self._limit:
            self._limit = told.limit
            self._others = 0
        if answer.status == _TOO_MANY:
            self._pause(now, answer, told.left)
            return
        known, self._known = self._known, True
        if told.remaining is None or told.left == 0 or now < self._paused_until:
            return  # nothing is told, or of a window that is over
        if told.left is not None:
            # A little later than told: clocks tell whole seconds, and another process may wait for the same one.
            ends = now + told.left + 0.25 + self._spread() / 2
            if not known:
                self._ends = ends
            elif ends > self._ends + _SAME_WINDOW:
                # The window that we counted is over by the API's clock. What is in flight may fall into the new one.
                self._open(ends, self._in_flight)
        self._others = max(self._others, self._limit - told.remaining - self._sent)

    def _pause(self, now: float, answer: Answer, left: float | None) -> None:
        advice = retry_after(answer)
        seconds = next((s for s in (advice, left) if s is not None), _NO_ADVICE)
        seconds = min(max(seconds, 1.0), _LONGEST_PAUSE) + self._spread() / 2
        self._paused_until = max(self._paused_until, now + seconds)
        # The API says when it will listen again: a new window begins then, whatever we counted.
        self._ends = self._paused_until
