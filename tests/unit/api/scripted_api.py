"""
An API with the answers that a test sets, without a socket.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import urllib3

from stacks_pulumi._clock import Clock
from stacks_pulumi.api._call import Answer, Call, Handler, Sender
from stacks_pulumi.api._limiter import Limiter
from stacks_pulumi.api.client import assemble
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.endpoints import Endpoint, Scope

KEY = "sk_stacks_" + "0123456789abcdef" * 4
URL = "http://127.0.0.1:9/api/v1"
TRANSPORT_URL = "https://api.example/api/v1"
POOL: Any = urllib3.connection.HTTPConnection("somewhere.example", 1)
"""Where an error of urllib3 says that it comes from."""

Reply = Answer | BaseException | Callable[[Call[Any]], Answer]


def ok(body: Any = None, status: int = 200, **headers: str) -> Answer:
    """Return an answer with a JSON body."""
    given = {
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Answer(status, given, json.dumps(body).encode())


def text(body: str, kind: str = "text/plain", status: int = 200) -> Answer:
    """Return an answer with a text body."""
    return Answer(status, {"content-type": kind}, body.encode())


def data(value: Any, status: int = 200) -> Answer:
    """Return an answer in the usual form of the guide."""
    return ok({"success": True, "data": value}, status)


def refusal(status: int, error: str = "no", **more: Any) -> Answer:
    """Return an answer that is an error."""
    return ok({"success": False, "error": error, **more}, status)


def a_call(
    method: Any = "GET",
    parse: Callable[[Any], Any] = lambda body: body,
    *,
    text: bool = False,
    fixed: bool = False,
    **more: Any,
) -> Call[Any]:
    """Any call."""
    endpoint = Endpoint(
        "tests.any",
        method,
        "/anything" if fixed else "/{any}",
        Scope.READ,
        "text" if text else "json",
        "Any",
        "do anything",
    )
    return Call(endpoint, endpoint.what, "/anything", parse, **more)


class Script:
    """
    A transport with prepared replies, by operation, in order; the last reply of an operation repeats.

    Attributes:
        calls: The calls that were sent.
    """

    def __init__(self, **replies: Reply | list[Reply]) -> None:
        self._replies = {
            name.replace("__", "."): list(given) if isinstance(given, list) else [given]
            for name, given in replies.items()
        }
        self._lock = threading.Lock()
        self.calls: list[Call[Any]] = []

    def __call__(self, call: Call[Any]) -> Answer:
        with self._lock:
            self.calls.append(call)
            replies = self._replies[call.endpoint.name]
            reply = replies[0] if len(replies) == 1 else replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        return reply if isinstance(reply, Answer) else reply(call)

    @property
    def operations(self) -> list[str]:
        """The operations of the calls."""
        return [call.endpoint.name for call in self.calls]


def chain(transport: Sender, clock: Clock, limiter: Limiter | None = None) -> Handler:
    """Return the whole client over a fake transport."""
    return assemble(transport, limiter or Limiter(10_000, 64, clock), clock)


def containers(transport: Sender, clock: Clock) -> ContainersApi:
    """Return the containers' client over a fake transport."""
    return ContainersApi(chain(transport, clock), clock, lambda: 0.0)


def listed(**containers: str) -> Answer:
    """Return a list of containers, from names and statuses."""
    entries: list[Mapping[str, Any]] = [
        {"id": f"usr-1-{name}", "name": name, "type": "nodejs", "status": status}
        for name, status in containers.items()
    ]
    return ok({"success": True, "count": len(entries), "data": entries})
