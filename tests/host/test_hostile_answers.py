"""
Hostile or unusual answers and inputs cause a clear error, but never a hang, a leaked secret or a crashed host.

In `tests/unit/api/test_any_answer.py` and `test_odd_answers.py`, fields have wrong values; in the fault matrix,
complete answers are wrong.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from stacks_pulumi.emulator import Emulator
from tests.chaos.account import holdings
from tests.support.host import CallFailedError, Host

pytestmark = [pytest.mark.host, pytest.mark.slow]

HOSTILE = (
    "..",
    ".",
    "../../backups/1",
    "usr-1/../usr-2",
    "a?limit=1",
    "a#b",
    "a%2Fb",
    "a b",
    "ünïcode-☃",
    "a\nb",
    "\x00",
    "x" * 5000,
)


# --- complete answers ---

WHOLE: dict[str, tuple[dict[str, Any], str]] = {
    "17 MB": ({"body": " " * (17 * 1024 * 1024)}, "longer than"),
    "deep": ({"body": "[" * 200_000}, "nested too deeply"),
    "deep objects": ({"body": '{"data":' * 100_000}, "nested too deeply"),
    "a number too long": (
        {"body": '{"success": true, "data": ' + "9" * 50_000 + "}"},
        "cannot be understood",
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_an_oversized_answer_is_reported(host: Host, emulator: Emulator, name: str) -> None:
    options, expected = WHOLE[name]
    emulator.faults.add("containers.list", "answer", None, **options)

    with pytest.raises(CallFailedError, match=expected) as caught:
        host.resource("Container", "web").up(name="web", template="nodejs")

    assert len(caught.value.message) < 500
    assert holdings(emulator) == set()


# --- ids and names ---


@pytest.mark.parametrize("id_", HOSTILE)
def test_a_hostile_id_reaches_no_other_endpoint(host: Host, emulator: Emulator, id_: str) -> None:
    key = host.resource("SshCertificate", "key")
    failures = key.check(container=id_)
    if not failures:
        with pytest.raises(CallFailedError) as caught:
            key.create(key.checked(container=id_))
        assert "internal error" not in caught.value.message
        assert len(caught.value.message) < len(id_) + 500

    # The container is only read: a hostile id reaches no other endpoint.
    asked = {record.operation for record in emulator.requests}
    assert asked <= {"containers.list", "containers.status"}


@pytest.mark.parametrize("id_", HOSTILE)
def test_a_hostile_id_from_the_api_reaches_no_other_endpoint(
    host: Host, emulator: Emulator, id_: str
) -> None:
    web = host.resource("Container", "web")
    web.timeout = 30
    body = {"success": True, "data": {"id": id_, "name": "web", "status": "pending"}}
    emulator.faults.add("containers.create", "answer", code=202, body=body)

    told = ""
    try:
        web.up(name="web", template="nodejs")
    except CallFailedError as error:
        told = error.message
    if web.id:
        # No request is sent for an id that is not valid in this account.
        with contextlib.suppress(CallFailedError):
            web.delete()

    assert "internal error" not in told
    assert "\n" not in told
    asked = {record.operation for record in emulator.requests}
    assert asked <= {
        "containers.list",
        "containers.create",
        "containers.status",
        "containers.logs",
        "containers.delete",
    }


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://user:hunter2@127.0.0.1:1/api", "contains credentials"),
        ("https://user:hunter2@api.example/api", "contains credentials"),
        ("http://api.example/api/v1", "in plain text"),
        ("http://127.0.0.1.evil.example/", "in plain text"),
        ("http://[::ffff:198.51.100.1]/", "in plain text"),
        ("ftp://127.0.0.1/", "is not a valid API URL"),
        ("file:///etc/passwd", "is not a valid API URL"),
        ("https://api.example/?key=1", "has a query"),
        ("https://", "is not a valid API URL"),
    ],
)
def test_a_url_that_would_leak_the_key_is_refused(
    make_host: Callable[..., Host], emulator: Emulator, url: str, expected: str
) -> None:
    host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": url})
    with pytest.raises(CallFailedError, match=expected) as caught:
        host.resource("Container", "web").up(name="web", template="nodejs")

    assert "hunter2" not in caught.value.message
    assert emulator.key not in caught.value.message
    assert emulator.requests == []


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """A different host, which records the received headers."""

    asked: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append(dict(self.headers))
        body = json.dumps({"success": True, "count": 0, "data": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  (names of http.server)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Start a different host and return its URL."""
    _Elsewhere.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/elsewhere"
        server.shutdown()


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        *(("containers.list", code) for code in (301, 302, 303, 307, 308)),
        ("containers.create", 307),
        ("containers.delete", 308),
    ],
)
def test_redirects_are_not_followed(
    host: Host, emulator: Emulator, elsewhere: str, operation: str, code: int
) -> None:
    web = host.resource("Container", "web")
    if operation == "containers.delete":
        web.up(name="web", template="nodejs")
    emulator.faults.add(operation, "redirect", None, code=code, location=elsewhere)

    act = web.delete if operation == "containers.delete" else lambda: web.up(name="web", template="nodejs")
    with pytest.raises(CallFailedError, match=r"is a redirect to .*, which is not followed"):
        act()

    assert _Elsewhere.asked == []
