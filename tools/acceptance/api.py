"""The API as an acceptance run calls it: every answer unchanged, within the rate limit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests

from tools.acceptance.contract import contract

__all__ = ["Answer", "Api", "OutOfTimeError"]

_TIMEOUT: Final = (10, 60)
_TRIES: Final = 5
_LONGEST_PAUSE: Final = 120.0
_DEFAULT_PAUSE: Final = 5.0


class OutOfTimeError(Exception):
    """A wait of the run timed out."""


@dataclass(frozen=True)
class Answer:
    """
    An answer of the API.

    Attributes:
        status: The status code.
        headers: The headers, whose names are compared without case.
        body: The decoded JSON, or the text if it is no JSON.
        text: The body as received.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str

    @property
    def ok(self) -> bool:
        """Whether the request was accepted."""
        return 200 <= self.status < 300

    @property
    def data(self) -> Any:
        """The value under `data`; the body, if it has no such key."""
        return self.body.get("data", self.body) if isinstance(self.body, Mapping) else self.body

    @property
    def field(self) -> Any:
        """The field that a refusal names."""
        return self.body.get("field") if isinstance(self.body, Mapping) else None

    def describe(self) -> str:
        """Return the code and the field, for evidence."""
        return f"{self.status}, field {self.field}" if isinstance(self.field, str) else str(self.status)


class Api:
    """
    The API.

    Args:
        base_url: The base URL.
        key: The API key.
        sleep: How to wait.

    Attributes:
        calls: How many requests were sent.
        limited: The first 429, if there was one.
        remaining: Requests that are left in the window, and its end as a Unix timestamp, if the last answer had them.
    """

    def __init__(self, base_url: str, key: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.base_url = base_url
        self._key = key
        self._sleep = sleep
        self._session = requests.Session()
        self.calls = 0
        self.limited: Answer | None = None
        self.remaining: tuple[int, float] | None = None

    def call(
        self,
        operation: str,
        *values: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Answer:
        """
        Send a request, and return the answer whatever its status is.

        After a 429 the request is sent again once its time has passed; no other answer is retried.

        Args:
            operation: The operation of the contract.
            values: The parameters in its path.
            body: The JSON to send, if any.
            query: The parameters.
            key: Another key.

        Raises:
            requests.RequestException: There was no answer.
        """
        method, path = contract().request(operation, *values)
        for attempt in range(1, _TRIES + 1):
            self.calls += 1
            response = self._session.request(
                method,
                f"{self.base_url}{path}",
                json=body,
                params=query,
                timeout=_TIMEOUT,
                allow_redirects=False,
                auth=_Bearer(key or self._key),
            )
            answer = Answer(response.status_code, response.headers, _decoded(response), response.text)
            self.remaining = _remaining(answer.headers)
            if answer.status != 429 or attempt == _TRIES:
                break
            self.limited = self.limited or answer
            self._sleep(_seconds(answer.headers.get("Retry-After")))
        return answer

    def make_room(self, calls: int) -> None:
        """Wait for the next window unless this one allows that many requests, which must follow each other quickly."""
        if self.remaining is not None and self.remaining[0] < calls:
            self._sleep(min(max(self.remaining[1] - time.time(), 0.0) + 1, _LONGEST_PAUSE))
            self.remaining = None


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
    except ValueError:
        return response.text


def _remaining(headers: Mapping[str, str]) -> tuple[int, float] | None:
    try:
        return int(headers["X-RateLimit-Remaining"]), float(headers["X-RateLimit-Reset"])
    except (KeyError, ValueError):
        return None


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or ""), 0.1), _LONGEST_PAUSE)
    except ValueError:
        return _DEFAULT_PAUSE
