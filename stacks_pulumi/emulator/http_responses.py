"""Responses: the right ones, and those that a fault changes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from stacks_pulumi.emulator.answer_shapes import PlainText
from stacks_pulumi.emulator.faults import Fault

__all__ = ["Response", "encode", "instead", "spoil"]

_TEXTS = {
    500: "Internal server error",
    502: "Bad gateway",
    503: "No capacity available",
    504: "Gateway timeout",
}


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


def instead(fault: Fault) -> Response | None:
    """Return the response that a fault sends instead of the right one; `None` if it only changes the right one."""
    options = fault.options
    if fault.kind in {"drop_before", "drop_after"}:
        return Response(0, end="reset" if options["reset"] else "drop")
    if fault.kind == "rate_limited":
        after = options["retry_after"]
        # assumed: the body; the guide gives code and header.
        body = {"error": "Rate limit exceeded"}
        return encode(429, body, {} if after is None else {"Retry-After": str(after)})
    if fault.kind == "status":
        code = options["code"]
        text = _TEXTS.get(code, "Request failed")
        return encode(code, options["body"] or {"success": False, "error": text})
    if fault.kind == "html":
        page = b"<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Please wait</h1></body></html>"
        return Response(options["code"], page, {"Content-Type": "text/html; charset=utf-8"})
    if fault.kind == "redirect":
        return Response(options["code"], b"", {"Location": options["location"]})
    if fault.kind == "answer":
        body = options["body"]
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        return Response(options["code"], text.encode(), {"Content-Type": options["content_type"]})
    return None


def spoil(fault: Fault, right: Response) -> Response:
    """Return the right response with the changes of a fault."""
    payload, headers = right.payload, right.headers
    if fault.kind == "hang_up":
        return replace(right, end="hang_up")
    if fault.kind == "truncated":
        return replace(right, payload=payload[: max(1, len(payload) // 2)])
    if fault.kind == "cut":
        return replace(right, end="cut")
    if fault.kind == "empty":
        return Response(fault.options["code"] or right.status, b"", headers)
    if fault.kind == "wrong_code":
        return replace(right, status=fault.options["code"])
    if fault.kind == "trickle":
        seconds = fault.options["seconds"]
        return replace(right, slow=(seconds, 0.0) if fault.options["part"] == "headers" else (0.0, seconds))
    if fault.kind in {"wrong_types", "miscount"} and payload:
        try:
            body = json.loads(payload)
        except ValueError:
            return right
        if fault.kind == "miscount":
            body = _miscounted(body, fault.options["by"])
        elif fault.options["row"] is None:
            body = _other_types(body, fault.options["field"])
        else:
            body = _other_types_in_row(body, fault.options["row"], fault.options["field"])
        return replace(right, payload=json.dumps(body).encode())
    return right


def _miscounted(body: Any, by: int) -> Any:
    return {**body, "count": body["count"] + by} if isinstance(body, dict) and "count" in body else body


def _other_types_in_row(value: Any, row: int, only: str | None) -> Any:
    if isinstance(value, dict):
        return {key: _other_types_in_row(inner, row, only) for key, inner in value.items()}
    if isinstance(value, list):
        return [_other_types(inner, only) if index == row else inner for index, inner in enumerate(value)]
    return value


def _other_types(value: Any, only: str | None, *, here: bool = False) -> Any:
    here = here or only is None
    if isinstance(value, dict):
        return {key: _other_types(inner, only, here=here or key == only) for key, inner in value.items()}
    if isinstance(value, list) and value:
        return [_other_types(inner, only, here=here) for inner in value]
    if not here:
        return value
    if isinstance(value, bool) or value is None:
        return {"unexpected": True}
    if isinstance(value, (int, float)):
        return [str(value)]
    return len(value)
