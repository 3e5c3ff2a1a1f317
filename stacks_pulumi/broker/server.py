"""
How does the server receive requests and send answers?

uvicorn with h11 reads a complete request; a thread answers it. The journal contains each request of a grant that was
refused, and each changing request.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import math
import os
import re
import socket
import ssl
import stat
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from stacks_pulumi._clock import SYSTEM_CLOCK, Clock
from stacks_pulumi._page import page
from stacks_pulumi._structs import decode
from stacks_pulumi.broker import journal
from stacks_pulumi.broker.change import LONGEST
from stacks_pulumi.broker.folder import Folder, is_used
from stacks_pulumi.broker.grants import Desk
from stacks_pulumi.broker.judge import GRACE, ApprovalNeededError
from stacks_pulumi.broker.kernel import Kernel, Visit
from stacks_pulumi.broker.ledger import Grant, LedgerError
from stacks_pulumi.broker.limits import is_gone, recently_made
from stacks_pulumi.broker.reply import Reply, RequestRefusedError, json_reply
from stacks_pulumi.broker.request import (
    LONGEST_BODY,
    OWN,
    Incoming,
    check_framing,
    read_ask,
)
from stacks_pulumi.broker.settings import read_key
from stacks_pulumi.broker.upstream import BASE, Upstream
from stacks_pulumi.config import DEFAULT_BASE_URL
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.errors import ConfigError, StacksError

_LOG: Final = logging.getLogger("stacks_pulumi.broker")
_THREADS: Final = 64
_WINDOW: Final = 60.0
_PER_MINUTE: Final = 1200
"""The maximum number of requests of one grant in a minute, including requests that are not sent to the platform."""
_REFUSED: Final = 60
"""The maximum number of refusals of one grant in a minute: each is a line of the journal."""
_HANDED_IN: Final = 60
"""The maximum number of changes and approvals in a minute from one grant or, without a token, from one address."""
_CONNECTIONS: Final = 150
"""The maximum number of open connections. Above it, the connection that has waited longest for a request is closed."""
_HELD: Final = 64 * 1024 * 1024
"""The maximum number of bytes of incomplete long bodies in memory. Above it, the oldest such connection is closed."""
_LAST: Final = 1.0
"""Seconds for which a connection without a request stays open when the server ends, so that the last bytes arrive."""
_MANY: Final = 1000
_LOOK: Final = 5.0
"""Seconds between two checks of whether a server for one run is used."""
_HTTP: Final = "http"
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[\w.-]{1,253})(?::[0-9]{1,5})?", re.ASCII)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Shares:
    """Counts the requests of each client in the last minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._at: dict[str, deque[float]] = {}

    def count(self, who: str, number: int, most: int) -> tuple[int, float]:
        """
        Add requests to a client's count, or remove one if `number` is negative.

        Returns:
            How many more requests are allowed, and in how many seconds the oldest request no longer counts.
        """
        now = self._clock.now()
        with self._lock:
            if len(self._at) > _MANY:
                self._at = {one: at for one, at in self._at.items() if at and at[-1] > now - _WINDOW}
            times = self._at.setdefault(who, deque())
            while times and times[0] <= now - _WINDOW:
                times.popleft()
            times.extend([now] * number)
            if number < 0 and times:
                times.pop()
            return most - len(times), _WINDOW - (now - times[0]) if times else 0.0


class App:
    """
    The broker as an ASGI application.

    Args:
        folder: Its folder.
        upstream: The platform.
        hosts: The names by which clients may address it; `None` allows any name (on a Unix socket).
        clock: The clock.
        embedded: Whether it serves one run.
    """

    def __init__(
        self,
        folder: Folder,
        upstream: Upstream,
        hosts: Collection[str] | None,
        clock: Clock = SYSTEM_CLOCK,
        *,
        embedded: bool = False,
    ) -> None:
        self._folder, self._upstream, self._hosts, self._clock = folder, upstream, hosts, clock
        self.kernel = Kernel(folder.ledger, upstream, folder.settings, folder.budgets)
        self.desk = Desk(folder, upstream, embedded=embedded)
        self.used = clock.now()
        self._shares = Shares(clock)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="broker")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != _HTTP:
            return
        # The body is in the scope, so that the protocol can count its bytes.
        body = scope["body"] = bytearray()
        reply = None
        longest = LONGEST if scope["raw_path"].startswith(OWN.encode()) else LONGEST_BODY
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > longest:
                reply = RequestRefusedError(413, "the body is too long").reply()
                break
            if not message.get("more_body"):
                break
        if reply is None:
            incoming = Incoming(
                scope["method"],
                scope["raw_path"].decode("latin-1"),
                scope["query_string"].decode("latin-1"),
                [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
                bytes(body),
                (scope["client"] or ("",))[0],
            )
            loop = asyncio.get_running_loop()
            reply = await loop.run_in_executor(self._pool, self.respond, incoming)
        headers = {**reply.headers, "content-length": str(len(reply.body)), "cache-control": "no-store"}
        if reply.status in {400, 413}:
            # The remaining bytes in the connection could be read as another request.
            headers["connection"] = "close"
        encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
        body.clear()
        await send({"type": "http.response.body", "body": reply.body})

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def respond(self, incoming: Incoming) -> Reply:
        """Return the answer to a request. Even after an error, a request without a reservation is not forwarded."""
        began, grant = self._clock.now(), None
        self.used = began
        try:
            self._check_host(incoming)
            check_framing(incoming)
            grant = self._grant(incoming)
            if grant is not None:
                self._check_rate(
                    f"all {grant.id}", _PER_MINUTE, "this grant has sent too many requests in the last minute"
                )
            if incoming.path.startswith(OWN):
                return self._own(incoming, grant)
            return self._forwarded(incoming, grant)
        except RequestRefusedError as error:
            reply = error.reply()
        except LedgerError as error:
            _LOG.error("%s", error.message)
            reply = json_reply(503, {"success": False, "error": error.message, "code": "grant-refused"})
        except StacksError as error:
            _LOG.error("%s", error.message)
            reply = json_reply(
                409, {"success": False, "error": f"another operation is in progress: {error.message}"}
            )
        except Exception:  # noqa: BLE001  (fail closed, with an answer)
            _LOG.exception("a request could not be judged")
            reply = json_reply(
                500,
                {
                    "success": False,
                    "error": "the broker had an internal error and refuses the request: see its log",
                },
            )
        if grant is not None and reply.status != 429:
            try:
                self._check_rate(
                    f"refused {grant.id}",
                    _REFUSED,
                    "too many requests of this grant were refused in the last minute",
                )
            except RequestRefusedError as error:
                return error.reply()
            self._note(grant, incoming, reply, self._clock.now() - began)
        return reply

    def _check_host(self, incoming: Incoming) -> None:
        host = _HOST.fullmatch(incoming.header("host") or "")
        if self._hosts is not None and (host is None or host[1].strip("[]").lower() not in self._hosts):
            raise RequestRefusedError(
                400,
                "this broker does not accept the name in the Host header",
                "use its address, or start it with --name for this name",
            )

    def _grant(self, incoming: Incoming) -> Grant | None:
        token = incoming.token
        if not token:
            return None
        if self._upstream.is_key(token):
            _LOG.warning("refused a client that sent the real API key: only the broker may have this key")
            raise RequestRefusedError(401, "Invalid API key")
        grant = self._folder.ledger.grant_of(token)
        if grant is None or grant.revoked is not None:
            raise RequestRefusedError(401, "Invalid API key")
        return grant

    def _forwarded(self, incoming: Incoming, grant: Grant | None) -> Reply:
        if grant is None:
            raise RequestRefusedError(401, "Invalid API key")
        # The request counts as one until its real number of calls is known, so that parallel requests stay within the
        # share.
        share = self._take_share(grant)
        before = self._upstream.calls
        try:
            self._folder.ledger.touch(grant)
            ask = read_ask(incoming)
            visit = Visit(grant, ask, self._upstream.patient())
            is_read = ENDPOINTS[ask.endpoint].method == "GET"
            reply = self.kernel.read(visit) if is_read else self.kernel.change(visit)
        except ApprovalNeededError as error:
            raise self.desk.ask(grant, error.permit, error.why) from None
        finally:
            left, wait = self._shares.count(grant.id, self._upstream.calls - before - 1, share)
        headers = {**reply.headers, **self._rate(share, max(left, 0), wait)}
        if reply.decision in {"found", "replay"}:
            # The answer is from an earlier request.
            headers["x-broker"] = reply.decision
        return Reply(reply.status, reply.body, headers, reply.decision)

    def _check_rate(self, who: str, most: int, text: str, *, of_platform: bool = False) -> None:
        """Count a request, or refuse it if there were too many in the last minute. A refused request does not count."""
        left, wait = self._shares.count(who, 1, most)
        if left < 0:
            self._shares.count(who, -1, most)
            retry = {"retry-after": str(max(math.ceil(wait), 1))}
            headers = {**retry, **(self._rate(most, 0, wait) if of_platform else {})}
            raise RequestRefusedError(429, text, headers=headers)

    def _take_share(self, grant: Grant) -> int:
        """Count a request towards the grant's share of the platform's rate limit, and return the share."""
        share = max(int(self._upstream.per_minute * self._folder.settings().requests_share), 1)
        self._check_rate(
            grant.id, share, "Rate limit exceeded: this grant has used its share", of_platform=True
        )
        return share

    def _rate(self, share: int, left: int, wait: float) -> dict[str, str]:
        reset = math.ceil(self._clock.wall() + wait)
        return {
            "x-ratelimit-limit": str(share),
            "x-ratelimit-remaining": str(left),
            "x-ratelimit-reset": str(reset),
        }

    def _note(self, grant: Grant, incoming: Incoming, reply: Reply, seconds: float) -> None:
        """Write a refusal into the journal. The kernel writes a forwarded request with its outcome."""
        # A change may be long, and the ledger contains it if it was accepted.
        body = b"" if incoming.path.startswith(OWN) else incoming.body[:2000]
        request = incoming.method[:10], incoming.path[:500], body.decode("utf-8", "replace")
        ledger = self._folder.ledger
        with contextlib.suppress(LedgerError), ledger.writing() as db:
            journal.write(
                ledger, db, grant, request, decision=reply.decision, status=reply.status, seconds=seconds
            )

    # The broker's own endpoints

    def _own(self, incoming: Incoming, grant: Grant | None) -> Reply:
        if incoming.query:
            raise RequestRefusedError(400, "this endpoint accepts no query")
        what = incoming.path.removeprefix(OWN)
        if incoming.method == "POST" and what in {"changes", "approvals"}:
            return self._handed_in(incoming, grant, what)
        if incoming.method == "GET" and what == "":
            return Reply(200, *page("stacks_pulumi.broker"))
        if grant is None:
            raise RequestRefusedError(401, "Invalid API key")
        if incoming.method == "POST" and what in {"verdicts", "requests"}:
            self.kernel.judge.check_end(grant, "ask for a new grant")
            return self._judged(incoming, grant, what)
        if incoming.method == "DELETE" and what == "me":
            return self.desk.end(grant)
        if incoming.method != "GET":
            raise RequestRefusedError(404, "Not found")
        return json_reply(200, {"success": True, **self._told(what, grant)})

    def _told(self, what: str, grant: Grant) -> dict[str, Any]:
        """Return the answer to a grant's read of the broker's own data."""
        if what == "me":
            return self.desk.describe(grant)
        self.kernel.judge.check_end(grant, "ask for a new grant")
        if what in {"limits", "log", "rules"}:
            # These answers need many reads.
            self._take_share(grant)
        if what == "settings":
            return {**self.desk.settings(), "process": {"pid": os.getpid(), "uid": os.getuid()}}
        if what == "rules":
            return {"files": self.desk.rules()}
        if what == "limits":
            return {"limits": self.desk.limits(grant, self._upstream.patient())}
        if what == "log" and grant.kind == "read":
            waiting = [one for one in self.desk.requests() if one["state"] == "open"]
            return {"grants": self.desk.history(), "requests": waiting}
        if what.startswith("requests/"):
            return self.desk.request(what.removeprefix("requests/"))
        raise RequestRefusedError(404, "Not found")

    def _handed_in(self, incoming: Incoming, grant: Grant | None, what: str) -> Reply:
        who = incoming.peer if grant is None else grant.id
        self._check_rate(f"handed in {who}", _HANDED_IN, "too many changes were submitted in the last minute")
        statement, signatures = _signed(incoming)
        due = self._upstream.patient()
        if what == "approvals":
            reply = self.desk.approve(statement, signatures, due)
        else:
            reply = self.desk.hand_in(statement, signatures, grant, due)
        ledger, request = self._folder.ledger, ("POST", incoming.path, "")
        with ledger.writing() as db:
            journal.write(ledger, db, grant, request, decision=reply.decision, status=reply.status)
        return reply

    def _judged(self, incoming: Incoming, grant: Grant, what: str) -> Reply:
        self._take_share(grant)
        if what == "requests":
            return self.desk.ask_for(_signed(incoming)[0], grant)
        return self.desk.judged(*_signed(incoming), grant, self._upstream.patient(), self.kernel.judge.beyond)


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement and its signatures."""

    statement: str
    signatures: list[str]


def _signed(incoming: Incoming) -> tuple[str, list[str]]:
    """Return a statement and its signatures. Other content is refused before it is built in memory."""
    try:
        body = decode(incoming.body, _Signed)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RequestRefusedError(
            400, "the body needs `statement` (a text) and `signatures` (a list of texts)"
        ) from None
    return body.statement, body.signatures


@dataclass(frozen=True)
class Listen:
    """
    The address or socket on which a broker listens.

    Attributes:
        host: The address; empty for a Unix socket.
        port: The port; 0 selects a free port.
        path: The Unix socket.
    """

    host: str
    port: int
    path: Path | None = None

    @classmethod
    def of(cls, text: str) -> Listen:
        """
        Parse the value of `--listen`: `ADDRESS:PORT` or `unix:PATH`.

        Raises:
            ConfigError: The value has a different form.
        """
        if text.startswith("unix:"):
            return cls("", 0, Path(text.removeprefix("unix:")))
        host, _, port = text.rpartition(":")
        try:
            number = int(port)
            address = str(ipaddress.ip_address(host.strip("[]") if host != "localhost" else "127.0.0.1"))
        except ValueError:
            number, address = -1, ""
        if not 0 <= number < 65536:
            raise ConfigError(f"{text!r} is not ADDRESS:PORT or unix:PATH", code="invalid-argument")
        return cls(address, number)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.path is not None or ipaddress.ip_address(self.host).is_loopback

    def hosts(self, names: Collection[str]) -> frozenset[str] | None:
        """Return the names by which clients may address it; `None` for any name."""
        if self.path is not None:
            return None
        local = {"localhost", "127.0.0.1", "::1"} if self.is_local else set()
        return frozenset({self.host, *local, *map(str.lower, names)})

    def bind(self) -> socket.socket:
        """
        Return a listening socket. If it is a Unix socket, only the broker's user and group may use it.

        Raises:
            ConfigError: The address or path cannot be used.
        """
        try:
            if self.path is not None:
                with contextlib.suppress(FileNotFoundError):
                    if stat.S_ISSOCK(self.path.stat().st_mode):
                        _check_unused(self.path)
                        self.path.unlink()
                made = socket.socket(socket.AF_UNIX)
                # With a umask, no other user can connect, even for a moment before a `chmod`.
                before = os.umask(0o117)
                try:
                    made.bind(str(self.path))
                finally:
                    os.umask(before)
                made.listen(200)
                return made
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            # Without the protocol, asyncio would not turn off Nagle's algorithm, which delayed answers by 40 ms.
            made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.host, self.port))
            made.listen(200)
        except OSError as error:
            raise ConfigError(
                f"the broker cannot listen at {self.path or self.host}: {error.strerror or error}",
                code="file-access",
            ) from None
        return made


def _check_unused(path: Path) -> None:
    """
    Check that no server listens on a Unix socket: replacing the socket would take over that server's clients.

    Raises:
        ConfigError: A server listens.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
    raise ConfigError(f"the socket {path} is in use: choose a different path", code="file-access")


@dataclass(frozen=True)
class Tls:
    """
    The certificate of a broker.

    Attributes:
        certificate: Its file.
        key: The file of its private key.
        clients: The file with the certificate authorities of client certificates; `None` if clients need no
            certificate.
    """

    certificate: Path
    key: Path
    clients: Path | None = None

    def check(self) -> None:
        """
        Check that the files exist and that others cannot read the private key. A group may read it.

        Raises:
            ConfigError: A file is missing, or others can read the private key.
        """
        try:
            modes = {path: path.stat().st_mode for path in (self.certificate, self.key, self.clients) if path}
        except OSError as error:
            raise ConfigError(
                f"{error.filename} cannot be read: {error.strerror}", code="file-access"
            ) from None
        if modes[self.key] & 0o007:
            raise ConfigError(
                f"other users can read {self.key}: run `chmod 600 {self.key}`", code="file-access"
            )


class Server:
    """
    A broker that serves its folder.

    Args:
        folder: The folder.
        listen: Where to listen; by default the setting in `gate.yaml`.
        tls: The certificate; required on an address that is not local.
        names: Additional names by which clients may address it.
        clock: The clock.
        embedded: Whether it serves one run, and ends some minutes after all processes that use it (`in_use`) have
            ended.

    Raises:
        ConfigError: A setting is wrong, or the broker would speak plain HTTP over a network.
    """

    def __init__(
        self,
        folder: Folder,
        listen: str | None = None,
        tls: Tls | None = None,
        names: Collection[str] = (),
        clock: Clock = SYSTEM_CLOCK,
        *,
        embedded: bool = False,
    ) -> None:
        settings = folder.settings()
        self._folder, self._tls, self._clock, self._embedded = folder, tls, clock, embedded
        self._listen = Listen.of(listen or settings.listen)
        if tls is None and not self._listen.is_local:
            raise ConfigError(
                f"plain HTTP on {self._listen.host} would show tokens to the network: use --tls-cert and --tls-key",
                code="invalid-argument",
            )
        if tls is not None:
            tls.check()
        folder.budgets()
        keys = settings.keys
        change = read_key(settings.key if keys is None else keys.change, "key")
        self.upstream = Upstream(
            settings.base_url or DEFAULT_BASE_URL,
            change,
            clock,
            read_key=None if keys is None else read_key(keys.read, "keys.read"),
            live_prices=settings.live_prices,
            settled=folder.ledger.settled,
            is_gone=functools.partial(is_gone, folder.ledger),
            made=functools.partial(recently_made, folder.ledger),
        )
        self.app = App(folder, self.upstream, self._listen.hosts(names), clock, embedded=embedded)
        self._server: Any = None
        self.url = ""

    @contextlib.contextmanager
    def _bound(self) -> Iterator[socket.socket]:
        with self._folder.locked(), contextlib.closing(self._listen.bind()) as made:
            # The requests of a server that was killed have no answer.
            self.app.kernel.outcomes.leave()
            scheme = "http" if self._tls is None else "https"
            if self._listen.path is not None:
                self.url = f"unix:{self._listen.path}"
            else:
                host, port = made.getsockname()[:2]
                self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{BASE}"
            self._folder.announce(self.url, while_used=self._embedded)
            try:
                yield made
            finally:
                if self._listen.path is not None:
                    self._listen.path.unlink(missing_ok=True)

    def run(self, ready: Callable[[str], None] = lambda _url: None) -> None:
        """
        Serve until SIGTERM, SIGINT or `stop`; then accept no new requests and complete those in progress.

        Args:
            ready: Called with the address when the server listens.
        """
        import uvicorn  # noqa: PLC0415  (only a server needs it)

        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {"ssl_certfile": self._tls.certificate, "ssl_keyfile": self._tls.key}
            if self._tls.clients is not None:
                tls |= {"ssl_ca_certs": str(self._tls.clients), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        config = uvicorn.Config(
            self.app,
            http=_protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # A client reads the platform's time from the Date header, so only the platform's own header is passed on.
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            limit_concurrency=200,
            **tls,
        )
        with self._bound() as made:
            self._server = uvicorn.Server(config)
            ready(self.url)
            if self._embedded:
                threading.Thread(target=self._end_unused, daemon=True).start()
            try:
                self._server.run(sockets=[made])
            finally:
                self.app.close()

    def _end_unused(self) -> None:
        """
        End the server when no process uses it and it is too late to remove the failed creates of a killed process.
        """
        used = self._clock.now()
        while self._clock.now() - max(used, self.app.used) < GRACE:
            self._clock.sleep(_LOOK)
            used = self._clock.now() if is_used(self._folder.path) else used
        self.stop()

    def stop(self) -> None:
        deadline = time.monotonic() + 10
        while self._server is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self._server.should_exit = True


def _protocol() -> Any:
    """Return a protocol that prevents slow clients from blocking other clients."""
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415  (only a server needs it)

    class Protocol(H11Protocol):
        """
        Closes the connection that has waited longest for its request, if there are too many connections or held bytes.
        """

        since = 0.0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.since = self.loop.time()
            if len(self.connections) > _CONNECTIONS:
                self._close_oldest(0)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.holds > LONGEST_BODY and sum(one.holds for one in self._all) > _HELD:
                self._close_oldest(LONGEST_BODY)

        def _close_oldest(self, least: int) -> None:
            """Close the oldest connection that waits for its request and holds at least `least` bytes."""
            others = [one for one in self._all if one.waits and one.holds >= least]
            if others:
                oldest = min(others, key=lambda one: one.since)
                # `connection_lost` is called only after all simultaneous connections are accepted, so the connection is
                # removed here.
                self.connections.discard(oldest)
                oldest.transport.abort()

        @property
        def _all(self) -> list[Protocol]:
            return [one for one in self.connections if isinstance(one, Protocol)]

        @property
        def holds(self) -> int:
            """The number of received bytes of its request's body."""
            cycle: Any = self.cycle
            return 0 if cycle is None else len(cycle.body) + len(cycle.scope.get("body", b""))

        @property
        def waits(self) -> bool:
            """Whether the client is idle, is still sending a request, or does not read its answer."""
            cycle: Any = self.cycle
            return cycle is None or cycle.response_complete or cycle.more_body or self.flow.write_paused

        def on_response_complete(self) -> None:
            self.since = self.loop.time()
            super().on_response_complete()

        def shutdown(self) -> None:
            """Close the connection after the current answer. A silent client does not delay the shutdown."""
            super().shutdown()
            if self.waits:
                self.loop.call_later(_LAST, self.transport.abort)

    return Protocol
