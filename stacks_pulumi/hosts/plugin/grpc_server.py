"""
`pulumi-resource-stacks`: the program that the engine starts.

The engine passes its address as the argument, and reads the port from standard output. It holds the other end of
standard input: when that closes, the engine has ended or was killed.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from concurrent import futures
from typing import Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from stacks_pulumi.hosts.plugin.servicer import Servicer

__all__ = ["main"]

_WORKERS: Final = 512
"""More threads than the engine has calls in progress: a queued call shows no progress. `maxConcurrency` limits them."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
)
_LOOK_AGAIN: Final = 2.0
"""Seconds between two checks whether the engine still runs, if standard input is not connected to it."""


def main() -> None:
    """Serve until the engine ends."""
    servicer = Servicer(sys.argv[1] if len(sys.argv) > 1 else "")
    server = grpc.server(futures.ThreadPoolExecutor(_WORKERS), options=_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201  (the engine reads it)
    ended = threading.Event()
    # A process started in the background may inherit an ignored SIGINT, but the engine ends its plugins with SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=_wait_for_the_end, args=(servicer, ended), daemon=True).start()
    ended.wait()
    servicer.end()
    server.stop(grace=1).wait()


def _wait_for_the_end(servicer: Servicer, ended: threading.Event) -> None:
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        while os.read(0, 4096):
            pass
    else:
        # A language host that starts the plugin does not connect its standard input.
        while not servicer.log.is_gone():
            time.sleep(_LOOK_AGAIN)
    ended.set()


if __name__ == "__main__":
    main()
