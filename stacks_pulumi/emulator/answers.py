"""
The shapes of responses whose body the guide does not specify.

For some operations, the guide shows no response, or only describes its content. A client must not depend on one form of
such a response. So the emulator can send each of them in several shapes, for all operations or for one.

The platform's error responses.

The wording is the guide's if the guide has an example ("Common Error Responses", "Create Container"). Otherwise it is
our own and marked as assumed.

Responses that are ready to be sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "OPEN",
    "SHAPES",
    "Open",
    "PlainText",
    "Refusal",
    "Response",
    "Shapes",
    "bad_request",
    "encode",
    "not_found",
    "render",
]

SHAPES = ("guide", "bare", "wrapped", "text", "strings", "terse", "empty")
"""
`guide`: `success`, perhaps `message`, and `data`, like the guide's other responses. The default.
`bare`: the list or the object alone.
`wrapped`: one level deeper, under the noun.
`text`: plain text for a file, lines or a message; otherwise as `guide`.
`strings`: a list of names instead of a list of objects, a JSON string instead of a file; otherwise as `guide`.
`terse`: only `success` for an operation that changes something (so without an id); otherwise as `guide`.
`empty`: no body, 204, for an operation that changes something; otherwise as `guide`.
"""

OPEN = frozenset(
    {
        "containers.logs",
        "containers.metrics",
        "containers.set_status",
        "containers.delete",
        "containers.certificate",
        "containers.regenerate_certificate",
        "containers.templates",
        "containers.external_access",
        "allowed_ips.add",
        "allowed_ips.remove",
        "connections.delete",
        "backups.restore",
        "backups.pin",
        "backups.unpin",
        "backups.delete",
        "vpn_clients.list",
        "vpn_clients.add",
        "vpn_clients.config",
        "vpn_clients.remove",
    }
)
"""Operations whose response the guide does not specify; for `external_access` only the response to disabling."""


@dataclass(frozen=True)
class Open:
    """
    The content of a response that the guide does not specify, before it is put into a shape.

    Attributes:
        noun: The key for the value when it is wrapped.
        value: A list or an object; `None` if the response only confirms the operation.
        message: One sentence, for an operation that changes something.
        text: The whole content as text, for a file or lines.
        names: The names of a list's entries.
    """

    noun: str
    value: Any = None
    message: str | None = None
    text: str | None = None
    names: list[str] | None = None


class Shapes:
    """
    The shape of each operation's response.

    Args:
        shapes: One of `SHAPES` for all, or operation -> shape with `*` for the others.

    Raises:
        ValueError: A shape or an operation that does not exist.
    """

    def __init__(self, shapes: str | dict[str, str] = "guide") -> None:
        self._default = "guide"
        self._by_operation: dict[str, str] = {}
        self.set_all(shapes)

    def set_all(self, shapes: str | dict[str, str]) -> None:
        """Replace all settings with these."""
        self._default = "guide"
        self._by_operation.clear()
        for operation, shape in {"*": shapes}.items() if isinstance(shapes, str) else shapes.items():
            self.set(operation, shape)

    def set(self, operation: str, shape: str) -> None:
        """Set the shape for one operation, or with `*` for all others."""
        if shape not in SHAPES:
            raise ValueError(f"no such shape: {shape}; there are {', '.join(SHAPES)}")
        if operation == "*":
            self._default = shape
        elif operation in OPEN:
            self._by_operation[operation] = shape
        else:
            raise ValueError(f"the answer of {operation} is not open; open are {', '.join(sorted(OPEN))}")

    def of(self, operation: str) -> str:
        """Return the shape for an operation."""
        return self._by_operation.get(operation, self._default)


def render(answer: Open, shape: str) -> Any:
    """
    Return the body of a response that the guide does not specify.

    Returns:
        A value for JSON; `PlainText` for a body that is not JSON; `None` for no body.
    """
    changes = answer.message is not None
    if shape == "bare":
        return answer.value if answer.value is not None else {"message": answer.message}
    if shape == "wrapped":
        inner = answer.value if answer.value is not None else answer.message
        return {"success": True, "data": {answer.noun: inner}}
    if shape == "text" and (answer.text is not None or (changes and answer.value is None)):
        return PlainText(answer.text if answer.text is not None else str(answer.message))
    if shape == "strings" and answer.names is not None:
        return {"success": True, "data": answer.names}
    if shape == "strings" and answer.text is not None:
        return answer.text
    if shape == "terse" and changes:
        return {"success": True}
    if shape == "empty" and changes:
        return None
    body: dict[str, Any] = {"success": True}
    if changes:
        body["message"] = answer.message
    if isinstance(answer.value, list):
        body["count"] = len(answer.value)
    if answer.value is not None:
        body["data"] = answer.value
    return body


class PlainText(str):
    """A body that is sent unchanged and not as JSON."""

    __slots__ = ()


class Refusal(Exception):  # noqa: N818  (not an error of the emulator: a regular response that ends a rule early)
    """
    An error response.

    Attributes:
        status: HTTP status code.
        body: The JSON body.
        headers: Headers in addition to the usual ones.
    """

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body.get('error')}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def bad_request(text: str, field: str | None = None) -> Refusal:
    """Return a 400, with the field that is wrong, if any (guide, "Create Container")."""
    body: dict[str, Any] = {"success": False, "error": text}
    if field is not None:
        body["field"] = field
    return Refusal(400, body)


def not_found(what: str) -> Refusal:
    """Return a 404; it is the same for an object of another account (guide, "Error Codes")."""
    # assumed: the body; the guide gives the code only.
    return Refusal(404, {"success": False, "error": f"{what} not found"})


@dataclass(frozen=True)
class Response:
    """
    A response that is ready to be sent.

    Attributes:
        status: HTTP status code.
        payload: The body.
        headers: Headers in addition to `Content-Length` and `Date`.
        end: `keep` the connection; `hang_up` after the answer; `cut` the answer in half; `drop` it whole; `reset`.
        slow: Seconds over which its headers and its body are sent.
    """

    status: int
    payload: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    end: str = "keep"
    slow: tuple[float, float] = (0.0, 0.0)


def encode(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a response with the body as JSON or plain text; without a body for `None`."""
    headers = dict(headers or {})
    if body is None:
        return Response(status, b"", headers)
    if isinstance(body, PlainText):
        return Response(status, body.encode(), {"Content-Type": "text/plain; charset=utf-8", **headers})
    payload = json.dumps(body).encode()
    return Response(status, payload, {"Content-Type": "application/json; charset=utf-8", **headers})
