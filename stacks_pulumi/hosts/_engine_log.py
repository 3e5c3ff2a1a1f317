"""The engine's log service: lines that the user sees while an operation runs, or after it."""

from __future__ import annotations

import socket
from typing import Any

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

__all__ = ["EngineLog"]


class EngineLog:
    """
    The log service of one engine.

    Args:
        address: The engine's address; if it is empty, no line is shown.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._stub: Any = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def show(self, severity: str, urn: str, message: str, *, ephemeral: bool = False) -> None:
        """
        Show a line.

        Args:
            severity: `DEBUG`, `INFO`, `WARNING` or `ERROR`.
            urn: The resource that the line belongs to; empty for the stack.
            message: The line.
            ephemeral: Whether it disappears when the operation ends.
        """
        if self._stub is None:
            return
        number = engine_pb2.LogSeverity.Value(severity)
        request = engine_pb2.LogRequest(severity=number, urn=urn, message=message, ephemeral=ephemeral)
        try:
            self._stub.Log(request, timeout=2)
        except grpc.RpcError:
            # The engine has ended or is too busy. The operation continues without the line.
            return

    def is_gone(self) -> bool:
        """Return whether the engine has ended: its address refuses connections."""
        if not self.address:
            return False
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False
