"""
Faults: a queue of failures for certain requests, the effect of each kind on a response, and a record of fired faults.

A fault waits in the queue of its operation until a request matches it; of several matching faults, the oldest is used.
End a test with `assert_none_left`; otherwise the test passes even if a fault never fired.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import Any

from stacks_pulumi.emulator import answers
from stacks_pulumi.emulator.answers import Response, encode

KINDS: dict[str, dict[str, Any]] = {
    "pass": {},
    "drop_before": {"reset": False},
    "drop_after": {"reset": False},
    "hang_up": {},
    "rate_limited": {"retry_after": None, "done": False},
    "status": {"code": 500, "body": None, "done": False},
    "slow": {"seconds": 1.0, "done": True},
    "truncated": {"done": True},
    "cut": {"done": True},
    "html": {"code": 200, "done": True},
    "empty": {"code": None, "done": True},
    "wrong_code": {"code": 200},
    "wrong_types": {"field": None, "row": None},
    "miscount": {"by": 1},
    "trickle": {"seconds": 60.0, "part": "headers", "done": True},
    "answer": {"code": 200, "body": None, "content_type": "application/json", "done": True},
    "redirect": {"code": 307, "location": "http://localhost:9/elsewhere", "done": False},
}
"""
Every kind with its options and their defaults. `done` sets whether the request is carried out despite the fault.

`pass`: no failure; it lets one request pass, so that the next fault in the queue applies to a later request.
`drop_before`: the connection is closed, and the request is not carried out. `reset` sends a TCP reset.
`drop_after`: the request is carried out, and then the connection is closed without a response.
`hang_up`: the response is sent, and then the connection is closed without notice.
`rate_limited`: 429, with `Retry-After` if `retry_after` is given.
`status`: the status `code`, with `body` or a suitable body. The short form is only the number: `add(op, 503)`.
`slow`: the response is delayed by `seconds`. If `done` is false, the request is carried out after the delay.
`truncated`: the first half of the JSON as a complete response.
`cut`: the first half of the response, then the connection is closed.
`html`: a web page instead of JSON, with the status `code`.
`empty`: no body, with the status `code` or the right status.
`wrong_code`: the right body with a wrong status, for instance 200 instead of 202.
`wrong_types`: every value in the body has a wrong type. With `field`, only the values under that key; with `row`,
    only the values in that row (from 0) of each list.
`miscount`: `count` in the body exceeds the number of rows by `by`.
`trickle`: the `headers` or the `body` (`part`) arrive a few bytes at a time, over `seconds`.
`answer`: the response is the given body (text, or any JSON value), with the status `code`.
`redirect`: a redirect to `location`, a different host.
"""

OPTION_TYPES: dict[str, tuple[type, ...]] = {
    "code": (int,),
    "content_type": (str,),
    "done": (bool,),
    "field": (str,),
    "by": (int,),
    "location": (str,),
    "part": (str,),
    "reset": (bool,),
    "retry_after": (int, float, str),
    "row": (int,),
    "seconds": (int, float),
}
"""The types of each option; an option that is not in this table accepts any JSON."""


@dataclass
class Fault:
    """
    One entry of the queue.

    Attributes:
        operation: Operation name, or `*` for any.
        kind: One of `KINDS`.
        options: Every option of the kind.
        times: For how many requests; `None` for all.
        match: Fires only if the request's path or the name in its body contains this text.
        fired: The number of times that it has fired.
    """

    operation: str
    kind: str
    options: dict[str, Any]
    times: int | None = 1
    match: str | None = None
    fired: int = 0

    def is_left(self) -> bool:
        """Return whether it has fired fewer than `times` times; if `times` is `None`, whether it has never fired."""
        return self.fired == 0 if self.times is None else self.fired < self.times

    def fits(self, operation: str, subject: str) -> bool:
        """Return whether it fires for a request."""
        spent = self.times is not None and self.fired >= self.times
        return (
            not spent and self.operation in {operation, "*"} and (self.match is None or self.match in subject)
        )

    def describe(self) -> dict[str, Any]:
        """Return all attributes as values for JSON."""
        return {
            "operation": self.operation,
            "kind": self.kind,
            "options": self.options,
            "times": self.times,
            "match": self.match,
            "fired": self.fired,
        }

    def __str__(self) -> str:
        times = (
            f"{self.fired} times, for every request"
            if self.times is None
            else f"{self.fired} of {self.times} times"
        )
        where = f" matching {self.match!r}" if self.match else ""
        return f"{self.kind} on {self.operation}{where} (fired {times})"


@dataclass(frozen=True)
class Fired:
    """A record that a fault has fired: the operation, the kind and the path."""

    operation: str
    kind: str
    path: str


class Faults:
    """
    The queue of one emulator.

    Args:
        operations: The operations that a fault can name. A fault with a misspelt operation is refused, because it would
            never fire.
    """

    def __init__(self, operations: frozenset[str]) -> None:
        self._operations = operations
        self._queue: list[Fault] = []
        self._fired: list[Fired] = []
        self._lock = threading.Lock()

    def add(
        self,
        operation: str,
        kind: str | int,
        times: int | None = 1,
        *,
        match: str | None = None,
        **options: Any,
    ) -> Fault:
        """
        Queue a fault.

        Args:
            operation: Operation name, or `*` for any.
            kind: One of `KINDS`, or a status code.
            times: For how many requests; `None` for all.
            match: Only for requests whose path, or name in the body, contains this text.
            **options: The options of the kind.

        Raises:
            ValueError: There is no such operation, kind or option.
        """
        if isinstance(kind, bool) or not isinstance(kind, (int, str)):
            raise ValueError(f"a kind of fault is text or a status code, not {kind!r}")  # noqa: TRY004  (one type of error for all checks)
        if isinstance(kind, int) or kind.isdigit():
            code, kind = int(kind), "rate_limited" if int(kind) == 429 else "status"
            if kind == "status":
                options.setdefault("code", code)
        if kind not in KINDS:
            raise ValueError(f"no such fault: {kind}; the kinds are {', '.join(KINDS)}, and status codes")
        if operation not in {"*", *self._operations}:
            raise ValueError(
                f"no such operation: {operation}; the operations are {', '.join(sorted(self._operations))}"
            )
        unknown = set(options) - set(KINDS[kind])
        if unknown:
            known = ", ".join(KINDS[kind]) or "none"
            raise ValueError(f"{kind} has no option {', '.join(sorted(unknown))}; its options are {known}")
        for name, value in options.items():
            if value != KINDS[kind][name] and not isinstance(value, OPTION_TYPES.get(name, (object,))):
                raise ValueError(f"the option {name} of {kind} cannot be {value!r}")
        if options.get("code") is not None and not 200 <= options["code"] <= 599:
            raise ValueError(f"a status code is a number from 200 to 599, not {options['code']}")
        if "seconds" in options:
            answers.seconds("seconds", options["seconds"])
        if options.get("part", "body") not in {"headers", "body"}:
            raise ValueError(f"part must be headers or body, not {options['part']!r}")
        times = answers.count("times", times)
        match = None if match is None else answers.text("match", match)
        fault = Fault(operation, kind, {**KINDS[kind], **options}, times, match)
        with self._lock:
            self._queue.append(fault)
        return fault

    def take(self, operation: str, path: str, name: str = "") -> Fault | None:
        """Return the fault that applies to a request, and record that it has fired."""
        with self._lock:
            for fault in self._queue:
                if fault.fits(operation, f"{path} {name}"):
                    fault.fired += 1
                    self._fired.append(Fired(operation, fault.kind, path))
                    return fault
        return None

    def all(self) -> list[Fault]:
        """Return every fault that was queued, including fired faults."""
        with self._lock:
            return list(self._queue)

    def left(self) -> list[Fault]:
        """Return the faults that have not fired as often as requested."""
        return [fault for fault in self.all() if fault.is_left()]

    def fired(self, operation: str | None = None) -> list[Fired]:
        """Return the records of faults that have fired, for one operation or for all, oldest first."""
        with self._lock:
            return [entry for entry in self._fired if operation in {None, entry.operation}]

    def assert_none_left(self) -> None:
        """
        Check that every fault has fired as often as requested.

        Raises:
            AssertionError: Some faults have not; the message lists them.
        """
        left = self.left()
        if left:
            raise AssertionError(f"faults that did not fire: {'; '.join(map(str, left))}")

    def clear(self) -> None:
        """Remove all faults and all records."""
        with self._lock:
            self._queue.clear()
            self._fired.clear()


_TEXTS = {
    500: "Internal server error",
    502: "Bad gateway",
    503: "No capacity available",
    504: "Gateway timeout",
}


def instead(fault: Fault) -> Response | None:
    """
    Return the response that a fault sends instead of the right response; `None` if the fault only changes the right
    response.
    """
    options = fault.options
    if fault.kind in {"drop_before", "drop_after"}:
        return Response(0, end="reset" if options["reset"] else "drop")
    if fault.kind == "rate_limited":
        after = options["retry_after"]
        # assumed: the body; the guide states code and header.
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
