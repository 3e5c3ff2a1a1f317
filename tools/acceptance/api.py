"""The API as an acceptance run calls it: every answer unchanged, within the rate limit and the time of the run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import requests

from tools.acceptance import reading
from tools.acceptance.budget import Deadline, OutOfTimeError
from tools.acceptance.contract import contract

__all__ = ["Answer", "Api"]

_CONNECT: Final = 10.0
_READ: Final = 60.0
_TRIES: Final = 5
_LONGEST_PAUSE: Final = 120.0
_DEFAULT_PAUSE: Final = 5.0
_SHORT_PAUSE: Final = 1.0
_PASSING: Final = frozenset({0, 502, 503, 504})


@dataclass(frozen=True)
class Answer:
    """
    An answer of the API, or its absence.

    Attributes:
        status: The status code; 0 if no answer arrived.
        headers: The headers, whose names are compared without case.
        body: The decoded JSON, or the text if it is no JSON.
        text: The body as received; why there was no answer, if none arrived.
        absent: Whether the object is not there, by the code that the platform has for that.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str
    absent: bool = False

    @property
    def ok(self) -> bool:
        """Whether the request was accepted."""
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether the request was refused. A lost answer and a 5xx are no refusal."""
        return 400 <= self.status < 500

    @property
    def data(self) -> Any:
        """The value under `data`; the body, if it has no such key."""
        return self.body.get("data", self.body) if isinstance(self.body, Mapping) else self.body

    def get(self, *names: str) -> Any:
        """Return a field of the content, however it is wrapped and spelled; `None` without one."""
        return reading.field(self.body, *names)

    def rows(self, path: str | None = None) -> list[dict[str, Any]]:
        """Return the objects of the first list; empty without one."""
        found = reading.rows_in(self.body, path) if self.ok else None
        return [] if found is None else found[1]

    @property
    def ids(self) -> list[str]:
        """Everything in an accepted creation that may be the new object's id."""
        return reading.ids_in(self.body, self.headers.get("Location")) if self.ok else []

    @property
    def field(self) -> Any:
        """The field that a refusal names."""
        return self.body.get("field") if isinstance(self.body, Mapping) else None

    def describe(self) -> str:
        """Return the code and the field, for evidence."""
        if not self.status:
            return f"no answer ({self.text})"
        return f"{self.status}, field {self.field}" if isinstance(self.field, str) else str(self.status)


class Api:
    """
    The API.

    Args:
        base_url: The base URL.
        key: The API key.
        sleep: How to wait.

    Attributes:
        deadline: The time of the run; `None` for no limit.
        missing: The codes for what does not exist.
        calls: How many requests were sent.
        lost: How many requests had no answer.
        limited: The first 429, if there was one.
        remaining: Requests that are left in the window, and its end as a Unix timestamp, if the last answer had them.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url
        self._key = key
        self._sleep = sleep
        self._session = requests.Session()
        self.deadline: Deadline | None = None
        self.missing = frozenset({404, 410})
        self.calls = 0
        self.lost = 0
        self.limited: Answer | None = None
        self.remaining: tuple[int, float] | None = None

    def call(
        self,
        operation: str,
        *values: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
        fresh: bool = True,
        url: str | None = None,
    ) -> Answer:
        """
        Send a request, and return the answer whatever it is.

        After a 429 the request is sent again once its time has passed. A GET request is also sent again after a lost
        answer, a 502, 503 or 504. No other request is sent twice.

        Args:
            operation: The operation of the contract.
            values: The parameters in its path.
            body: The JSON to send, if any; bytes are sent without the header Content-Type.
            query: The parameters.
            key: Another key.
            fresh: Whether to send `Cache-Control: no-cache` with a GET request.
            url: The address of a further page, which replaces the path and the parameters.

        Raises:
            OutOfTimeError: The run has no time left.
        """
        method, _ = contract().request(operation, *values)
        url = url or self.call_url(operation, *values)
        for attempt in range(1, _TRIES + 1):
            answer = self._send(method, url, body, query, key, fresh=fresh)
            if attempt == _TRIES:
                break
            if answer.status == 429:
                self.limited = self.limited or answer
                self._pause(_seconds(answer.headers.get("Retry-After")))
            elif method == "GET" and answer.status in _PASSING and attempt < 3:
                self._pause(_SHORT_PAUSE)
            else:
                break
        return answer

    def _send(
        self,
        method: str,
        url: str,
        body: Any,
        query: Mapping[str, Any] | None,
        key: str | None,
        *,
        fresh: bool,
    ) -> Answer:
        left = _READ if self.deadline is None else min(self.deadline.left, _READ)
        if left <= 0:
            msg = "the time of the run is over"
            raise OutOfTimeError(msg)
        self.calls += 1
        try:
            response = self._session.request(
                method,
                url,
                json=None if isinstance(body, bytes) else body,
                data=body if isinstance(body, bytes) else None,
                params=query,
                headers={"Cache-Control": "no-cache"} if fresh and method == "GET" else None,
                timeout=(min(_CONNECT, left), left),
                allow_redirects=False,
                auth=_Bearer(key or self._key),
            )
            status = response.status_code
            gone = status in self.missing
            answer = Answer(status, response.headers, _decoded(response), response.text, gone)
        except requests.RequestException as error:
            self.lost += 1
            answer = Answer(0, {}, None, type(error).__name__)
        self.remaining = _remaining(answer.headers)
        return answer

    def learn_missing(self, prefix: str) -> Answer:
        """Ask for a container that cannot exist, and learn the code for that; the key must be able to read."""
        answer = self.call("containers.status", f"usr-00000000-{prefix}")
        if answer.status == 403:
            self.missing |= {403}
        return replace(answer, absent=answer.status in self.missing)

    def call_url(self, operation: str, *values: str) -> str:
        """Return the address of an operation."""
        return f"{self.base_url}{contract().request(operation, *values)[1]}"

    def make_room(self, calls: int) -> None:
        """Wait for the next window unless this one allows that many requests, which must follow each other quickly."""
        if self.remaining is not None and self.remaining[0] < calls:
            self._pause(min(max(self.remaining[1] - time.time(), 0.0) + 1, _LONGEST_PAUSE))
            self.remaining = None

    def _pause(self, seconds: float) -> None:
        self._sleep(seconds if self.deadline is None else max(min(seconds, self.deadline.left), 0.0))


class _Bearer(requests.auth.AuthBase):
    """The key as an `auth` object: requests would let an entry in `~/.netrc` replace a header."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _decoded(response: requests.Response) -> Any:
    try:
        return json.loads(response.text)
    except (ValueError, RecursionError):
        return response.text


def _remaining(headers: Mapping[str, str]) -> tuple[int, float] | None:
    named = {name.lower().removeprefix("x-"): value for name, value in headers.items()}
    left, reset = (reading.number(named.get(f"ratelimit-{name}")) for name in ("remaining", "reset"))
    if left is None or reset is None:
        return None
    # Seconds that are left, or a time in seconds or milliseconds.
    return int(left), time.time() + reset if reset < 1e9 else reading.moment(reset) or 0.0


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or ""), 0.1), _LONGEST_PAUSE)
    except ValueError:
        return _DEFAULT_PAUSE
