"""Slow or missing answers: the timeout of a call ends the wait for its answer."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from stacks_pulumi import errors
from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.api import _transport
from stacks_pulumi.api import _transport as _sockets
from stacks_pulumi.api._transport import Transport
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import KEY, TRANSPORT_URL, a_call


@contextlib.contextmanager
def trickling(*parts: bytes, every: float = 0.05, repeat: bytes = b"") -> Iterator[str]:
    """A server that sends these parts one by one, and then the last one again and again until the client leaves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _address = listener.accept()
            with client, contextlib.suppress(OSError):
                client.recv(65536)
                for part in itertools.chain(parts, itertools.repeat(repeat) if repeat else ()):
                    client.sendall(part)
                    time.sleep(every)
                client.recv(1)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


START = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("parts", "repeat"),
    [
        ((START, b"X-A: "), b"a"),
        ((), b"H"),
        ((START,), b"X-A: b\r\n"),
        ((b"HTTP/1.1 100 Continue\r\n",), b"X-A: b\r\n"),
        ((START + b"Content-Length: 99999\r\n\r\n",), b" "),
        ((START + b"Transfer-Encoding: chunked\r\n\r\n",), b"1\r\n \r\n"),
        ((START + b"Content-Length: 20\r\n\r\n ",), b""),
        ((START,), b""),
    ],
    ids=[
        "a header",
        "the status line",
        "headers",
        "headers of a 100",
        "the body",
        "chunks",
        "a halt in the body",
        "a halt in the headers",
    ],
)
def test_a_slow_answer_times_out(
    parts: tuple[bytes, ...], repeat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transport, "_POLL_SECONDS", 0.4)

    with trickling(*parts, repeat=repeat) as url:
        transport = Transport(url, KEY, SYSTEM_CLOCK)
        began = time.monotonic()
        with pytest.raises(errors.ConnectionFailedError, match="no answer came in time") as caught:
            transport(a_call(poll=True))
        assert 0.3 < time.monotonic() - began < 1.5
        assert caught.value.sent is True


def test_silence_times_out_before_the_timeout_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sockets, "_READ_SECONDS", 0.2)

    with trickling(START) as url:
        began = time.monotonic()
        with pytest.raises(errors.ConnectionFailedError, match="in time"):
            Transport(url, KEY, SYSTEM_CLOCK)(a_call())
        assert time.monotonic() - began < 2


def test_a_slow_answer_within_the_timeout_is_read(clock: FakeClock) -> None:
    with trickling(*(bytes([byte]) for byte in START + b"Content-Length: 2\r\n\r\n{}"), every=0.002) as url:
        assert Transport(url, KEY, clock)(a_call(poll=True)).body == b"{}"


def test_a_slow_answer_of_a_proxy_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "_CONNECT_SECONDS", 0.4)
    monkeypatch.setattr(_transport, "_WHOLE_SECONDS", 0.8)

    with trickling(START, repeat=b"X-A: b\r\n") as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        began = time.monotonic()
        with pytest.raises(errors.ConnectionFailedError):
            Transport(TRANSPORT_URL, KEY, SYSTEM_CLOCK)(a_call())
        assert time.monotonic() - began < 3
