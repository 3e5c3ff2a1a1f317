"""The API over HTTP: keys, scopes, limits, and malformed requests."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from stacks_pulumi.emulator import OPERATIONS, DrivenClock, Emulator, server
from stacks_pulumi.emulator.keys import READ
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_operation_needs_a_key_and_its_scope(emulator: Emulator, operation: str) -> None:
    wanted = OPERATIONS[operation]
    path = wanted.path.replace("<", "").replace(">", "")
    others = [
        scope
        for scope in ("containers:read", "containers:create", "containers:manage", "containers:delete")
        if scope != wanted.scope
    ]
    key = emulator.new_key(scopes=others)
    without = requests.request(wanted.method, emulator.url + path, timeout=60)
    lacking = requests.request(
        wanted.method, emulator.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=60
    )

    assert (without.status_code, without.json()) == (401, {"error": "Invalid API key"})
    assert lacking.status_code == 403
    assert lacking.json() == {
        "error": f"API key lacks required scope: {wanted.scope}",
        "required_scope": wanted.scope,
        "key_scopes": others,
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/containers/usr-x/resize"),
        ("POST", "/containers/usr-x/ssh-password"),
        ("GET", "/containers/usr-x/database/tables"),
        ("GET", "/containers/usr-x/files/etc/passwd"),
        ("GET", "/containers/usr-x/database"),
        ("GET", "/containers/usr-x/files"),
        ("GET", "/billing"),
        ("GET", "/billing/invoices"),
        ("GET", "/account"),
        ("PUT", "/account/settings"),
        ("POST", "/api-keys"),
        ("DELETE", "/api-keys/1"),
    ],
)
def test_dashboard_operations_are_refused_for_every_key(call: Caller, method: str, path: str) -> None:
    answer = call(method, path)

    assert answer.status_code == 403
    assert answer.json() == {
        "error": "This endpoint requires dashboard access (JWT authentication)",
        "hint": "This operation requires human approval via the dashboard.",
    }


def test_objects_of_another_account_are_not_found(emulator: Emulator, call: Caller) -> None:
    container = call.create("myapp")
    call("POST", f"/containers/{container}/backup")
    linked = call("POST", f"/containers/{container}/connect/{call.create('mydb')}").json()["data"]
    other = emulator.new_account()
    stranger = type(call)(emulator, emulator.new_key(account=other))

    assert stranger("GET", "/containers").json()["count"] == 0
    assert stranger("GET", f"/containers/status/{container}").status_code == 404
    assert stranger("DELETE", f"/containers/{container}").status_code == 404
    assert stranger("DELETE", "/backups/1").status_code == 404
    assert stranger("DELETE", f"/containers/connections/{linked['id']}").status_code == 404
    assert stranger("GET", "/backups/stats").json()["data"]["total_backups"] == 0
    assert stranger.create("myapp") == f"{other}-myapp"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/containers/x/nothing", 404),
        ("GET", "/connections/x", 404),
        ("POST", "/containers/x", 405),
        ("PATCH", "/containers", 405),
        ("DELETE", "/backups/stats", 405),
        ("DELETE", "/containers/templates", 405),
        ("GET", "/containers/status/usr-nobody", 404),
        ("GET", "/containers/%2e%2e/logs", 404),
        ("GET", "/containers/..%2f..%2fetc/logs", 404),
    ],
)
def test_not_found_is_answered_in_json(call: Caller, method: str, path: str, status: int) -> None:
    answer = call(method, path)

    assert answer.status_code == status
    assert answer.json()["success"] is False
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b'"text"',
        b"7",
        b'{"name": "\\ud800", "template": "nodejs"}',
        b"NaN",
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_not_an_object_is_refused(call: Caller, payload: bytes) -> None:
    answer = call("POST", "/containers", data=payload, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["error"] == "The request body must be a JSON object"


def test_a_body_in_chunks_is_read(emulator: Emulator, call: Caller) -> None:
    parts = [b'{"name": "chu', b'nked", "templ', b'ate": "nodejs"}']
    json = {"Content-Type": "application/json"}

    assert call("POST", "/containers", data=iter(parts), headers=json).status_code == 202
    assert emulator.state.names() == ["chunked"]


def test_answers_to_a_known_key_have_rate_limit_headers(emulator: Emulator) -> None:
    headers = {"Authorization": f"Bearer {emulator.new_key(rate_limit=3, scopes=[READ])}"}
    answers = [
        requests.request(method, emulator.url + path, headers=headers, timeout=60)
        for method, path in (
            ("GET", "/containers"),
            ("POST", "/containers"),
            ("GET", "/nothing"),
            ("GET", "/nothing"),
        )
    ]

    assert [answer.status_code for answer in answers] == [200, 403, 404, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"3"}
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert "X-RateLimit-Limit" not in requests.get(emulator.url + "/containers", timeout=60).headers


def test_an_invalid_key_uses_no_rate_limit(emulator: Emulator) -> None:
    key = emulator.new_key(rate_limit=1)
    for _ in range(5):
        requests.get(emulator.url + "/containers", headers={"Authorization": "Bearer no"}, timeout=60)

    good = requests.get(emulator.url + "/containers", headers={"Authorization": f"Bearer {key}"}, timeout=60)
    assert good.status_code == 200


def test_the_rate_limit_uses_real_time(emulator: Emulator) -> None:
    headers = {"Authorization": f"Bearer {emulator.new_key(rate_limit=1)}"}
    requests.get(emulator.url + "/containers", headers=headers, timeout=60)
    emulator.advance(3600)

    assert requests.get(emulator.url + "/containers", headers=headers, timeout=60).status_code == 429


def test_connections_are_kept_alive(emulator: Emulator) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=60)
    headers = {"Authorization": f"Bearer {emulator.key}"}
    ends: list[Any] = []
    for method, body in (
        ("GET", None),
        ("POST", json.dumps({"name": "myapp", "template": "nodejs"})),
        ("GET", None),
    ):
        connection.request(method, "/api/v1/containers", body, headers)
        answer = connection.getresponse()
        answer.read()
        ends.append(connection.sock.getsockname())

    assert len(set(ends)) == 1
    connection.close()


def test_a_connection_is_closed_on_request(emulator: Emulator) -> None:
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=60) as raw:
        raw.sendall(b"GET /api/v1/containers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: raw.recv(65536), b""))

    assert received.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nConnection: close\r\n" in received


def test_stop_closes_connections_with_late_threads(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted, released = threading.Event(), threading.Event()
    set_up = server._Handler.setup

    def late(handler: server._Handler) -> None:
        accepted.set()
        released.wait(60)
        set_up(handler)

    monkeypatch.setattr(server._Handler, "setup", late)
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=60) as raw:
        assert accepted.wait(60)
        emulator.stop()
        released.set()

        assert raw.recv(1) == b""


def test_a_head_request_has_no_body(call: Caller) -> None:
    answer = call("HEAD", "/containers")

    assert (answer.status_code, answer.text) == (200, "")
    assert call("GET", "/containers").status_code == 200


def test_expect_continue_is_answered(emulator: Emulator) -> None:
    body = b'{"name": "myapp", "template": "nodejs"}'
    head = (
        f"POST /api/v1/containers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {emulator.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n"
        "Connection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=60) as raw:
        raw.sendall(head.encode())
        assert raw.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(body)
        received = b"".join(iter(lambda: raw.recv(65536), b""))

    assert received.startswith(b"HTTP/1.1 202 ")


def test_a_client_that_disconnects_prints_no_traceback(
    emulator: Emulator, call: Caller, capfd: pytest.CaptureFixture[str]
) -> None:
    for sent in (b"", b"GET /api", b"POST /api/v1/containers HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"):
        with socket.create_connection(("127.0.0.1", emulator.port), timeout=60) as raw:
            raw.sendall(sent)

    assert call("GET", "/containers").json()["count"] == 0
    assert capfd.readouterr().err == ""


def test_an_incomplete_request_is_not_carried_out(emulator: Emulator) -> None:
    body = b'{"name": "myapp", "template": "nodejs"}'
    head = f"POST /api/v1/containers HTTP/1.1\r\nAuthorization: Bearer {emulator.key}\r\nContent-Length: 99\r\n\r\n"
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=60) as raw:
        raw.sendall(head.encode() + body)
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(65536) == b""

    assert (emulator.state.names(), emulator.calls()) == ([], 0)


def test_refused_requests_keep_no_port(emulator: Emulator, call: Caller) -> None:
    call("POST", "/containers", {"name": "-", "template": "nodejs"})
    emulator.drift.set_capacity(0)
    call("POST", "/containers", {"name": "myapp", "template": "nodejs"})
    emulator.drift.set_capacity(None)

    assert call("POST", "/containers", {"name": "myapp", "template": "nodejs"}).json()["data"]["port"] == 8001


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("Content-Length: -1", b"", 400),
        ("Content-Length: many", b"", 400),
        ("Content-Length: 9999999999999999999999", b"", 413),
        ("Transfer-Encoding: chunked", b"zz\r\nhello\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked", b"-5\r\nhello\r\n0\r\n\r\n", 400),
    ],
)
def test_an_unreadable_body_is_refused_without_a_traceback(
    emulator: Emulator, capfd: pytest.CaptureFixture[str], head: str, body: bytes, status: int
) -> None:
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=60) as raw:
        raw.sendall(f"POST /api/v1/containers HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode() + body)
        received = b"".join(iter(lambda: raw.recv(65536), b""))

    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    assert emulator.calls() == 0
    assert capfd.readouterr().err == ""


def test_dates_are_those_of_the_driven_clock_and_a_window_is_not_shortened_by_it() -> None:
    with Emulator(rate_limit=60, clock=DrivenClock(1_800_000_000.0, running=False)) as emulator:
        headers = {"Authorization": f"Bearer {emulator.key}"}
        first = requests.get(f"{emulator.url}/containers", headers=headers, timeout=60)
        emulator.advance(3600)
        second = requests.get(f"{emulator.url}/containers", headers=headers, timeout=60)

    assert first.headers["Date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert second.headers["Date"] == "Fri, 15 Jan 2027 09:00:00 GMT"
    assert second.headers["X-RateLimit-Remaining"] == "58"
    left = int(second.headers["X-RateLimit-Reset"]) - (1_800_000_000 + 3600)
    assert 0 < left <= 61


def test_a_clock_can_run_faster() -> None:
    clock = DrivenClock(1000.0, speed=3600.0)

    until(lambda: clock.now() > 1036)
    assert clock.wall() > time.time() + 30
