"""A call of the engine that came by gRPC, as both hosts get it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, Protocol

import grpc
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from stacks_pulumi.hosts._engine_log import EngineLog
from stacks_pulumi.resources._engine_call import EngineCall

__all__ = ["Context", "GrpcCall", "HostError"]

_STATUS_KEY: Final = "grpc-status-details-bin"


class Context(Protocol):
    """What we use of `grpc.ServicerContext`."""

    def is_active(self) -> bool:
        """Whether the other side still waits for the answer."""

    def set_trailing_metadata(self, trailing_metadata: tuple[tuple[str, bytes], ...]) -> None:
        """Send this with the status."""

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error."""


class HostError(Exception):
    """A message for the user, for SDK versions that can only report an exception."""


class GrpcCall(EngineCall):
    """
    A call of the engine.

    Args:
        log: The engine's log service.
        to_struct: Writes outputs as they go over the wire.
        urn: The resource's URN; empty if it is not known.
        timeout: Seconds from `CustomTimeouts`; 0 if the program set none.
        context: The call's context; `None` if it is not known.
    """

    def __init__(
        self,
        log: EngineLog,
        to_struct: Callable[[Mapping[str, Any]], struct_pb2.Struct],
        *,
        urn: str = "",
        timeout: float = 0,
        context: Context | None = None,
    ) -> None:
        self.urn = urn
        self.timeout = timeout or None
        self.engine = log.address
        self._log = log
        self._to_struct = to_struct
        self._context = context

    def is_active(self) -> bool:
        """Return whether the engine still waits for the answer; true if that is not known."""
        return self._context is None or self._context.is_active()

    def worded(self, message: str) -> str:
        """Return the message in the words of the program's language."""
        return message

    def fail(self, message: str) -> NoReturn:
        """End the call; the user sees the message and nothing around it."""
        self._abort(self.worded(message), ())

    def fail_keeping_id(self, id_: str, outs: Mapping[str, Any], reasons: Sequence[str]) -> NoReturn:
        """End a create or an update that is partially completed: the resource stays in the state, with its id."""
        if self._context is None:
            # The message is then the only place for the id.
            self.fail("; ".join(reasons) + f" (it exists as {id_}: take it over with adopt, or delete it)")
        detail = provider_pb2.ErrorResourceInitFailed(
            id=id_, properties=self._to_struct(outs), reasons=[self.worded(reason) for reason in reasons]
        )
        self._abort("; ".join(detail.reasons), (detail,))

    def status(self, message: str) -> None:
        """Show a line beside the resource while its operation runs; it leaves nothing behind."""
        self._show("INFO", message, ephemeral=True)

    def info(self, message: str) -> None:
        """Show a line that stays in the output of the operation."""
        self._show("INFO", message)

    def warn(self, message: str) -> None:
        """Show a warning that stays in the output of the operation."""
        self._show("WARNING", message)

    def error(self, message: str) -> None:
        """Show an error beside the resource; it does not end the operation."""
        self._show("ERROR", message)

    def debug(self, message: str) -> None:
        """Show what only `--debug` shows."""
        self._show("DEBUG", message)

    def _show(self, severity: str, message: str, *, ephemeral: bool = False) -> None:
        self._log.show(severity, self.urn, self.worded(message), ephemeral=ephemeral)

    def _abort(self, message: str, details: Sequence[Any]) -> NoReturn:
        if self._context is None:
            raise HostError(message)
        code = grpc.StatusCode.UNKNOWN
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            status.details.add().Pack(detail)
        # The engine prefers the rich status to the plain one.
        self._context.set_trailing_metadata(((_STATUS_KEY, status.SerializeToString()),))
        self._context.abort(code, message)
