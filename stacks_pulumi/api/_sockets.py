"""
A total time limit for each request, headers and body together.

The timeout of a socket starts again with each byte, so a very slow answer would never time out. Here every read waits
at most for the time that is left of the whole request.
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import time
from typing import Any, Final

import requests
import urllib3
import urllib3.connection
from typing_extensions import Buffer

__all__ = ["Adapter"]

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
    def connect(self) -> None:
        self._limit()  # limits the answer of a proxy
        super().connect()

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as in urllib3
        self._limit()
        return super().getresponse()

    def _limit(self) -> None:
        # urllib3 stores the time that is left here: first for the connection, later for the whole answer.
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
    """The adapter of requests, with connections that enforce the total time limit of a request."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Create the pools, also those behind a SOCKS proxy."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Create the pools for a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        if isinstance(manager, urllib3.ProxyManager):
            manager.pool_classes_by_scheme = _POOLS
        return manager
