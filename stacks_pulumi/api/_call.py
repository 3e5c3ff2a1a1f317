"""
The data that the handlers exchange: a `Call` goes in, and an `Answer` comes back, which becomes a `Page`.

A call is plain data: an endpoint of `stacks_pulumi.endpoints`, the data of one request, and a function that reads the
response (`parse`). `call_to` creates it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from stacks_pulumi._clock import Pulse
from stacks_pulumi._identifiers import SLASH
from stacks_pulumi.api._bodies import lists_of, rows_of
from stacks_pulumi.endpoints import ENDPOINTS, Endpoint
from stacks_pulumi.errors import ApiError, ConnectionFailedError, InvalidIdError, UnreadableAnswerError

T = TypeVar("T")

CALL_ERRORS: Final = (ApiError, ConnectionFailedError, UnreadableAnswerError)
"""The errors that a call itself can raise. Any other exception during a call comes from a pulse."""

_VARIABLE: Final = re.compile(r"\{(\w+)\}")
_CONTAINERS: Final = frozenset({"container_id", "source_id", "target_id", "vpn_container_id"})


class Call(msgspec.Struct, Generic[T], frozen=True):
    """
    One request, before it is sent.

    Attributes:
        endpoint: The endpoint.
        what: A description of the request, for instance `create container "web"`. Error messages begin with it.
        path: The endpoint's path with its variables replaced.
        parse: Parses the decoded body, which is a string, or Python objects from JSON.
        query: The query parameters.
        json: The body.
        poll: Whether the call only polls for a state. All other calls take precedence over polls.
        again: Whether the call is a POST that may be sent twice.
        is_one_page: Whether the caller wants only the first page of a list.
        finish: Called with all rows of a list after the last page; returns the rows for the caller. No row may be
            removed earlier, because the rows are counted.
        pulse: Called while the call waits for its turn; an exception from it ends the call before it is sent.
        containers: The ids of the containers that `path` contains.
        refused: Whether the API has refused the call because of the rate limit. Such a call is sent first in the next
            window.
    """

    endpoint: Endpoint
    what: str
    path: str
    parse: Callable[[Any], T]
    query: Mapping[str, str | int] = msgspec.field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    poll: bool = False
    again: bool = False
    is_one_page: bool = False
    finish: Callable[[T], T] | None = None
    pulse: Pulse | None = None
    containers: tuple[str, ...] = ()
    refused: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether the call may be sent again if the outcome of the first attempt is unknown."""
        return self.again or self.endpoint.method != "POST"


def call_to(
    name: str,
    *ids: str | int,
    parse: Callable[[Any], T],
    words: Mapping[str, str] | None = None,
    query: Mapping[str, str | int] | None = None,
    json: Mapping[str, Any] | None = None,
    again: bool = False,
    pulse: Pulse | None = None,
) -> Call[T]:
    """
    Return a call to an endpoint.

    Raises:
        InvalidIdError: An id is empty, `.` or `..`. With such an id, the request would go to a different endpoint: a
            `DELETE` with an empty id would go to the entire collection.
    """
    endpoint = ENDPOINTS[name]
    variables = dict(zip(_VARIABLE.findall(endpoint.path), map(str, ids), strict=True))
    for text in variables.values():
        if text in {"", ".", ".."}:
            raise InvalidIdError(f"{text!r} is not a valid id or name in the STACKS API")
    return Call(
        endpoint,
        endpoint.what.format_map({**variables, **(words or {})}),
        endpoint.path.format_map(
            {variable: quote(text.replace(SLASH, "/"), safe="") for variable, text in variables.items()}
        ),
        parse,
        query or {},
        json,
        again=again,
        pulse=pulse,
        containers=tuple(id for variable, id in variables.items() if variable in _CONTAINERS),
    )


class Answer(msgspec.Struct, frozen=True):
    """
    A response that has not been parsed yet.

    Attributes:
        status: HTTP status code.
        headers: The headers, with lower-case names.
        body: The decompressed body.
        received: When it arrived, in seconds since the Unix epoch by this machine's clock.
    """

    status: int
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    received: float = 0.0


class Page(msgspec.Struct, Generic[T], frozen=True):
    """
    A response with its decoded content.

    Attributes:
        answer: The response.
        body: Its body, decoded.
        value: The parsed value; for a list, a `Listing` or an object with several of them.
    """

    answer: Answer
    body: Any
    value: T

    @property
    def ids(self) -> set[Any]:
        return {row.id for rows in lists_of(self.value) for row in rows}

    @property
    def rows(self) -> int:
        """The number of rows. A row that is in two lists is counted once."""
        return rows_of(lists_of(self.value))


class Sender(Protocol):
    """The inner part of the chain: it sends a call and returns the response."""

    def __call__(self, call: Call[Any], /) -> Answer:
        """Send the call."""


class Handler(Protocol):
    """The outer part of the chain: it sends a call and returns the parsed value."""

    def __call__(self, call: Call[T], /) -> T:
        """Send the call, and return the parsed value."""
