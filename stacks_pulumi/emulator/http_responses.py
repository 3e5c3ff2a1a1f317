"""Responses that are ready to be sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from stacks_pulumi.emulator.answer_shapes import PlainText

__all__ = ["Response", "encode"]


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
