"""
The control endpoints under `/_emulator/`, and the page: what Python code does with `Emulator`, for other processes.

They ask for no key, so they answer this machine alone: a request under another host name, or one that a web page of
another origin sent, is refused.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stacks_pulumi.emulator.clock import iso
from stacks_pulumi.emulator.delivery import Delivery, encode
from stacks_pulumi.emulator.refusals import Refusal
from stacks_pulumi.emulator.shapes import OPEN
from stacks_pulumi.emulator.snapshot import request, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stacks_pulumi.emulator.app import Incoming
    from stacks_pulumi.emulator.emulator import Emulator

__all__ = ["CONTROL_PATH", "Control"]

CONTROL_PATH = "/_emulator"

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SECURITY = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # The page brings everything with it; whatever a name may smuggle in is neither fetched nor run.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


class Control:
    """
    Answers everything outside the API.

    Args:
        emulator: What is controlled.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._table: dict[tuple[str, str], Callable[[dict[str, Any], dict[str, str]], Any]] = {
            ("GET", ""): self._index,
            ("GET", "state"): lambda _body, _query: snapshot(emulator.api),
            ("GET", "requests"): self._requests,
            ("GET", "faults"): lambda _body, _query: self._faults(),
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "clock"): lambda _body, _query: self._clock(),
            ("POST", "clock"): self._advance,
            ("GET", "shapes"): self._shapes,
            ("POST", "shapes"): self._set_shapes,
            ("POST", "failures"): self._fail,
            ("POST", "accounts"): lambda _body, _query: {"account": emulator.new_account()},
            ("POST", "keys"): lambda body, _query: {"key": emulator.new_key(**body)},
            ("POST", "drift"): self._drift,
            ("POST", "reset"): self._reset,
        }

    def respond(self, incoming: Incoming, headers: Mapping[str, str]) -> Delivery:
        """Answer a request for the page or for a control endpoint."""
        if not _is_local(headers):
            return encode(403, {"error": "The emulator's own pages answer this machine only"}, _SECURITY)
        if incoming.path == "/" and incoming.method in {"GET", "HEAD"}:
            page = resources.files("stacks_pulumi.emulator").joinpath("page.html").read_bytes()
            return Delivery(200, page, {"Content-Type": "text/html; charset=utf-8", **_SECURITY})
        if incoming.path.startswith(f"{CONTROL_PATH}/"):
            return self._control(incoming)
        return encode(
            404, {"error": "Not found: the API is under /api/v1, control under /_emulator/"}, _SECURITY
        )

    def _control(self, incoming: Incoming) -> Delivery:
        name = incoming.path.removeprefix(CONTROL_PATH).strip("/")
        handler = self._table.get((incoming.method, name))
        if handler is None:
            return encode(404, {"error": f"Not found; GET {CONTROL_PATH}/ lists what there is"}, _SECURITY)
        try:
            body = json.loads(incoming.payload) if incoming.payload.strip() else {}
            if not isinstance(body, dict):
                return encode(400, {"error": "the body must be a JSON object"}, _SECURITY)
            return encode(200, handler(body, incoming.query), _SECURITY)
        except Refusal as refusal:
            return encode(refusal.status, refusal.body, _SECURITY)
        except KeyError as exc:
            return encode(404, {"error": f"there is no {exc.args[0]!r}"}, _SECURITY)
        except (TypeError, ValueError, ArithmeticError) as exc:
            return encode(400, {"error": str(exc)}, _SECURITY)

    def _index(self, _body: dict[str, Any], _query: dict[str, str]) -> Any:
        return {"endpoints": [f"{method} {CONTROL_PATH}/{name}" for method, name in self._table]}

    def _requests(self, _body: dict[str, Any], query: dict[str, str]) -> Any:
        after, operation = int(query.get("after", "0")), query.get("operation")
        found = [
            request(record)
            for record in self._emulator.requests
            if record.number > after and operation in {None, record.operation}
        ]
        return {"requests": found, "calls": self._emulator.api.log.counts()}

    def _faults(self) -> Any:
        faults = self._emulator.faults
        return {
            "faults": [fault.describe() for fault in faults.all()],
            "left": [fault.describe() for fault in faults.left()],
            "fired": [{"operation": it.operation, "kind": it.kind, "path": it.path} for it in faults.fired()],
        }

    def _add_faults(self, body: dict[str, Any], _query: dict[str, str]) -> Any:
        for fault in body.get("faults", [body]):
            self._emulator.faults.add(**fault)
        return self._faults()

    def _clear_faults(self, _body: dict[str, Any], _query: dict[str, str]) -> Any:
        self._emulator.faults.clear()
        return self._faults()

    def _clock(self) -> Any:
        now = self._emulator.state.settle()
        return {"now": now, "iso": iso(now)}

    def _advance(self, body: dict[str, Any], _query: dict[str, str]) -> Any:
        self._emulator.advance(float(body["advance"]))
        return self._clock()

    def _shapes(self, _body: dict[str, Any], _query: dict[str, str]) -> Any:
        return {operation: self._emulator.shapes.of(operation) for operation in sorted(OPEN)}

    def _set_shapes(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        for operation, shape in body.items():
            self._emulator.shapes.set(operation, shape)
        return self._shapes(body, query)

    def _fail(self, body: dict[str, Any], _query: dict[str, str]) -> Any:
        if "boot" in body:
            self._emulator.fail_boot(body["boot"], body.get("times", 1))
        if "backup" in body:
            message = body.get("message")
            self._emulator.fail_backup(body["backup"], *([] if message is None else [message]))
        return {
            "boot": self._emulator.state.world.boot_failures,
            "backup": self._emulator.state.world.backup_failures,
        }

    def _drift(self, body: dict[str, Any], _query: dict[str, str]) -> Any:
        arguments = {key: value for key, value in body.items() if key != "action"}
        self._emulator.drift.run(str(body.get("action", "")), arguments)
        return {"done": True}

    def _reset(self, _body: dict[str, Any], _query: dict[str, str]) -> Any:
        self._emulator.reset()
        return {"done": True}


def _is_local(headers: Mapping[str, str]) -> bool:
    host = headers.get("Host", "")
    origin = headers.get("Origin")
    return urlsplit(f"//{host}").hostname in _LOOPBACK and origin in {None, f"http://{host}"}
