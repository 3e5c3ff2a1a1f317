"""
How does the run send a request, and which data of the answer does it keep? The client's own reader reads each answer.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.api._call import Answer, Call, Sender, call_to
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api._transport import Transport
from stacks_pulumi.errors import (
    ConnectionFailedError,
    RateLimitedError,
    ServerError,
    StacksError,
    UnreadableAnswerError,
)

__all__ = ["Exchange", "Heard", "OutOfTimeError", "Wire", "ids_in"]

T = TypeVar("T")

_TRIES: Final = 4
_LONGEST_PAUSE: Final = 60.0
_ID_FIELDS: Final = frozenset({"id", "container_id", "containerid", "uuid"})
_MOST_IDS: Final = 50
_WORDS: Final = dict.fromkeys(("verb", "name", "as_name", "ip_address"), "")
"""
Empty values for the variables of a request's description that its path does not contain. A report shows only the path.
"""


class OutOfTimeError(Exception):
    """The time of the run is over."""


@dataclass(frozen=True)
class Exchange:
    """One request and its raw answer: `status` is 0 if there is no answer."""

    name: str
    method: str
    path: str
    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Heard(Generic[T]):
    """
    The client's interpretation of an answer.

    Attributes:
        value: The value, if it can be read.
        error: Why the value cannot be read; includes refusals.
        last: The last exchange.
    """

    value: T | None
    error: StacksError | None
    last: Exchange

    @property
    def ok(self) -> bool:
        """Whether the request was accepted and its answer can be read."""
        return self.error is None

    @property
    def accepted(self) -> bool:
        """Whether the request was accepted, even if its answer is unreadable."""
        return 200 <= self.last.status < 300

    @property
    def refused(self) -> bool:
        """Whether the request was refused. A lost answer or a 5xx is not a refusal."""
        return 400 <= self.last.status < 500

    @property
    def absent(self) -> bool:
        """Whether the object does not exist."""
        return self.last.status in {404, 410}

    @property
    def unreadable(self) -> bool:
        """Whether the client refuses the answer because of its form."""
        return isinstance(self.error, UnreadableAnswerError)


class Wire:
    """
    Sends requests, one at a time.

    Args:
        base_url: The base URL.
        key: The API key.
        sleep: The function that waits.
        now: The clock.
        transport: The function that sends a request; by default that of the client.

    Attributes:
        exchanges: All requests and their answers.
        until: The end of the run's time; `None` for no limit.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
        transport: Sender | None = None,
    ) -> None:
        self.base_url = base_url
        self.sleep = sleep
        self.now = now
        self.exchanges: list[Exchange] = []
        self.until: float | None = None
        self._transport = transport or Transport(base_url, key, SYSTEM_CLOCK, 30.0)
        self._read = Decode(self._send, base_url)

    def ask(
        self,
        name: str,
        *ids: str | int,
        parse: Callable[[Any], T],
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Heard[T]:
        """
        Send a request and return the client's interpretation of the answer.

        After a 429, the request is repeated when the stated time has passed. A request other than POST is also repeated
        after a lost answer or a 5xx.

        Raises:
            OutOfTimeError: The run has no time left.
        """
        call = call_to(name, *ids, parse=parse, words=_WORDS, json=body, query=query)
        for attempt in range(_TRIES):
            try:
                return Heard(self._read(call), None, self.exchanges[-1])
            except (RateLimitedError, ServerError, ConnectionFailedError) as error:
                limited = isinstance(error, RateLimitedError)
                if attempt == _TRIES - 1 or not (limited or call.endpoint.method != "POST"):
                    return Heard(None, error, self.exchanges[-1])
                asked = None if isinstance(error, ConnectionFailedError) else error.retry_after
                self.pause(min(asked or 2.0**attempt, _LONGEST_PAUSE))
            except StacksError as error:
                return Heard(None, error, self.exchanges[-1])
        raise AssertionError(name)

    def pause(self, seconds: float) -> None:
        """Wait, at most until the time of the run is over."""
        self.sleep(seconds if self.until is None else max(0.0, min(seconds, self.until - self.now())))

    def _send(self, call: Call[Any]) -> Answer:
        if self.until is not None and self.now() >= self.until:
            raise OutOfTimeError("the time of the run is over")
        endpoint = call.endpoint
        try:
            answer = self._transport(call)
        except ConnectionFailedError as error:
            self.exchanges.append(Exchange(endpoint.name, endpoint.method, call.path, 0, error.message))
            raise
        text = answer.body.decode("utf-8", "replace")
        self.exchanges.append(
            Exchange(endpoint.name, endpoint.method, call.path, answer.status, text, answer.headers)
        )
        return answer


def ids_in(exchange: Exchange) -> list[str]:
    """Return all possible ids of a new container in an answer of any form."""
    found: dict[str, None] = {}

    def note(value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                is_id = str(name).replace("-", "_").lower() in _ID_FIELDS
                if is_id and isinstance(inner, (str, int)) and not isinstance(inner, bool):
                    found[str(inner)] = None
                note(inner)
        elif isinstance(value, list):
            for inner in value:
                note(inner)

    with contextlib.suppress(ValueError, RecursionError):
        note(json.loads(exchange.body))
    location = exchange.headers.get("location", "").rstrip("/").rpartition("/")[2]
    return [one for one in [*found, location] if one and quote(one, safe="") not in {".", ".."}][:_MOST_IDS]
