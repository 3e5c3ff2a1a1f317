"""
The process that a test or an engine starts: it passes its streams to the fork server, and ends with the fork's exit
code.

It runs with `python -I -S` and imports only modules that are built into the interpreter. With `array`, `os`, `signal`
and `socket`, its start would take more than twice as long. The starter sees one process: it forwards signals to the
fork and ends with the fork's exit code. If it is killed, the server kills the fork.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # built into the interpreter, as the modules below
import _socket
import marshal
import posix
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def main(address: str, arguments: list[str]) -> None:
    """Let a fork run Python with the arguments, and end with its exit code."""
    server = _socket.socket(_socket.AF_UNIX)
    server.connect(address)
    request = marshal.dumps((arguments, posix.getcwd(), posix.environ, posix.getpid()))
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
    server.sendmsg([len(request).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    server.sendall(request)

    def pass_on(number: int, _frame: object) -> None:
        try:
            server.sendall(bytes([number]))
        except OSError:
            # The fork has ended, and the answer has already arrived. (The import of `contextlib` takes too long.)
            return

    for number in SIGNALS:
        signal.signal(number, pass_on)
    answer = server.recv(4)
    if not answer:
        sys.exit("the fork server has ended")
    code = int.from_bytes(answer, "big", signed=True)
    if code < 0:
        _end_by(-code)
    posix._exit(code)


def _end_by(number: int) -> None:
    if number not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    posix.kill(posix.getpid(), number)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
