"""Requests and answers on the wire, and the messages of failures."""

from __future__ import annotations

import gzip
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import responses
import urllib3
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError, ProtocolError

from stacks_pulumi import errors
from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.api import _transport
from stacks_pulumi.api._transport import Transport
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import KEY, POOL, TRANSPORT_URL, a_call


def test_a_call_becomes_a_request_and_the_response_an_answer(
    http: responses.RequestsMock, transport: Transport, clock: FakeClock
) -> None:
    http.post(
        f"{TRANSPORT_URL}/anything",
        body=b'{"a": 1}',
        status=202,
        headers={"X-RateLimit-Remaining": "7"},
        match=[
            responses.matchers.json_params_matcher({"n": 1}),
            responses.matchers.query_param_matcher({"q": "a b"}),
        ],
    )

    answer = transport(a_call("POST", json={"n": 1}, query={"q": "a b"}))

    assert (answer.status, answer.body, answer.received) == (202, b'{"a": 1}', clock.wall())
    assert answer.headers["x-ratelimit-remaining"] == "7"
    headers = http.calls[0].request.headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["User-Agent"].startswith("stacks-pulumi/")


def test_a_get_request_wants_no_older_answer(http: responses.RequestsMock, transport: Transport) -> None:
    http.get(f"{TRANSPORT_URL}/anything")
    http.put(f"{TRANSPORT_URL}/anything")

    transport(a_call("GET"))
    transport(a_call("PUT"))

    read, written = (call.request.headers for call in http.calls)
    assert read["Cache-Control"] == "no-cache"
    assert "Cache-Control" not in written
    assert not {"If-None-Match", "If-Modified-Since"} & {*read}


def test_netrc_does_not_replace_the_key(
    http: responses.RequestsMock, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.example login somebody password else\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    http.get(f"{TRANSPORT_URL}/anything")

    transport(a_call())

    assert http.calls[0].request.headers["Authorization"] == f"Bearer {KEY}"


def test_a_redirect_is_not_followed(http: responses.RequestsMock, transport: Transport) -> None:
    http.get(f"{TRANSPORT_URL}/anything", status=302, headers={"Location": "https://evil.example/"})

    assert transport(a_call()).status == 302
    assert len(http.calls) == 1


def test_no_cookie_comes_back(http: responses.RequestsMock, transport: Transport) -> None:
    http.get(f"{TRANSPORT_URL}/anything", headers={"Set-Cookie": "who=me; Path=/"})

    transport(a_call())
    transport(a_call())

    assert "Cookie" not in http.calls[1].request.headers


@pytest.mark.parametrize(
    ("url", "trusted"),
    [(TRANSPORT_URL, True), ("http://127.0.0.1:9/api/v1", False), ("http://localhost:9", False)],
)
def test_proxies_and_certificates_apply_only_to_other_hosts(
    url: str, trusted: bool, clock: FakeClock
) -> None:
    session = Transport(url, KEY, clock)._session()

    assert session.trust_env is trusted
    assert session.verify is True
    assert all(adapter.max_retries.total == 0 for adapter in session.adapters.values())  # type: ignore[attr-defined]  # of requests


@pytest.mark.parametrize(("poll", "whole"), [(False, 120.0), (True, 10.0)])
def test_timeouts_are_set(
    poll: bool, whole: float, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def request(self: requests.Session, method: str, url: str, **more: Any) -> requests.Response:
        seen.update(more)
        raise requests.ConnectTimeout

    monkeypatch.setattr(requests.Session, "request", request)
    with pytest.raises(errors.ConnectionFailedError):
        transport(a_call(poll=poll))

    timeout = seen["timeout"]
    assert (timeout.connect_timeout, timeout.total) == (5.0, whole)
    assert seen["allow_redirects"] is False
    assert "verify" not in seen


def nested(reason: BaseException) -> requests.ConnectionError:
    failed = MaxRetryError(POOL, "/secret/path", reason)  # type: ignore[arg-type]  # any base is possible
    return requests.ConnectionError(failed)


@pytest.mark.parametrize(
    ("error", "sent", "says"),
    [
        (
            requests.ConnectTimeout("x"),
            False,
            "the connection to api.example:443 timed out; nothing was sent",
        ),
        (
            nested(NewConnectionError(POOL, "Connection refused")),
            False,
            "no connection to api.example:443 (Connection refused); nothing",
        ),
        (
            nested(NameResolutionError("h", POOL, socket.gaierror(-2, "Name or service not known"))),
            False,
            "no connection to api.example:443",
        ),
        (
            requests.exceptions.ProxyError(MaxRetryError(POOL, "/", OSError("Tunnel failed"))),
            False,
            "no connection to api.example:443",
        ),
        (
            requests.exceptions.SSLError(
                MaxRetryError(
                    POOL,
                    "/",
                    urllib3.exceptions.SSLError(
                        ssl.SSLCertVerificationError(1, "certificate verify failed: expired")
                    ),
                )
            ),
            False,
            "no secure connection to api.example:443",
        ),
        (
            requests.exceptions.SSLError(MaxRetryError(POOL, "/", urllib3.exceptions.SSLError("EOF"))),
            True,
            "no secure connection to api.example:443",
        ),
        (
            # The exception of requests for a `REQUESTS_CA_BUNDLE` that does not exist.
            OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /nope.pem"),
            False,
            "no secure connection to api.example:443 (Could not find a suitable TLS CA certificate bundle",
        ),
        # This is not an exception class of requests, and it does not show whether the request was already sent.
        (BrokenPipeError(32, "Broken pipe"), True, "the connection broke (Broken pipe); nothing was changed"),
        (requests.ReadTimeout("x"), True, "no answer came in time; nothing was changed"),
        (
            requests.ConnectionError(
                ProtocolError("Connection aborted.", ConnectionResetError(104, "reset by peer"))
            ),
            True,
            "the connection broke",
        ),
        (
            nested(ProtocolError("Connection aborted.", OSError("closed"))),
            True,
            "the connection broke",
        ),
        (requests.exceptions.ChunkedEncodingError("cut"), True, "the connection broke"),
        (requests.ConnectionError(), True, "the connection broke"),
    ],
)
def test_a_failure_says_whether_anything_was_sent(
    error: OSError,
    sent: bool,
    says: str,
    http: responses.RequestsMock,
    transport: Transport,
) -> None:
    http.get(f"{TRANSPORT_URL}/anything", body=error)

    with pytest.raises(errors.ConnectionFailedError) as caught:
        transport(a_call())

    assert caught.value.sent is sent
    assert str(caught.value).startswith(f"do anything: {says}")
    assert "/secret/path" not in str(caught.value)
    assert ("REQUESTS_CA_BUNDLE" in str(caught.value)) == ("secure" in says)
    assert caught.value.operation == "tests.any"


def test_a_write_with_unknown_outcome_reports_it(http: responses.RequestsMock, transport: Transport) -> None:
    http.post(f"{TRANSPORT_URL}/anything", body=requests.ReadTimeout("x"))

    with pytest.raises(
        errors.ConnectionFailedError,
        match="the request may have been carried out, so check before you try again",
    ):
        transport(a_call("POST"))


def test_a_body_that_was_garbled_on_the_way_is_unreadable(
    http: responses.RequestsMock, transport: Transport
) -> None:
    http.get(f"{TRANSPORT_URL}/anything", body=b"not gzip", headers={"Content-Encoding": "gzip"})

    with pytest.raises(errors.UnreadableAnswerError, match="damaged in transit"):
        transport(a_call())


def test_a_body_without_an_end_is_not_read_to_it(
    http: responses.RequestsMock, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transport, "LARGEST_BODY", 1000)
    http.get(f"{TRANSPORT_URL}/anything", body=b"x" * 1001)

    with pytest.raises(errors.UnreadableAnswerError, match="longer than 1000 bytes"):
        transport(a_call())


def test_the_time_of_one_call_does_not_end_the_next_one_on_the_same_connection(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket_clock = FakeClock()
    monkeypatch.setattr(_transport, "time", SimpleNamespace(monotonic=socket_clock.now))
    transport = Transport(server, KEY, SYSTEM_CLOCK)
    transport(a_call(poll=True))
    socket_clock.advance(3600)

    assert transport(a_call(poll=True)).status == 200
    assert len(Keeper.connections) == 1
    transport.close()


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://api.example/api/v1", "api.example:443"),
        ("https://api.example:8443/api/v1", "api.example:8443"),
        ("http://localhost/api/v1", "localhost:80"),
        ("http://[::1]:9/api/v1", "[::1]:9"),
    ],
)
def test_a_connection_that_fails_names_host_and_port(
    url: str, where: str, http: responses.RequestsMock, clock: FakeClock
) -> None:
    http.get(f"{url}/anything", body=nested(NewConnectionError(POOL, "Connection refused")))

    with pytest.raises(errors.ConnectionFailedError) as caught:
        Transport(url, KEY, clock)(a_call())
    assert f"no connection to {where} (Connection refused)" in str(caught.value)


@pytest.mark.parametrize("headers", [b"Content-Length: 20", b"Transfer-Encoding: chunked"])
def test_a_body_that_is_cut_off_is_a_broken_connection(headers: bytes, clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _address = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\n14\r\n{")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(errors.ConnectionFailedError, match="the connection broke") as caught:
            Transport(f"http://127.0.0.1:{listener.getsockname()[1]}", KEY, clock)(a_call())

    assert caught.value.sent is True


def test_a_compressed_body_in_many_pieces_is_read_whole(
    http: responses.RequestsMock, transport: Transport
) -> None:
    body = bytes(range(256)) * 4000
    http.get(f"{TRANSPORT_URL}/anything", body=gzip.compress(body), headers={"Content-Encoding": "gzip"})

    assert transport(a_call()).body == body


def test_the_log_has_method_path_status_and_time_and_nothing_else(
    http: responses.RequestsMock, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    http.post(f"{TRANSPORT_URL}/anything", json={"password": "hunter2"})
    http.get(f"{TRANSPORT_URL}/anything", body=requests.ReadTimeout("x"))

    transport(a_call("POST", json={"discount_code": "c0de"}, query={"q": "v"}))
    with pytest.raises(errors.ConnectionFailedError):
        transport(a_call())

    ours = [record.getMessage() for record in caplog.records if record.name == "stacks_pulumi.api"]
    assert ours == ["POST /anything: 200 in 0.000 s", "GET /anything: ReadTimeout"]
    assert KEY not in caplog.text
    assert "hunter2" not in caplog.text


class Keeper(BaseHTTPRequestHandler):
    """A server that keeps connections alive and counts them."""

    protocol_version = "HTTP/1.1"
    connections: set[tuple[str, int]]
    hold: threading.Barrier | None = None

    def do_GET(self) -> None:
        type(self).connections.add(self.client_address)
        if self.hold is not None:
            self.hold.wait(60)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Keeper.connections = set()
    Keeper.hold = None
    with ThreadingHTTPServer(("127.0.0.1", 0), Keeper) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_one_connection_serves_calls_that_come_one_after_another(server: str) -> None:
    transport = Transport(server, KEY, SYSTEM_CLOCK)
    for _ in range(5):
        transport(a_call())
    transport.close()

    assert len(Keeper.connections) == 1
    assert transport._idle == []


def test_concurrent_calls_use_separate_connections(server: str) -> None:
    transport = Transport(server, KEY, SYSTEM_CLOCK)
    Keeper.hold = threading.Barrier(4)
    for _round in range(2):
        threads = [threading.Thread(target=transport, args=(a_call(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    transport.close()

    assert len(Keeper.connections) == 4


def test_a_proxy_of_the_environment_never_sees_a_call_to_this_machine(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    transport = Transport(server, KEY, SYSTEM_CLOCK)

    assert transport(a_call()).status == 200
    transport.close()


def test_a_request_that_a_proxy_passed_on_was_sent_though_the_connection_was_closed_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a create or a restore that was carried out would count as not sent, and would be sent again."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def pass_on() -> None:
            client, _address = proxy.accept()
            with client:
                client.recv(65536)

        thread = threading.Thread(target=pass_on, daemon=True)
        thread.start()
        proxies = {"http": f"http://127.0.0.1:{proxy.getsockname()[1]}"}
        monkeypatch.setattr(requests.Session, "merge_environment_settings", lambda *_: {"proxies": proxies})
        with pytest.raises(errors.ConnectionFailedError, match="the connection broke") as caught:
            Transport("http://api.example", KEY, SYSTEM_CLOCK)(a_call("POST"))
        thread.join()

    assert caught.value.sent is True


def test_a_closed_port_is_a_connection_that_was_never_made() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(
        errors.ConnectionFailedError, match=r"no connection to 127\.0\.0\.1:\d+ \(.*Connection refused"
    ) as caught:
        Transport(url, KEY, SYSTEM_CLOCK)(a_call())
    assert caught.value.sent is False
