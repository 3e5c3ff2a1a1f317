"""Foreign servers of tests, each a process that ends with its test."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.support.waiting import until


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder for a server. Unlike in a folder of pytest, the path of a socket in it is short enough."""
    with tempfile.TemporaryDirectory(prefix="server-") as name:
        yield Path(name)


@contextlib.contextmanager
def running(
    words: Sequence[Path | str], ready: Callable[[], bool], *, user: str | None = None
) -> Iterator[None]:
    """Run a server, from when it is ready; after a failure, show its output."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user)
        try:
            until(ready, alive=lambda: process.poll() is None)
            yield
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace"))
            raise
        finally:
            # SIGINT requests PostgreSQL's fast shutdown, which disconnects the clients.
            process.send_signal(signal.SIGINT)
            process.wait()


def accepts(listens: Path) -> bool:
    """Return whether a server listens on a socket of this machine."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(listens)) == 0
