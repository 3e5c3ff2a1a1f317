"""
Sends one request and receives the bytes of its response. It manages sessions, the key, timeouts and the maximum size.
Redirects are not followed.

This handler does not retry and does not interpret the response. If the request fails, the error shows whether the
request was sent.

Each request has a total time limit for headers and body together. A socket's timeout restarts with each byte, so a very
slow response would never time out. Here, every read waits at most for the remaining time of the request.
"""

from __future__ import annotations

import functools
import http.client
import importlib.metadata
import io
import logging
import re
import socket
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
import urllib3.connection
from typing_extensions import Buffer

from stacks_pulumi._clock import Clock
from stacks_pulumi._environment import client_certificate
from stacks_pulumi.api._bodies import scrub
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api._error_mapping import unreadable
from stacks_pulumi.errors import ConnectionFailedError, UnreadableAnswerError

_READ_SECONDS: Final = 30.0
"""Seconds without data after which a read times out."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, raw: io.RawIOBase, until: float) -> None:
        self._sock = sock
        self._raw = raw
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(min(left, _READ_SECONDS))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, until: float, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Reader(sock, self.fp.detach(), until))


class _Connection(urllib3.connection.HTTPConnection):
    _was_made = False

    def connect(self) -> None:
        self._was_made = False
        self._limit()  # limits the wait for a proxy's response
        super().connect()
        self._was_made = True

    @property
    def has_connected_to_proxy(self) -> bool:
        """
        Whether the connection was established. urllib3 forgets this when it closes the connection, and then reports
        that nothing was sent.
        """
        return self._was_made or super().has_connected_to_proxy

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as in urllib3
        self._limit()
        return super().getresponse()

    def _limit(self) -> None:
        # urllib3 stores the remaining time in `timeout`: first for the connection, later for the entire response.
        until = time.monotonic() + float(self.timeout or 0)
        self.response_class = functools.partial(_Response, until=until)  # type: ignore[assignment]  # called like a class


class _SecureConnection(_Connection, urllib3.connection.HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Final[dict[str, Any]] = {"http": _Pool, "https": _SecurePool}


class Adapter(requests.adapters.HTTPAdapter):
    """An adapter for `requests`, with connections that enforce the total time limit of a request."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Create the pools, including those behind a SOCKS proxy."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Create the pools for a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        if isinstance(manager, urllib3.ProxyManager):
            manager.pool_classes_by_scheme = _POOLS
        return manager


LARGEST_BODY: Final = 16 * 1024 * 1024
"""The maximum size of a response in bytes."""

_CONNECT_SECONDS: Final = 5.0
_WHOLE_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 10.0
"""Timeout of a poll in seconds, from its start to the last byte. After this time, the next poll is due."""
_CHUNK: Final = 64 * 1024

_NOISE: Final = re.compile(r"[\w.]{1,40}\(host=[^()]{0,300}\): |Failed to establish a new connection: ")
_LONGEST_REASON: Final = 2000
_LOG: Final = logging.getLogger("stacks_pulumi.api")


class Bearer(requests.auth.AuthBase):
    """
    Authenticates a request with the key.

    The key is passed as an `auth` object, because the library `requests` would replace a header with an entry from
    `~/.netrc`.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def session_to(base_url: str, auth: Bearer | None) -> requests.Session:
    """
    Return a session that sends the key and this client's certificate to a server.

    For plain HTTP, proxies from the environment are ignored: a proxy would receive the key in plain text over the
    network.
    """
    session = requests.Session()
    session.auth = auth
    session.trust_env = urlsplit(base_url).scheme == "https"
    # A broker may ask for the client's certificate.
    session.cert = client_certificate()
    return session


class Transport:
    """
    The innermost handler, which sends the request.

    `requests.Session` is not documented as thread-safe. So there is a stack of sessions, each with a connection that is
    kept alive. A call takes the session that was used last, or creates one. The limiter bounds how many sessions are in
    use.

    Args:
        base_url: The address of the API.
        api_key: The key.
        clock: The clock.
        seconds: Timeout of a request that is not a poll, from its start to the last byte (default 120).
    """

    def __init__(self, base_url: str, api_key: str, clock: Clock, seconds: float | None = None) -> None:
        self._base_url = base_url
        self._auth = Bearer(api_key)
        self._clock = clock
        self._seconds = seconds
        self._idle: list[requests.Session] = []
        self._agent = f"stacks-pulumi/{_version()}"
        parts = urlsplit(base_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._where = f"{host}:{parts.port or {'https': 443}.get(parts.scheme, 80)}"

    def __call__(self, call: Call[Any]) -> Answer:
        """
        Send the call once.

        Raises:
            ConnectionFailedError: No complete response arrived.
            UnreadableAnswerError: The response is too long, or cannot be decompressed.
        """
        session = self._take()
        began = self._clock.now()
        try:
            answer = self._exchange(session, call)
        except OSError as error:
            session.close()
            _LOG.debug("%s %s: %s", call.endpoint.method, call.path, type(error).__name__)
            # If `REQUESTS_CA_BUNDLE` names a missing file, the library `requests` raises an error that is not one of
            # its own types.
            if not isinstance(error, requests.RequestException):
                is_bundle = "certificate bundle" in str(error)
                error = (requests.exceptions.SSLError if is_bundle else requests.ConnectionError)(error)
            raise _failure(call, error, self._where) from None
        except BaseException:
            session.close()
            raise
        self._idle.append(session)
        seconds = self._clock.now() - began
        _LOG.debug("%s %s: %d in %.3f s", call.endpoint.method, call.path, answer.status, seconds)
        return answer

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._take().close()

    def _take(self) -> requests.Session:
        try:
            return self._idle.pop()
        except IndexError:
            return self._session()

    def _session(self) -> requests.Session:
        session = session_to(self._base_url, self._auth)
        session.headers["User-Agent"] = self._agent
        session.headers["Accept"] = "application/json, text/plain;q=0.9, */*;q=0.1"
        # Only the key identifies the client, so no cookies are kept.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = Adapter(pool_connections=1, pool_maxsize=1, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _exchange(self, session: requests.Session, call: Call[Any]) -> Answer:
        body = bytearray()
        seconds = _POLL_SECONDS if call.poll else self._seconds or _WHOLE_SECONDS
        # The library `requests` accepts this object, though its type hints do not allow it. With a pair of numbers, the
        # time would start again once the connection exists.
        timeout: Any = urllib3.Timeout(connect=_CONNECT_SECONDS, total=seconds)
        with session.request(
            call.endpoint.method,
            self._base_url + call.path,
            params=dict(call.query),
            json=call.json,
            # A cache on the way may answer with an older list that lacks a new container.
            headers={"Cache-Control": "no-cache"} if call.endpoint.method == "GET" else None,
            timeout=timeout,
            allow_redirects=False,  # the key must not go to another host
            stream=True,
        ) as response:
            while piece := _piece(response.raw):
                body += piece
                if len(body) > LARGEST_BODY:
                    raise unreadable(call, response.status_code, f"it is longer than {LARGEST_BODY} bytes")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(body), self._clock.wall())


def _piece(raw: urllib3.HTTPResponse) -> bytes:
    """Return the next bytes of the body as soon as they arrive; at the end of the body, an empty byte string."""
    try:
        return raw.read1(_CHUNK, decode_content=True)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout(error) from None
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from None
    except urllib3.exceptions.SSLError as error:
        raise requests.exceptions.SSLError(error) from None
    except urllib3.exceptions.ProtocolError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from None


def _version() -> str:
    try:
        return importlib.metadata.version("stacks-pulumi")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _failure(
    call: Call[Any], error: requests.RequestException, where: str
) -> ConnectionFailedError | UnreadableAnswerError:
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return unreadable(call, 0, "it was damaged in transit")
    sent = not _never_sent(error)
    advice = "check the network, the proxy and the base URL"
    if isinstance(error, requests.Timeout):
        reason = "no answer came in time" if sent else f"the connection to {where} timed out"
    elif isinstance(error, requests.exceptions.SSLError):
        reason = f"no secure connection to {where} ({_innermost(error)})"
        advice = f"{advice}; if a proxy has its own certificates, set REQUESTS_CA_BUNDLE to their file"
    else:
        broke = "the connection broke" if sent else f"no connection to {where}"
        reason = f"{broke} ({_innermost(error)})"
    if not sent:
        effect = "nothing was sent"
    elif call.endpoint.method == "GET":
        effect = "nothing was changed"
    else:
        effect = "the request may have been carried out, so check before you try again"
    return ConnectionFailedError(
        f"{scrub(call.what)}: {reason}; {effect}; {advice}",
        operation=call.endpoint.name,
        sent=sent,
        untrusted=_is_untrusted(error),
    )


def _is_untrusted(error: requests.RequestException) -> bool:
    return isinstance(error, requests.exceptions.SSLError) and "certificate" in str(error).lower()


def _never_sent(error: requests.RequestException) -> bool:
    # These failures happen before the connection exists: name resolution, refusal, timeout, certificate, proxy.
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.exceptions.SSLError):
        return _is_untrusted(error)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _innermost(error: BaseException) -> str:
    """Return the reason from the innermost of the nested errors, without object descriptions and repeated text."""
    inner: Any = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    # Shorten the text first, because it may quote a line of the response that has 65,536 characters.
    text = str(inner.args[-1] if isinstance(inner, BaseException) and inner.args else inner)[:_LONGEST_REASON]
    return scrub(_NOISE.sub("", text) or type(inner).__name__, 120)
