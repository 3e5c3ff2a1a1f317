"""Slow or missing answers: the timeout of a call ends the wait for its answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from stacks_pulumi import errors
from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.api import _transport
from stacks_pulumi.api._transport import Transport
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import KEY, TRANSPORT_URL, a_call


class SteppingClock:
    """
    A clock for the sockets: each read of the clock advances it, and makes the server send one more part.

    The client reads the clock twice before the first socket read, and once in each socket read.
    """

    def __init__(self, step: float) -> None:
        self.looks = 0
        self.parts = threading.Semaphore(0)
        self._step = step

    def monotonic(self) -> float:
        self.looks += 1
        self.parts.release()
        return self.looks * self._step


@pytest.fixture
def stepping(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], SteppingClock]:
    """Return a function that makes the sockets use a stepping clock."""

    def use(step: float) -> SteppingClock:
        clock = SteppingClock(step)
        monkeypatch.setattr(_transport, "time", clock)
        return clock

    return use


@contextlib.contextmanager
def trickling(clock: SteppingClock, *parts: bytes, repeat: bytes = b"") -> Iterator[str]:
    """A server that sends these parts one by one, then the last part 50 times, or nothing until the client leaves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _address = listener.accept()
            with client, contextlib.suppress(OSError):
                client.recv(65536)
                for part in (*parts, *([repeat] * 50 if repeat else ())):
                    clock.parts.acquire()
                    client.sendall(part)
                if not repeat:
                    client.recv(1)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        clock.parts.release(100)
        thread.join()


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
    ],
    ids=["a header", "the status line", "headers", "headers of a 100", "the body", "chunks"],
)
def test_a_slow_answer_times_out(
    parts: tuple[bytes, ...], repeat: bytes, stepping: Callable[[float], SteppingClock]
) -> None:
    clock = stepping(_transport._POLL_SECONDS / 10)

    with (
        trickling(clock, *parts, repeat=repeat) as url,
        pytest.raises(errors.ConnectionFailedError, match="no answer came in time") as caught,
    ):
        Transport(url, KEY, SYSTEM_CLOCK)(a_call(poll=True))

    assert caught.value.sent is True
    assert clock.looks <= 2 + 10


@pytest.mark.parametrize(
    "parts", [(START + b"Content-Length: 20\r\n\r\n ",), (START,)], ids=["in the body", "in the headers"]
)
def test_an_answer_that_halts_times_out_with_the_call(
    parts: tuple[bytes, ...], stepping: Callable[[float], SteppingClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transport, "_READ_SECONDS", 3600.0)
    # In the second read, which gets no data, a hundredth of the time is left.
    clock = stepping(_transport._POLL_SECONDS * 0.495)

    with (
        trickling(clock, *parts) as url,
        pytest.raises(errors.ConnectionFailedError, match="no answer came in time") as caught,
    ):
        Transport(url, KEY, SYSTEM_CLOCK)(a_call(poll=True))

    assert caught.value.sent is True


def test_silence_times_out_before_the_timeout_of_the_call(
    stepping: Callable[[float], SteppingClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transport, "_READ_SECONDS", 0.2)
    monkeypatch.setattr(_transport, "_WHOLE_SECONDS", 3600.0)

    with trickling(stepping(0), START) as url, pytest.raises(errors.ConnectionFailedError, match="in time"):
        Transport(url, KEY, SYSTEM_CLOCK)(a_call())


def test_a_slow_answer_within_the_timeout_is_read(
    clock: FakeClock, stepping: Callable[[float], SteppingClock]
) -> None:
    parts = [bytes([byte]) for byte in START + b"Content-Length: 2\r\n\r\n{}"]
    slow = stepping(_transport._POLL_SECONDS / 2 / len(parts))

    with trickling(slow, *parts) as url:
        assert Transport(url, KEY, clock)(a_call(poll=True)).body == b"{}"


def test_a_slow_answer_of_a_proxy_times_out(
    stepping: Callable[[float], SteppingClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = stepping(_transport._CONNECT_SECONDS / 10)

    with trickling(clock, START, repeat=b"X-A: b\r\n") as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(errors.ConnectionFailedError, match="no answer came in time"):
            Transport(TRANSPORT_URL, KEY, SYSTEM_CLOCK)(a_call())

    assert clock.looks <= 1 + 10
