"""A fork that a test requests directly from the server; with a command in between, it takes 10 ms more."""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Forked"]


class Forked:
    """
    A process with the methods of `subprocess.Popen` that tests use; its streams are pipes.

    Args:
        address: The socket of the fork server.
        arguments: The arguments of Python.
        environment: All environment variables.

    Attributes:
        stdin: Its standard input.
        stdout: Its standard output.
        stderr: Its standard error.
        returncode: Its exit code; `None` until it is known.
    """

    def __init__(self, address: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        self._arguments = arguments
        (its_in, mine_in), (mine_out, its_out), (mine_err, its_err) = (os.pipe() for _ in range(3))
        self.stdin = os.fdopen(mine_in, "w", encoding="utf-8")
        self.stdout = os.fdopen(mine_out, encoding="utf-8")
        self.stderr = os.fdopen(mine_err, encoding="utf-8")
        request = marshal.dumps((list(arguments), str(Path.cwd()), dict(environment), None))
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(address))
        streams = [its_in, its_out, its_err]
        socket.send_fds(self._server, [len(request).to_bytes(4, "big")], streams)
        self._server.sendall(request)
        for stream in streams:
            os.close(stream)

    def poll(self) -> int | None:
        """Return the exit code if the process has ended."""
        with contextlib.suppress(BlockingIOError):
            self._receive(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait for the end of the process and return its exit code.

        Raises:
            subprocess.TimeoutExpired: The process has not ended in time.
        """
        try:
            return self._receive(timeout)
        except TimeoutError:
            raise subprocess.TimeoutExpired(self._arguments, timeout or 0) from None

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Close the input, wait for the end, and return the rest of both outputs."""
        self.stdin.close()
        self.wait(timeout)
        self._server.close()
        with self.stdout, self.stderr:
            return self.stdout.read(), self.stderr.read()

    def send_signal(self, number: int) -> None:
        """Send a signal if the process still runs."""
        if self.poll() is None:
            # The process may end at this moment.
            with contextlib.suppress(OSError):
                self._server.sendall(bytes([number]))

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _receive(self, timeout: float | None) -> int:
        if self.returncode is None:
            self._server.settimeout(timeout)
            answer = self._server.recv(4)
            assert answer, "the fork server has ended"
            self.returncode = int.from_bytes(answer, "big", signed=True)
        return self.returncode
