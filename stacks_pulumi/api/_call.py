"""
The data that the chain of handlers exchanges: a `Call` goes in, an `Answer` comes back.

A call is plain data: it has a function that reads its answer (`parse`), and no dependency on time, threads or sockets.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, Protocol, TypeVar
from urllib.parse import quote

from stacks_pulumi._clock import Pulse
from stacks_pulumi.errors import ApiError, ConnectionFailedError, InvalidIdError, UnreadableAnswerError

__all__ = ["CALL_ERRORS", "Answer", "Call", "Handler", "Priority", "Scope", "Sender", "path"]

T = TypeVar("T")

CALL_ERRORS: Final = (ApiError, ConnectionFailedError, UnreadableAnswerError)
"""The errors of a call itself. Any other exception that a call raises comes from a pulse."""


class Scope:
    """The permissions of a key (guide, "Permissions (Scopes)")."""

    READ: Final = "containers:read"
    CREATE: Final = "containers:create"
    MANAGE: Final = "containers:manage"
    DELETE: Final = "containers:delete"


class Priority(enum.IntEnum):
    """The order of calls that wait for the rate limit: the smaller number is sent first."""

    WRITE = 0
    READ = 1
    POLL = 2


@dataclass(frozen=True)
class Call(Generic[T]):
    """
    One request, before it is sent.

    Attributes:
        operation: Its name in logs, errors and the emulator, for instance `containers.create`.
        what: The same for people, for instance `create container "web"`: how an error's message begins.
        method: The HTTP method.
        path: Below the base URL, made by `path()`.
        scope: The permission that the key needs.
        parse: Reads the decoded body: JSON as Python objects, or text if `text` is set.
        query: The query parameters.
        json: The body.
        text: Whether the answer may be plain text instead of JSON (logs, certificate, VPN configuration, nothing).
        poll: Whether it only checks whether something has happened yet. All other calls are sent before such a call.
        again: Whether it is a POST that is idempotent, so that it may be sent twice.
        fixed: Whether its path exists in every account, so that a 404 can only mean a wrong base URL.
        pulse: Called while the call waits for its turn; what it raises ends the call before it is sent.
    """

    operation: str
    what: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    scope: str
    parse: Callable[[Any], T]
    query: Mapping[str, str | int] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    text: bool = False
    poll: bool = False
    again: bool = False
    fixed: bool = False
    pulse: Pulse | None = None

    @property
    def priority(self) -> Priority:
        """The call's priority in the queue."""
        if self.poll:
            return Priority.POLL
        return Priority.READ if self.method == "GET" else Priority.WRITE

    @property
    def repeatable(self) -> bool:
        """Whether the call may be sent again if the outcome of the first attempt is unknown."""
        return self.again or self.method != "POST"


@dataclass(frozen=True)
class Answer:
    """
    One response, not parsed yet.

    Attributes:
        status: HTTP status code.
        headers: With lower-case names.
        body: The bytes, decompressed.
        received: When it arrived, in seconds since the Unix epoch by this machine's clock.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    received: float = 0.0


class Sender(Protocol):
    """The inner part of the chain: it sends a call and returns the answer."""

    def __call__(self, call: Call[Any], /) -> Answer:
        """Send it."""


class Handler(Protocol):
    """The outer part of the chain: it sends a call and returns the parsed value."""

    def __call__(self, call: Call[T], /) -> T:
        """Carry it out."""


def path(*segments: str | int) -> str:
    """
    Return the path that these segments make, each quoted so that it stays one segment.

    Raises:
        InvalidIdError: A segment is empty, `.` or `..`. The request would go to another endpoint: a `DELETE` with an
            empty id would go to the whole collection.
    """
    texts = [str(segment) for segment in segments]
    for text in texts:
        if text in {"", ".", ".."}:
            raise InvalidIdError(f"{text!r} is not a valid id or name in the STACKS API")
    return "".join(f"/{quote(text, safe='')}" for text in texts)
