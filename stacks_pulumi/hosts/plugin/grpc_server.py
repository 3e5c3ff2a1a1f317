"""
`pulumi-resource-stacks`: the program that the engine starts.

The engine passes its address as the argument, and reads the port from standard output. It holds the other end of
standard input: when that closes, the engine has ended or was killed.
"""

from __future__ import annotations

import argparse
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Sequence
from concurrent import futures
from typing import Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

import stacks_pulumi
from stacks_pulumi.hosts.plugin.servicer import Servicer

__all__ = ["engine_address", "main"]

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
    servicer = Servicer(engine_address(sys.argv[1:]))
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


def engine_address(arguments: Sequence[str]) -> str:
    """
    Return the engine's address from the command line; empty if it comes with `Attach`.

    With `--logflow` or `--tracing` the engine puts options of its own before the address. They are accepted, and have
    no effect. An option that a newer engine adds is skipped.
    """
    parser = argparse.ArgumentParser(
        prog="pulumi-resource-stacks",
        description="The STACKS provider for Pulumi. The engine starts it; there is no need to run it by hand.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=stacks_pulumi.__version__)
    parser.add_argument("--logtostderr", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-v", help=argparse.SUPPRESS)
    parser.add_argument("--tracing", help=argparse.SUPPRESS)
    parser.add_argument("engine", nargs="?", default="", help="address of the engine")
    found, _newer = parser.parse_known_args(arguments)
    return str(found.engine)


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
