"""
Is the state inside the update the one that the plan was made against?

`apply` compares the state before the update, but until the engine has taken the stack's lock, another update fits
between. So the update has a policy pack of the gate's own. The engine starts it after it has taken the lock and before
it runs the program. The pack reads the state again; if it has changed, the pack does not start, and so nothing is
changed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
from concurrent import futures
from pathlib import Path
from typing import Any, Final

import msgspec

from stacks_pulumi import __version__
from stacks_pulumi._pulumi_cli import execute, failure
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate import digests

CHANGED: Final = "the state was changed after the plan was made: plan again"

_SECONDS: Final = 300.0
_STEP: Final = 1.0
_REFUSED: Final = 3
_SIZE: Final = 400 * 1024 * 1024


class Expected(msgspec.Struct, frozen=True):
    """
    What the pack compares.

    Attributes:
        project: The project's folder.
        stack: The stack's full name.
        key: The record's key.
        state: The digest of the state that the plan was made against.
        said: The file in which the pack writes why it refuses.
    """

    project: str
    stack: str
    key: str
    state: str
    said: str


def why_not(expected: Expected) -> str:
    """Return why the update must not go on; empty if the state is the expected one."""
    words = ("stack", "export", "--show-secrets", "--stack", expected.stack)
    try:
        done = execute(words, Path(expected.project), _SECONDS)
        if done.returncode != 0:
            return f"the state cannot be read inside the update: {failure(done)}"
        found = digests.of_state(done.stdout, expected.key.encode())
    except StacksError as error:
        return f"the state cannot be read inside the update: {error.message}"
    return "" if found == expected.state else CHANGED


def main() -> int:
    """Compare the state; serve a pack without policies until the engine ends if it is the expected one."""
    # Before the state is read: meanwhile the engine may be killed.
    engine = os.getppid()
    expected = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Expected)
    reason = why_not(expected)
    if reason:
        Path(expected.said).write_text(reason, encoding="utf-8")
        sys.stderr.write(f"{reason}\n")
        return _REFUSED
    _serve(engine)
    return 0


def _serve(engine: int) -> None:
    import grpc  # noqa: PLC0415  (a changed state needs no server)
    from google.protobuf.empty_pb2 import Empty  # noqa: PLC0415  (as above)
    from pulumi.runtime import proto  # noqa: PLC0415  (as above)
    from pulumi.runtime.proto import analyzer_pb2_grpc  # noqa: PLC0415  (as above)

    class Servicer(analyzer_pb2_grpc.AnalyzerServicer):
        """A pack without policies. The names are those of the protocol."""

        def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
            return proto.AnalyzerInfo(
                name="stacks-pulumi-gate",
                version=__version__,
                displayName="the gate's comparison of the state",
                supportsConfig=True,
            )

        def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
            return proto.PluginInfo(version=__version__)

        def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
            return Empty()

        def Analyze(self, request: Any, context: Any) -> Any:  # noqa: N802
            return proto.AnalyzeResponse()

        def AnalyzeStack(self, request: Any, context: Any) -> Any:  # noqa: N802
            return proto.AnalyzeResponse()

        def Remediate(self, request: Any, context: Any) -> Any:  # noqa: N802
            return proto.RemediateResponse()

    size = [("grpc.max_receive_message_length", _SIZE)]
    server = grpc.server(futures.ThreadPoolExecutor(2), options=size)
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201  (the engine reads it)
    # Not an `Event`, whose lock the wait may hold when a handler interrupts it.
    ended = queue.SimpleQueue[None]()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.put(None))
    while os.getppid() == engine:
        with contextlib.suppress(queue.Empty):
            ended.get(timeout=_STEP)
            break
    server.stop(grace=None)


if __name__ == "__main__":
    sys.exit(main())
