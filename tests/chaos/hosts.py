"""A fresh host for each operation, as with the engine; the next one starts while the current one works."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from concurrent import futures

from tests.support.host import HOSTS, Host

__all__ = ["Hosts"]


class Hosts:
    """
    Hosts of one account, each for one operation.

    Args:
        config: The stack's configuration.
        kind: One of `HOSTS`.
        speed: How fast the hosts' clock runs.
    """

    def __init__(self, config: dict[str, str], kind: str = "dynamic", speed: float = 1.0) -> None:
        self._config = config
        self._start = functools.partial(HOSTS[kind], speed=speed)
        self._pool = futures.ThreadPoolExecutor(1)
        self._next = self._pool.submit(self._start, config)
        self.last_words = ""

    @contextlib.contextmanager
    def one(self) -> Iterator[Host]:
        """Yield an unused host; afterwards `last_words` has what it wrote to stderr."""
        host = self._next.result()
        self._next = self._pool.submit(self._start, self._config)
        try:
            yield host
            assert host.process.poll() is None, f"the host died: exit code {host.process.returncode}"
        finally:
            self.last_words = host.stop()

    def close(self) -> None:
        """Stop the host that is ready."""
        self._next.result().stop()
        self._pool.shutdown()
