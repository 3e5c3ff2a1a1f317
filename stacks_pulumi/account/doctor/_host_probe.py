"""
Starts the provider process as the engine does, and lets it check one container.

If it does not find a feature in the SDK, it sends a warning to the engine. This module replaces the engine.
"""

from __future__ import annotations

import base64
import os
import pickle
import subprocess
import sys
import tempfile
from concurrent import futures
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc

import stacks_pulumi

__all__ = ["ProbeError", "warnings"]

_SECONDS: Final = 30.0
_URN: Final = "urn:pulumi:doctor::doctor::pulumi-python:dynamic/stacks:Container::doctor"


class ProbeError(Exception):
    """The process could not be tested; `str` is one line."""


class _Engine(engine_pb2_grpc.EngineServicer):
    """The part of the engine that a provider process uses: it receives log lines."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802  (gRPC's name)
        """Store a warning."""
        if request.severity >= engine_pb2.WARNING:
            self.warnings.append(" ".join(request.message.split()))
        return empty_pb2.Empty()


def warnings() -> list[str]:
    """
    Return the warnings of the process; empty if it has all features.

    Raises:
        ProbeError: It does not start, or does not answer.
    """
    engine = _Engine()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with tempfile.TemporaryDirectory() as home:
            _check_one(f"127.0.0.1:{port}", home)
    finally:
        server.stop(0).wait()
    return engine.warnings


def _check_one(engine: str, home: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STACKS_")}
    with subprocess.Popen(  # noqa: S603  (this program's interpreter)
        [sys.executable, "-u", "-m", "pulumi.dynamic", engine],
        env={**environ, "PULUMI_HOME": home},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout is not None else ""
            if not port.isdigit():
                raise ProbeError("`python -m pulumi.dynamic` does not start")
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                _ask(provider_pb2_grpc.ResourceProviderStub(channel))
        except grpc.RpcError as error:
            details = getattr(error, "details", None)
            raise ProbeError(str(error if details is None else details())) from None
        finally:
            process.kill()


def _ask(stub: Any) -> None:
    stub.Configure(provider_pb2.ConfigureRequest(args=struct_pb2.Struct()), timeout=_SECONDS)
    news = struct_pb2.Struct()
    # The SDK stores a provider as a pickle in base64.
    provider = base64.b64encode(pickle.dumps(stacks_pulumi.provider_for("Container"))).decode()
    news.update({"template": "nodejs", "name": "doctor", "__provider": provider})
    stub.Check(provider_pb2.CheckRequest(urn=_URN, news=news), timeout=_SECONDS)
