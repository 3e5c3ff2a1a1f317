"""Every fault, as a client sees it."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from stacks_pulumi.emulator import server
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from stacks_pulumi.emulator import Emulator
    from tests.emulator.conftest import Caller

NEW = {"name": "myapp", "template": "nodejs"}


@pytest.fixture(autouse=True)
def _all_faults_fired(emulator: Emulator) -> object:
    """A test whose fault never fired fails."""
    yield
    emulator.faults.assert_none_left()


@pytest.mark.parametrize("reset", [False, True])
def test_drop_before_does_not_carry_out_the_request(emulator: Emulator, call: Caller, reset: bool) -> None:
    emulator.faults.add("containers.create", "drop_before", reset=reset)

    with pytest.raises(requests.ConnectionError):
        call("POST", "/containers", NEW)

    assert emulator.state.names() == []
    assert call("POST", "/containers", NEW).status_code == 202


@pytest.mark.parametrize("reset", [False, True])
def test_drop_after_carries_out_the_request(emulator: Emulator, call: Caller, reset: bool) -> None:
    emulator.faults.add("containers.create", "drop_after", reset=reset)

    with pytest.raises(requests.ConnectionError):
        call("POST", "/containers", NEW)

    assert emulator.state.names() == ["myapp"]
    assert [record.status for record in emulator.requests] == [0]


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
@pytest.mark.parametrize("reset", [False, True])
def test_a_dropped_connection_ends_or_is_reset(emulator: Emulator, kind: str, reset: bool) -> None:
    emulator.faults.add("containers.list", kind, reset=reset)
    parts = urlsplit(emulator.url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=60) as client:
        lines = [
            f"GET {parts.path}/containers HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Authorization: Bearer {emulator.key}",
        ]
        client.sendall("\r\n".join([*lines, "", ""]).encode())

        with pytest.raises(ConnectionResetError) if reset else nullcontext():
            assert client.recv(1) == b""


@pytest.mark.parametrize("retry_after", [None, 7])
def test_too_many_requests_with_and_without_a_time(
    emulator: Emulator, call: Caller, retry_after: int | None
) -> None:
    emulator.faults.add("containers.create", "rate_limited", retry_after=retry_after)
    answer = call("POST", "/containers", NEW)

    assert answer.status_code == 429
    assert answer.headers.get("Retry-After") == (None if retry_after is None else "7")
    assert emulator.state.names() == []


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_an_error_is_returned_with_or_without_carrying_out_the_request(
    emulator: Emulator, call: Caller, code: int, done: bool
) -> None:
    emulator.faults.add("containers.create", code, done=done)

    assert call("POST", "/containers", NEW).status_code == code
    assert emulator.state.names() == (["myapp"] if done else [])


def test_slow_outlasts_the_client_timeout_and_is_carried_out(emulator: Emulator, call: Caller) -> None:
    emulator.faults.add("containers.create", "slow", seconds=3600)

    with pytest.raises(requests.ReadTimeout):
        call("POST", "/containers", NEW, timeout=0.2)

    until(lambda: emulator.state.names() == ["myapp"])
    # The request is counted before its answer is sent.
    assert (emulator.calls("containers.create"), emulator.requests) == (1, [])


def test_slow_can_be_short(emulator: Emulator, call: Caller) -> None:
    emulator.faults.add("containers.list", "slow", seconds=0.1, done=False)

    assert call("GET", "/containers").status_code == 200
    assert emulator.requests[-1].seconds >= 0.1


def test_slow_does_not_delay_the_stop() -> None:
    from stacks_pulumi.emulator import Emulator

    with Emulator() as emulator:
        # If the stop waited for the answer, it would exceed this test's timeout.
        emulator.faults.add("containers.list", "slow", seconds=3600)
        with pytest.raises(requests.ReadTimeout):
            requests.get(
                f"{emulator.url}/containers", headers={"Authorization": f"Bearer {emulator.key}"}, timeout=0.1
            )


def test_truncated_is_not_json(emulator: Emulator, call: Caller) -> None:
    emulator.faults.add("containers.create", "truncated")
    answer = call("POST", "/containers", NEW)

    assert answer.status_code == 202
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert emulator.state.names() == ["myapp"]


def test_cut_sends_less_than_its_content_length(emulator: Emulator, call: Caller) -> None:
    emulator.faults.add("containers.create", "cut")

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        call("POST", "/containers", NEW)

    assert emulator.state.names() == ["myapp"]


@pytest.mark.parametrize("code", [200, 502])
def test_html_replaces_the_json(emulator: Emulator, call: Caller, code: int) -> None:
    emulator.faults.add("containers.list", "html", code=code)
    answer = call("GET", "/containers")

    assert answer.status_code == code
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_empty_has_its_status_and_no_body(emulator: Emulator, call: Caller) -> None:
    emulator.faults.add("containers.create", "empty")
    emulator.faults.add("containers.list", "empty", code=204)
    created, listed = call("POST", "/containers", NEW), call("GET", "/containers")

    assert (created.status_code, created.text) == (202, "")
    assert (listed.status_code, listed.text) == (204, "")
    assert emulator.state.names() == ["myapp"]


def test_another_status_has_the_right_body(emulator: Emulator, call: Caller) -> None:
    emulator.faults.add("containers.create", "wrong_code", code=200)
    answer = call("POST", "/containers", NEW)

    assert answer.status_code == 200
    assert answer.json()["data"]["name"] == "myapp"


def test_types_are_wrong_everywhere_or_in_one_field(emulator: Emulator, call: Caller) -> None:
    call.create("myapp")
    right = call("GET", "/containers").json()["data"][0]
    emulator.faults.add("containers.list", "wrong_types")
    emulator.faults.add("containers.list", "wrong_types", field="status")
    everywhere = call("GET", "/containers").json()["data"][0]
    one_field = call("GET", "/containers").json()["data"][0]

    assert all(type(everywhere[key]) is not type(right[key]) for key in right)
    numbers = [key for key in right if type(right[key]) in {int, float}]
    assert numbers
    assert [everywhere[key] for key in numbers] == [[str(right[key])] for key in numbers]
    assert [key for key in right if one_field[key] != right[key]] == ["status"]


@pytest.mark.parametrize(("field", "odd"), [(None, None), ("plan", ["plan"])])
def test_types_are_wrong_in_one_row(
    emulator: Emulator, call: Caller, field: str | None, odd: list[str] | None
) -> None:
    for name in ("one", "two", "three"):
        call.create(name)
    right = call("GET", "/containers").json()
    emulator.faults.add("containers.list", "wrong_types", field=field, row=1)
    given = call("GET", "/containers").json()

    assert {**given, "data": None} == {**right, "data": None}
    assert (given["data"][0], given["data"][2]) == (right["data"][0], right["data"][2])
    changed = [key for key, value in right["data"][1].items() if given["data"][1][key] != value]
    assert changed == (odd or list(right["data"][1]))


def test_the_count_is_higher_than_the_rows(emulator: Emulator, call: Caller) -> None:
    call.create("myapp")
    emulator.faults.add("containers.list", "miscount", by=2)
    body = call("GET", "/containers").json()

    assert (body["count"], len(body["data"])) == (3, 1)
    emulator.faults.add("containers.status", "miscount")
    assert "count" not in call("GET", f"/containers/status/{body['data'][0]['id']}").json()


class Pauses:
    """The pauses of a slow answer: each lasts until the test ends it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.begun, self.over = threading.Event(), threading.Event()

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.begun.set()
        self.over.wait()


@pytest.mark.parametrize("part", ["headers", "body"])
def test_an_answer_arrives_slowly(
    emulator: Emulator, call: Caller, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = Pauses()
    monkeypatch.setattr(server, "time", pauses)
    emulator.faults.add("containers.list", "trickle", seconds=6, part=part)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(call, "GET", "/containers", stream=True)
        try:
            assert pauses.begun.wait(PATIENCE)
            if part == "headers":
                assert not asked.done()
            else:
                assert asked.result().status_code == 200
        finally:
            pauses.over.set()

        assert asked.result().json()["data"] == []
    # The pause after the last piece may come after the client has received the piece.
    assert sum(pauses.seconds) == pytest.approx(6, abs=1.1 * max(pauses.seconds))
    # Every pause is shorter than a client's timeout.
    assert max(pauses.seconds) < 1


def test_wrong_types_skip_answers_without_json(emulator: Emulator, call: Caller) -> None:
    container = call.create("myapp")
    emulator.shapes.set("containers.logs", "text")
    right = call("GET", f"/containers/{container}/logs").text
    emulator.faults.add("containers.logs", "wrong_types")

    assert call("GET", f"/containers/{container}/logs").text == right


def test_any_answer_can_be_given(emulator: Emulator, call: Caller) -> None:
    emulator.faults.add("containers.list", "answer", body={"data": None}, code=418)
    emulator.faults.add("containers.list", "answer", body="hello", content_type="text/plain")
    first, second = call("GET", "/containers"), call("GET", "/containers")

    assert (first.status_code, first.json()) == (418, {"data": None})
    assert (second.text, second.headers["Content-Type"]) == ("hello", "text/plain")


def test_a_redirect_names_another_host(emulator: Emulator, call: Caller) -> None:
    emulator.faults.add("containers.create", "redirect", location="http://localhost:9/stolen")
    answer = call("POST", "/containers", NEW, allow_redirects=False)

    assert (answer.status_code, answer.headers["Location"]) == (307, "http://localhost:9/stolen")
    assert emulator.state.names() == []


def test_hang_up_breaks_the_next_request_on_the_connection(emulator: Emulator) -> None:
    import http.client

    emulator.faults.add("containers.list", "hang_up")
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=60)
    headers = {"Authorization": f"Bearer {emulator.key}"}
    connection.request("GET", "/api/v1/containers", headers=headers)
    answer = connection.getresponse()
    answer.read()
    assert (answer.status, answer.headers.get("Connection")) == (200, None)

    connection.auto_open = 0
    assert connection.sock.recv(1) == b""
    connection.close()


def test_a_rate_limited_request_meets_no_fault(emulator: Emulator, call: Caller) -> None:
    call("GET", "/containers")
    emulator.set_rate_limit(1)
    emulator.faults.add("containers.list", 500)
    assert call("GET", "/containers").status_code == 429

    emulator.set_rate_limit(None)
    assert call("GET", "/containers").status_code == 500


def test_the_log_names_the_fault(emulator: Emulator, call: Caller) -> None:
    emulator.faults.add("containers.list", "pass")
    emulator.faults.add("containers.list", "html")
    call("GET", "/containers")
    call("GET", "/containers")

    assert [record.fault for record in emulator.requests] == [None, "html"]
    assert [fired.kind for fired in emulator.faults.fired("containers.list")] == ["pass", "html"]
