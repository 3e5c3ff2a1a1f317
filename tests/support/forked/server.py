"""
A Python that has imported this package, the SDK and gRPC, and forks a process for each client.

Only tests that start real processes see the effects of the package's import in a new process. The server has one thread
and does not use gRPC, because a process with threads must not fork.

The server ends when its standard input is closed, which the test process keeps open. It then kills the running forks.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import marshal
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

IMPORTED = (
    "difflib",
    "google.protobuf.any_pb2",
    "grpc",
    "grpc._channel",
    "grpc._server",
    "grpc._utilities",
    "grpc.experimental",
    "msgspec",
    "pickletools",
    "pulumi.dynamic",
    "pulumi.runtime.proto.analyzer_pb2_grpc",
    "pulumi.runtime.proto.engine_pb2_grpc",
    "pulumi.runtime.proto.provider_pb2_grpc",
    "pulumi.runtime.proto.status_pb2",
    "pulumi_policy",
    "requests",
    "yaml",
    "stacks_pulumi.api._transport",
    "stacks_pulumi.functions",
    "stacks_pulumi.hosts.dynamic",
    "stacks_pulumi.hosts.plugin.questions",
    "stacks_pulumi.hosts.plugin.settings",
    "stacks_pulumi.hosts.plugin.wire",
    "stacks_pulumi.policy",
)
"""Modules that hosts, programs and packs import. Modules that run with `-m` are left out: Python warns of them."""
OF_COMMANDS = {
    "broker": ("stacks_pulumi.broker.server",),
    "emulator": ("stacks_pulumi.emulator",),
    "gate": ("stacks_pulumi.broker.reader", "stacks_pulumi.gate.embedded", "stacks_pulumi.gate.workflow"),
    "mcp": ("anyio._backends._asyncio", "stacks_pulumi.agents.server"),
}
"""Modules of this package's commands. The server imports them when the first fork needs them: `mcp` takes a second."""
FOLDER = sys.argv[2]
"""The folder of the commands that fork."""
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that a terminal or a CI job sends to all processes of the tests."""


@dataclass(frozen=True)
class Request:
    """
    The program that a client wants to run.

    Attributes:
        arguments: The arguments of Python.
        folder: The working directory.
        environment: All environment variables.
        streams: File descriptors of standard input, output and error.
        client: The process that the starter sees instead of the fork; `None` if the starter requested the fork
            directly.
    """

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int]
    client: int | None


@dataclass(frozen=True)
class Fork:
    """A running fork, the file descriptor that becomes readable at its end, and its client."""

    pid: int
    ended: int
    client: socket.socket

    def close(self) -> None:
        """Close the connections to both."""
        os.close(self.ended)
        self.client.close()


class Server:
    """
    The loop that accepts clients.

    Args:
        listener: The socket that clients connect to.
        lifeline: The file descriptor whose end ends the server.
    """

    def __init__(self, listener: socket.socket, lifeline: int) -> None:
        self._listener = listener
        self._forks: set[Fork] = set()
        self._selector = selectors.PollSelector()
        self._selector.register(lifeline, selectors.EVENT_READ, self._end)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._serving = True
        self._request: Request | None = None

    def serve(self) -> Request | None:
        """Return None at the end of the lifeline; in a fork, return the request."""
        while self._serving:
            for key, _events in self._selector.select():
                react: Callable[[], None] = key.data
                if self._serving:
                    react()
        self._selector.close()
        return self._request

    def _end(self) -> None:
        for fork in self._forks:
            os.kill(fork.pid, signal.SIGKILL)
            os.waitpid(fork.pid, 0)
        self._serving = False

    def _accept(self) -> None:
        client, _address = self._listener.accept()
        request = _receive(client)
        if request is None:
            client.close()
            return
        # `-m stacks_pulumi gate` or `stacks-pulumi gate`
        for word in request.arguments[1:3]:
            prepare(OF_COMMANDS.pop(word, ()))
        pid = os.fork()
        if pid == 0:
            self._request, self._serving = request, False
            self._listener.close()
            client.close()
            for other in self._forks:
                other.close()
            return
        for stream in request.streams:
            os.close(stream)
        fork = Fork(pid, os.pidfd_open(pid), client)
        self._forks.add(fork)
        self._selector.register(fork.ended, selectors.EVENT_READ, lambda: self._report(fork))
        self._selector.register(client, selectors.EVENT_READ, lambda: self._pass_on(fork))

    def _report(self, fork: Fork) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(fork.pid, 0)[1])
        # The client may have been killed.
        with contextlib.suppress(OSError):
            fork.client.sendall(code.to_bytes(4, "big", signed=True))
        self._forks.remove(fork)
        self._selector.unregister(fork.ended)
        with contextlib.suppress(KeyError):
            self._selector.unregister(fork.client)
        fork.close()

    def _pass_on(self, fork: Fork) -> None:
        if fork not in self._forks:
            # The fork ended at the same time.
            return
        try:
            signals = fork.client.recv(16)
        except ConnectionResetError:
            signals = b""
        for number in signals:
            os.kill(fork.pid, number)
        if not signals:
            # The client was killed.
            self._selector.unregister(fork.client)
            os.kill(fork.pid, signal.SIGKILL)


def _receive(client: socket.socket) -> Request | None:
    """Return the request of a client, or None if the client was killed before the request was complete."""
    size, streams, _flags, _address = socket.recv_fds(client, 4, 3)
    with client.makefile("rb") as file:
        body = file.read(int.from_bytes(size, "big"))
    try:
        arguments, folder, environment, pid = marshal.loads(body)
    except EOFError:
        for stream in streams:
            os.close(stream)
        return None
    environment = {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}
    return Request(arguments, folder, environment, streams, pid)


def prepare(modules: tuple[str, ...]) -> None:
    """Import modules, so that later forks have them."""
    if modules:
        for name in modules:
            importlib.import_module(name)
        assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads must not fork"
        gc.collect()
        # A garbage collection in a fork skips these objects, so their memory stays shared.
        gc.freeze()


def become(request: Request) -> None:
    """Run the same program as a new Python with these arguments."""
    for number, stream in enumerate(request.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    if request.client is not None:
        # Some processes end with their starter, so they must see the starter's end.
        os.getppid = functools.partial(_parent_of, request.client)
    importlib.invalidate_caches()
    if os.environ.keys() & {"COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"}:
        # In a started Python, a file in `site-packages` does this.
        importlib.import_module("coverage").process_startup(force=True)
    if folder := os.environ.get("PYTHONPATH"):
        # With a different module path, `python3` starts a real Python, which imports this module because of the
        # folder's name.
        sys.path.insert(1, folder)
        importlib.import_module("hurry")
    option = request.arguments[0] == "-u"
    unbuffered = option or bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdout, sys.stderr = _made_again(sys.stdout, unbuffered), _made_again(sys.stderr, unbuffered)
    sys.modules["__main__"] = ModuleType("__main__")
    sys.excepthook = _show
    _run(request.arguments[option:])


def _parent_of(process: int) -> int:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 1
    return int(stat.rpartition(")")[2].split()[1])


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an uncaught exception without the calls in this file."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


def _made_again(stream: Any, unbuffered: bool) -> io.TextIOWrapper:
    """Return a stream as Python creates it: the server's object has the properties of a different file."""
    raw = io.FileIO(stream.fileno(), "w", closefd=False)
    raw.name = stream.name
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering and not unbuffered,
        write_through=unbuffered,
    )


def _run(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()  # noqa: PTH109  (Python expects a text)
        # `python -m` calls this function, so a traceback has the same lines.
        runpy._run_module_as_main(sys.argv[0])  # type: ignore[attr-defined]  # `python -m` calls it
    elif arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        sys.path[0] = ""
        exec(arguments[1], sys.modules["__main__"].__dict__)
    else:
        sys.argv = arguments
        script = Path(sys.argv[0])
        sys.path[0] = str(script.resolve().parent)
        namespace = sys.modules["__main__"].__dict__
        namespace["__file__"] = sys.argv[0]
        exec(compile(script.read_bytes(), sys.argv[0], "exec"), namespace)


def _leave() -> None:
    """End as Python does, but without freeing objects, which would copy the memory of all modules and take 40 ms."""
    threading._shutdown()  # type: ignore[attr-defined]  # Python calls it
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    """Serve until standard input ends; in a fork, run Python for the client."""
    # These signals end the tests and then the server, which cleans up. A fork gets the signals that were sent to it
    # meanwhile.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    # A command that a fork starts with its own Python is a fork too. Some modules store this path.
    sys.executable = str(Path(FOLDER, "python3"))
    # Every host and stack of the tests reads this module.
    platform_file = importlib.import_module("stacks_pulumi.platform_file")
    platform_file.read(Path(__file__).parents[1] / "prompt-platform.yaml")
    prepare(IMPORTED)
    request = Server(socket.socket(fileno=int(sys.argv[1])), lifeline=0).serve()
    if request is None:
        shutil.rmtree(FOLDER)
    else:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        try:
            become(request)
        except SystemExit as ended:
            if ended.code:
                raise
        _leave()


if __name__ == "__main__":
    main()
