"""
How is one request handled, from its bytes to its response?

The steps in order: authenticate the key, count the request in its rate window, find the endpoint, apply a fault, check
the scope, and run the endpoint's function. The function's answer is then put into its shape, and a fault may change it.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from stacks_pulumi.emulator import access, backups, connections, containers, contents, keys, vpn
from stacks_pulumi.emulator.answers import (
    Refusal,
    Request,
    Response,
    Route,
    Shapes,
    bad_request,
    encode,
    finished,
)
from stacks_pulumi.emulator.faults import Fault, Faults, instead, spoil
from stacks_pulumi.emulator.late import Late
from stacks_pulumi.emulator.platform import Platform
from stacks_pulumi.emulator.server import Incoming, RequestLog
from stacks_pulumi.emulator.state import ApiKey

BASE_PATH = "/api/v1"
"""The prefix of every path of the API."""

_ABOUT = ("container_id", "source_id", "vpn_container_id")

_NOUNS = (containers, contents, access, connections, backups, vpn)

OPERATIONS: dict[str, Route] = {
    it.name: it for noun in _NOUNS for it in vars(noun).values() if isinstance(it, Route)
}
"""The thirty endpoints by the name of their operation."""

_DASHBOARD_ONLY = "dashboard_only"
"""The name in the log for requests that no key may send."""

# assumed: the paths. The guide names the operations that need the dashboard, but not their paths.
_DASHBOARD_PATHS = (
    "/containers/<container_id>/resize",
    "/containers/<container_id>/ssh-password",
    "/containers/<container_id>/database",
    "/containers/<container_id>/database/<path:rest>",
    "/containers/<container_id>/files",
    "/containers/<container_id>/files/<path:rest>",
    "/billing",
    "/billing/<path:rest>",
    "/account",
    "/account/<path:rest>",
    "/api-keys",
    "/api-keys/<path:rest>",
)

_MAP = Map(
    [
        *(Rule(it.path, methods=[it.method], endpoint=it.name) for it in OPERATIONS.values()),
        *(Rule(path, endpoint=_DASHBOARD_ONLY) for path in _DASHBOARD_PATHS),
    ],
    strict_slashes=False,
    merge_slashes=False,
)
_ADAPTER = _MAP.bind("localhost")
_JSON = re.compile(r"application/(?:[\w.-]+\+)?json")
_METHODS = {
    path: {it.method for it in OPERATIONS.values() if it.path == path}
    for path in (it.path for it in OPERATIONS.values() if "<" not in it.path)
}
"""The methods of each path without variables; variables of other paths must not match such a path."""


class Api:
    """
    The thirty endpoints, which share one state.

    Attributes:
        platform: The platform.
        faults: The queued faults.
        limiter: The rate limiter.
        shapes: The shapes of responses that the guide does not specify.
        log: The request log.
        late: The answers that lag behind, and the lists that show only some of their rows.
        ending: Set when the server stops, so that a slow response does not delay the stop.
        changed: Called, with the lock held, after a request that may have changed something.
    """

    def __init__(self, platform: Platform, limiter: keys.RateLimiter, shapes: Shapes) -> None:
        self.platform = platform
        self.faults = Faults(frozenset(OPERATIONS))
        self.limiter = limiter
        self.shapes = shapes
        self.log = RequestLog()
        self.late = Late(platform)
        self.ending = threading.Event()
        self.changed: Callable[[], None] = _nothing

    def respond(self, incoming: Incoming) -> Response:
        """Answer a request, and log it before the response is sent."""
        visit = _Visit(self, incoming)
        response = visit.run()
        self.log.append(
            incoming,
            response,
            at=visit.began,
            operation=visit.operation,
            fault=visit.fault.kind if visit.fault is not None and visit.fault.kind != "pass" else None,
            key=visit.key.label if visit.key is not None else None,
            seconds=time.monotonic() - visit.started,
            subject=visit.subject,
        )
        return response


class _Visit:
    """One request while it is handled, and its data for the request log."""

    def __init__(self, api: Api, incoming: Incoming) -> None:
        self.api = api
        self.incoming = incoming
        self.began, self.started = time.time(), time.monotonic()
        self.key: ApiKey | None = None
        self.operation: str | None = None
        self.fault: Fault | None = None
        self.subject = ""

    def run(self) -> Response:
        rate_headers: dict[str, str] = {}
        args: dict[str, str] = {}
        unknown: Refusal | None = None
        try:
            self.operation, args = match(self.incoming.method, self.incoming.path.removeprefix(BASE_PATH))
            self.subject = next((args[name] for name in _ABOUT if name in args), "")
        except Refusal as refusal:
            unknown = refusal
        self.api.log.arrived(self.operation)
        try:
            with self.api.platform.lock:
                self.key = key = keys.authenticate(self.api.platform.state, self.incoming.authorization)
            admission = self.api.limiter.take(key.label, key.rate_limit)
            clock = self.api.platform.clock
            rate_headers = admission.headers(clock.now() - clock.wall())
            _admit(admission, unknown)
            response = self._with_fault(key, args)
        except Refusal as refusal:
            response = refusal.response()
        return replace(response, headers={**rate_headers, **response.headers})

    def _with_fault(self, key: ApiKey, args: dict[str, str]) -> Response:
        body = _parsed(self.incoming.payload) if self.incoming.method in {"POST", "PUT"} else {}
        name = body.get("name") if isinstance(body, dict) else None
        named = name if isinstance(name, str) else ""
        self.subject = self.subject or named
        self.fault = fault = self.api.faults.take(str(self.operation), self.incoming.path, named)
        if fault is None:
            return self._carry_out(key, args, body)
        replacement = instead(fault)
        done = fault.kind == "drop_after" or fault.options.get("done", fault.kind != "drop_before")
        if fault.kind == "slow" and not done:
            self.api.ending.wait(fault.options["seconds"] / self.api.platform.clock.speed)
        right = self._carry_out(key, args, body) if done or replacement is None else Response(0)
        if fault.kind == "slow" and done:
            self.api.ending.wait(fault.options["seconds"] / self.api.platform.clock.speed)
        return replacement if replacement is not None else spoil(fault, right)

    def _carry_out(self, key: ApiKey, args: dict[str, str], body: Any) -> Response:
        try:
            return self._run(key, args, body)
        except Refusal as refusal:
            return refusal.response()

    def _run(self, key: ApiKey, args: dict[str, str], body: Any) -> Response:
        if self.operation == _DASHBOARD_ONLY:
            raise Refusal(
                403,
                {
                    "error": "This endpoint requires dashboard access (JWT authentication)",
                    "hint": "This operation requires human approval via the dashboard.",
                },
            )
        route = OPERATIONS[str(self.operation)]
        platform = self.api.platform
        keys.check_scope(key, route.scope)
        if not isinstance(body, dict):
            raise bad_request("The request body must be a JSON object")
        if platform.strict:
            if self.incoming.payload.strip() and not _JSON.fullmatch(self.incoming.content_type):
                # assumed: the header is required, because the guide sends it with each body, and most servers read
                # JSON only with it.
                raise bad_request("The header Content-Type of a body must be application/json")
            # assumed: an unknown field is refused, because a misspelt one would silently have no effect.
            route.check_fields(body)
        with platform.lock:
            platform.settle()
            request = Request(platform, key, args, self.incoming.query, body)
            shape = self.api.shapes.of(route.name)
            response = encode(*finished(self.api.late.answered(route, request), shape))
            if route.method != "GET":
                self.api.changed()
        return response


def match(method: str, raw_path: str) -> tuple[str, dict[str, str]]:
    """
    Find the operation of a request.

    Args:
        method: HTTP method.
        raw_path: The path below the base URL as it was sent, still percent-encoded.

    Returns:
        The operation's name, or `_DASHBOARD_ONLY`, and the decoded variables of the path.

    Raises:
        Refusal: 404 or 405.
    """
    try:
        name, args = _ADAPTER.match(raw_path, method)
    except MethodNotAllowed as exc:
        raise _not_allowed(set(exc.valid_methods or ()) - {"HEAD"}) from None
    except NotFound:
        # assumed: the body.
        raise Refusal(404, {"success": False, "error": "Not found"}) from None
    methods = _METHODS.get(raw_path.rstrip("/"))
    if methods is not None and args:
        raise _not_allowed(methods)
    return name, {key: unquote(value) for key, value in args.items()}


def _not_allowed(methods: Iterable[str]) -> Refusal:
    # assumed: the body.
    return Refusal(
        405, {"success": False, "error": "Method not allowed"}, {"Allow": ", ".join(sorted(methods))}
    )


def _admit(admission: keys.Admission, unknown: Refusal | None) -> None:
    if not admission.allowed:
        # assumed: the body; the guide states code and header.
        raise Refusal(429, {"error": "Rate limit exceeded"})
    if unknown is not None:
        raise unknown


def _parsed(payload: bytes) -> Any:
    """Return the JSON body; an empty object for no body; `None` if the body is not JSON or cannot be stored as text."""
    if not payload.strip():
        return {}
    try:
        value = json.loads(payload, parse_constant=_reject)
        # JSON may contain half a surrogate pair, which cannot be encoded as text.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value


def _reject(constant: str) -> None:
    raise ValueError(constant)


def _nothing() -> None:
    """Do nothing; this is the default of `changed`."""
