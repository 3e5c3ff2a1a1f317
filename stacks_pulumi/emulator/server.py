"""
The HTTP/1.1 server with persistent connections, by default on the loopback interface, and the log of its requests.

Werkzeug's handler closes every connection after one response, because it does not know whether the complete request
was read. Here the complete request is always read first, so the connection can stay open, as with the real API.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import socket
import struct
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from werkzeug.exceptions import NotFound
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from stacks_pulumi.emulator.answers import Response, encode

_LOG = logging.getLogger(__name__)
_MAX_BODY = 1_000_000
_IDLE_SECONDS = 75.0
_PIECE_SECONDS = 0.1
_LONGEST_SHOWN = 16_384
"""The maximum number of bytes of a body that the request log keeps."""


@dataclass(frozen=True)
class Incoming:
    """
    A request as it was received.

    Attributes:
        method: HTTP method.
        path: The path as it was sent, still percent-encoded, without the query.
        query: The first value of each parameter of the query.
        authorization: The header of that name.
        payload: The body.
        host: The header of that name.
        cache_control: The header of that name.
        content_type: The header of that name, without its parameters.
    """

    method: str
    path: str
    query: dict[str, str]
    authorization: str | None
    payload: bytes = b""
    host: str = ""
    cache_control: str = ""
    content_type: str = "application/json"


class PortTakenError(Exception):
    """The server cannot listen on the port; `str` is one line that states what to do."""


class Server:
    """
    A server thread.

    Args:
        respond: Answers a request; it also receives the headers.
        port: The port to listen on; 0 takes a free port.
        host: The address to listen on.
        now: Returns the platform's time, for the header `Date`.

    Raises:
        PortTakenError: The server cannot listen on the port.
    """

    def __init__(
        self, respond: Callable[[Incoming, Any], Response], port: int, host: str, now: Callable[[], float]
    ) -> None:
        self.respond = respond
        self.now = now
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(128)
        except OSError as exc:
            listening.close()
            if exc.errno == errno.EADDRINUSE:
                raise PortTakenError(
                    f"port {port} is in use, perhaps by another emulator: stop that program, or choose a different "
                    "--port (0 for a free one)"
                ) from None
            raise PortTakenError(
                f"cannot listen on {host} port {port} ({exc.strerror}): choose a different --host or --port"
            ) from None
        with listening:
            self._server = _Threaded(host, port, NotFound(), _Handler, fd=listening.fileno())
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="stacks-emulator",
            daemon=True,
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and close every open connection."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._lock:
            open_connections = list(self._connections)
        for connection in open_connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                # The client has already closed the connection.
                continue

    def opened(self, connection: socket.socket) -> None:
        """Register a connection."""
        with self._lock:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Unregister a connection."""
        with self._lock:
            self._connections.discard(connection)


class _UnreadableError(Exception):
    """The body cannot be read; `str` is the error for the client."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    # Send headers and body of a response in one packet.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    @property
    def _server(self) -> Server:
        return cast("_Threaded", self.server).owner

    def handle_expect_100(self) -> bool:
        """Send `100 Continue` immediately and not together with the response."""
        granted = super().handle_expect_100()
        self.wfile.flush()
        return granted

    def run_wsgi(self) -> None:
        """Read the whole request, answer it, and keep the connection open unless the response's `end` closes it."""
        environ = self.make_environ()
        try:
            payload = self._read(environ)
        except _UnreadableError as error:
            self.close_connection = True
            self._send(encode(error.status, {"success": False, "error": str(error)}))
            return
        url = urlsplit(self.path)
        incoming = Incoming(
            method=self.command,
            path=url.path,
            query=dict(reversed(parse_qsl(url.query, keep_blank_values=True))),
            authorization=self.headers.get("Authorization"),
            payload=payload,
            host=self.headers.get("Host", ""),
            cache_control=self.headers.get("Cache-Control", "").lower(),
            content_type=self.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        )
        try:
            response = self._server.respond(incoming, self.headers)
        except Exception:  # noqa: BLE001  (the client must get a response after any error)
            _LOG.exception("the emulator failed on %s %s", incoming.method, incoming.path)
            response = encode(500, {"success": False, "error": "The emulator failed; its log has the reason"})
        self._send(response)

    def _read(self, environ: dict[str, Any]) -> bytes:
        if environ.get("wsgi.input_terminated"):
            try:
                payload: bytes = environ["wsgi.input"].read(_MAX_BODY + 1)
            except ConnectionError:
                raise
            except OSError:
                raise _UnreadableError(400, "The chunks of the request body are malformed") from None
            if len(payload) > _MAX_BODY:
                raise _UnreadableError(413, "Request body too large")
            return payload
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            raise _UnreadableError(400, "Content-Length must be a whole number")
        if len(length) > 10 or int(length) > _MAX_BODY:
            raise _UnreadableError(413, "Request body too large")
        payload = self.rfile.read(int(length))
        if len(payload) < int(length):
            # An incomplete request must not be carried out.
            raise ConnectionAbortedError("the client went away while it was sending")
        return payload

    def _send(self, response: Response) -> None:
        if response.end in {"drop", "reset"}:
            self._drop(hard=response.end == "reset")
            return
        connection, self.wfile = self.wfile, io.BytesIO()
        self.send_response_only(response.status)
        self.send_header("Server", self.version_string())
        if "Date" not in response.headers:
            self.send_header("Date", self.date_time_string())
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", str(len(response.payload)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        head, self.wfile = self.wfile.getvalue(), connection
        payload = b"" if self.command == "HEAD" or response.status == 204 else response.payload
        if response.end == "cut":
            payload = payload[: len(payload) // 2]
        self._write(head, response.slow[0])
        self._write(payload, response.slow[1])
        self.wfile.flush()
        if response.end in {"cut", "hang_up"}:
            self._drop()

    def _write(self, content: bytes, seconds: float) -> None:
        """Send bytes; if `seconds` is not 0, send them in pieces that take this time together."""
        if not seconds:
            self.wfile.write(content)
            return
        pieces = min(len(content), max(1, int(seconds / _PIECE_SECONDS)))
        for number in range(pieces):
            self.wfile.write(content[number * len(content) // pieces : (number + 1) * len(content) // pieces])
            self.wfile.flush()
            time.sleep(seconds / pieces)

    def _drop(self, *, hard: bool = False) -> None:
        self.close_connection = True
        if hard:
            # With SO_LINGER and 0 seconds, the kernel sends a reset when the socket is closed. The socket is closed
            # here, because the server class would first shut it down in the ordinary way.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
            return
        # Closing the socket is not enough, because the handler's files keep it open.
        self.connection.shutdown(socket.SHUT_RDWR)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the platform's time, because clients compare it with creation times."""
        return super().date_time_string(self._server.now() if timestamp is None else timestamp)

    def version_string(self) -> str:
        return "stacks-emulator"

    def log(self, type: str, message: str, *args: Any) -> None:
        """No-op: the emulator has its own log."""


class _Threaded(ThreadedWSGIServer):
    owner: Server
    # A client's open connection must not keep the process alive.
    daemon_threads = True
    block_on_close = False

    def process_request(self, request: Any, client_address: Any) -> None:
        """
        Register a connection before its thread begins, so that `stop` also closes a connection whose thread has not
        begun.
        """
        self.owner.opened(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Unregister a connection that ends."""
        self.owner.closed(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, unless the client disconnected during a request."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@dataclass(frozen=True)
class Record:
    """
    One request.

    Attributes:
        number: The number of the request, from 1, in the order of the answers.
        at: The time at which it was received: seconds since the Unix epoch, real time.
        method: HTTP method.
        path: The path as it was sent, without the query.
        operation: Operation name; `None` if the path is not a path of the API.
        status: HTTP status code; 0 if the connection was dropped.
        fault: Kind of the fault that applied to it, or `None`.
        key: Label of the key, or `None`.
        seconds: How long it took.
        subject: The container's name or id in the path or the body, if any.
    """

    number: int
    at: float
    method: str
    path: str
    operation: str | None
    status: int
    fault: str | None
    key: str | None
    seconds: float
    subject: str = ""

    def describe(self) -> dict[str, Any]:
        """Return all attributes as values for JSON."""
        return asdict(self)


class RequestLog:
    """
    The newest requests, and the number of requests of each operation.

    Args:
        keep: The number of requests to keep; the counts include all requests.
        keep_details: The number of requests to keep with their bodies.
    """

    def __init__(self, keep: int = 20_000, keep_details: int = 300) -> None:
        self._lock = threading.Lock()
        self._records: deque[Record] = deque(maxlen=keep)
        self._details: deque[tuple[int, dict[str, Any]]] = deque(maxlen=keep_details)
        self._counts: Counter[str | None] = Counter()
        self._number = 0

    def arrived(self, operation: str | None) -> None:
        """Count a request when it arrives, before it is answered."""
        with self._lock:
            self._counts[operation] += 1

    def append(self, incoming: Incoming, response: Response, **what: Any) -> None:
        """Store a request and its response; `what` has the remaining attributes of `Record`, except the number."""
        detail = {
            "query": incoming.query,
            "request": _shown(incoming.payload),
            "headers": response.headers,
            "response": _shown(response.payload),
        }
        what |= {"method": incoming.method, "path": incoming.path, "status": response.status}
        with self._lock:
            self._number += 1
            self._records.append(Record(self._number, **what))
            self._details.append((self._number, detail))

    def detail(self, number: int) -> dict[str, Any]:
        """
        Return one request with its bodies.

        Raises:
            KeyError: There is no request with this number, or it is too old.
        """
        with self._lock:
            details = dict(self._details)
            record = next((it for it in reversed(self._records) if it.number == number), None)
        if record is None or number not in details:
            raise KeyError(number)
        return {**record.describe(), **details[number]}

    def all(self) -> list[Record]:
        """Return the stored requests, oldest first."""
        with self._lock:
            return list(self._records)

    def count(self, operation: str | None = None) -> int:
        """Return the number of all requests, or of one operation's requests."""
        with self._lock:
            return self._counts.total() if operation is None else self._counts[operation]

    def counts(self) -> dict[str, int]:
        """Return the number of requests of each operation; requests for other paths are counted under `unknown`."""
        with self._lock:
            return {operation or "unknown": number for operation, number in self._counts.items()}

    def clear(self) -> None:
        """Remove all requests and counts."""
        with self._lock:
            self._records.clear()
            self._details.clear()
            self._counts.clear()
            self._number = 0


def _shown(payload: bytes) -> str:
    """Return a body as the text for the request log; a long one is cut."""
    text = payload[:_LONGEST_SHOWN].decode(errors="replace")
    return text if len(payload) <= _LONGEST_SHOWN else f"{text}... ({len(payload)} bytes)"
