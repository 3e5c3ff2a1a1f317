"""A server with only the guide's examples, without times and headers, is sufficient for the life of a container."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.chaos.hosts import Hosts
from tests.chaos.ministack import Declared, MiniStack, Outcome
from tests.unit.api.scripted_api import KEY

pytestmark = pytest.mark.host

PREFIX = "usr-abc12345"
API = "/api/v1"


class Minimal(BaseHTTPRequestHandler):
    """The exact examples of the guide, for the created containers."""

    containers: dict[str, dict[str, Any]]
    asked: list[str]

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def _handle(self) -> None:
        path = self.path.removeprefix(API).partition("?")[0]
        self.asked.append(f"{self.command} {path}")
        steps = path.strip("/").split("/")
        given = self._body()
        if (self.command, path) == ("GET", "/containers"):
            rows = [_row(one) for one in self.containers.values()]
            self._answer(200, {"success": True, "count": len(rows), "data": rows})
            for one in self.containers.values():
                one["status"] = {"pending": "running"}.get(one["status"], one["status"])
            return None
        if (self.command, path) == ("POST", "/containers"):
            made = {"id": f"{PREFIX}-{given['name']}", "status": "pending", "plan": "basic", **given}
            self.containers[made["id"]] = made
            return self._answer(
                202, {"success": True, "message": "Container is being created.", "data": _row(made)}
            )
        found = (
            self.containers.get(steps[2] if steps[1] == "status" else steps[1]) if len(steps) > 1 else None
        )
        if found is None:
            return self._answer(404, {"error": "Container not found"})
        if self.command == "GET" and steps[1] == "status":
            return self._answer(200, {"success": True, **_status(found)})
        if self.command == "PUT" and steps[2:] == ["status"]:
            found["status"] = {"restart": "running"}.get(given["status"], given["status"])
            return self._answer(200, {"success": True})
        if self.command == "DELETE":
            del self.containers[found["id"]]
            return self._answer(200, {"success": True})
        if self.command == "GET" and steps[2:] == ["allowed-ips"]:
            access: dict[str, Any] = {
                "external_access_enabled": False,
                "subdomain": None,
                "url": None,
                "allowed_ips": [],
            }
            return self._answer(200, {"success": True, "data": {**access, "your_current_ip": "203.0.113.45"}})
        return self._answer(404, {"error": "Not found"})

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815  (the names of the base class)

    def log_message(self, *_arguments: object) -> None:
        """Write no line for a request."""


def _row(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: one[name] for name in ("id", "name", "plan", "status")},
        "type": one["template"],
        "cpu_allocated": 1,
        "memory_allocated": 1024,
        "storage_allocated": 10240,
        "ip_address": "10.52.0.5",
    }


def _status(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: one[name] for name in ("id", "name", "plan", "status", "template")},
        "type": one["template"],
        "externalAccessEnabled": False,
        "ipAddress": "10.52.0.5",
        "cpuAllocated": "1.00",
        "memoryAllocated": 1024,
        "storageAllocated": 10240,
    }


@pytest.fixture
def minimal() -> Iterator[tuple[str, type[Minimal]]]:
    handler = type("Served", (Minimal,), {"containers": {}, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{API}", handler
        server.shutdown()


def test_the_guides_examples_carry_a_container_through_its_life(
    minimal: tuple[str, type[Minimal]], host_kind: str
) -> None:
    url, api = minimal
    hosts = Hosts({"stacks:apiKey": KEY, "stacks:baseUrl": url}, host_kind)
    stack: MiniStack | None = None

    def program(**more: object) -> list[Declared]:
        return [Declared("Container", "web", {"name": "web", "template": "nodejs", **more})]

    def do(operate: Any) -> Outcome:
        nonlocal stack
        with hosts.one() as host:
            stack = MiniStack(host, timeout=60) if stack is None else stack.on(host)
            outcome: Outcome = operate(stack)
        assert outcome.messages == []
        return outcome

    try:
        assert do(lambda it: it.up(program())).steps == [("create", "web")]
        assert api.containers[f"{PREFIX}-web"]["status"] == "running"
        assert do(MiniStack.refresh).steps == []
        assert do(lambda it: it.up(program())).steps == []
        assert do(lambda it: it.up(program(desired_status="stopped"))).steps == [("update", "web")]
        assert api.containers[f"{PREFIX}-web"]["status"] == "stopped"
        # A person starts it in the dashboard.
        api.containers[f"{PREFIX}-web"]["status"] = "running"
        do(MiniStack.refresh)
        assert do(lambda it: it.up(program(desired_status="stopped"))).steps == [("update", "web")]
        do(MiniStack.destroy)
        assert api.containers == {}
        assert sum(one.startswith("POST") for one in api.asked) == 1
    finally:
        hosts.close()
