"""
How does a gRPC call from the engine end or fail, and how does it print lines next to a resource? Both hosts use this
module.

Every text for the user passes through `EngineService.show` or `GrpcCall.reported`, which clean the text and remove API
keys.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, Protocol, cast

import grpc
from google.protobuf import struct_pb2
from google.protobuf.message import Message
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, status_pb2

from stacks_pulumi.config import OLDEST_ENGINE
from stacks_pulumi.errors import clean, contains_key, without_keys
from stacks_pulumi.resources._operation import Checked, EngineCall

_KNOWS_WAITING: Final = ">=3.272.0"
"""The versions of the engine that support `ErrorResourceAwaitFailed`."""
_Waiting: Any = getattr(provider_pb2, "ErrorResourceAwaitFailed", None)
"""
The class of the error for a create that must wait; `None` if the SDK does not contain it. In that case, a program that
uses an output of the resource ends with a traceback.
"""


class EngineService:
    """
    The service that one engine offers to its plugins.

    Args:
        address: The engine's address; if it is empty, no line is shown.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._versions: dict[str, bool | None] = {}
        self._stub: Any = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def show(self, severity: str, urn: str, message: str, *, ephemeral: bool = False) -> None:
        if self._stub is None:
            return
        number = engine_pb2.LogSeverity.Value(severity)
        request = engine_pb2.LogRequest(
            severity=number, urn=urn, message=without_keys(clean(message)), ephemeral=ephemeral
        )
        try:
            self._stub.Log(request, timeout=2)
        except grpc.RpcError:
            # The engine has ended or is too busy. The operation continues without the line.
            return

    def satisfies(self, versions: str) -> bool | None:
        """
        Return whether the engine's version is in this range, for instance `>=3.272.0`.

        Returns:
            The engine's answer, which is cached; `None` if the engine does not answer.
        """
        if versions not in self._versions:
            self._versions[versions] = self._ask(versions)
        return self._versions[versions]

    def _ask(self, versions: str) -> bool | None:
        if self._stub is None:
            return None
        request = engine_pb2.RequirePulumiVersionRequest(pulumi_version_range=versions)
        try:
            self._stub.RequirePulumiVersion(request, timeout=2)
        except grpc.RpcError as error:
            # An engine without this call is older than every engine with it.
            refused = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}
            return False if cast("grpc.Call", error).code() in refused else None
        return True

    def warn_if_too_old(self) -> None:
        """Warn once if the engine is older than the oldest tested engine."""
        wanted = f">={OLDEST_ENGINE}"
        if wanted not in self._versions and self.satisfies(wanted) is False:
            oldest = OLDEST_ENGINE.rpartition(".")[0]
            text = (
                f"stacks-pulumi needs Pulumi's engine {oldest} or newer, but this engine is older and is not tested. "
                "`pulumi version` prints its version; upgrade it: https://www.pulumi.com/docs/install/"
            )
            self.show("WARNING", "", text)

    def is_gone(self) -> bool:
        """Return whether the engine has ended: its address then refuses connections."""
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


_STATUS_KEY: Final = "grpc-status-details-bin"


class Context(Protocol):
    """The part of `grpc.ServicerContext` that this package uses."""

    def is_active(self) -> bool:
        """Return whether the client still waits for the response."""

    def set_trailing_metadata(self, trailing_metadata: tuple[tuple[str, bytes], ...]) -> None:
        """Send this metadata with the status."""

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error."""


class HostError(Exception):
    """An error with a message for the user, for SDK versions that can report only exceptions."""


class GrpcCall(EngineCall):
    """
    A call from the engine.

    Args:
        engine: The engine's service.
        to_struct: Converts outputs to protobuf.
        urn: The resource's URN; empty if it is not known.
        timeout: Seconds from `CustomTimeouts`; 0 if the program set none.
        context: The call's context; `None` if it is not known.
        inputs: During a read, returns the inputs in the state.
    """

    def __init__(
        self,
        engine: EngineService,
        to_struct: Callable[[Mapping[str, Any]], struct_pb2.Struct],
        *,
        urn: str = "",
        timeout: float = 0,
        context: Context | None = None,
        inputs: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self.urn = urn
        self.timeout = timeout or None
        self.engine = engine.address
        self._service = engine
        self._to_struct = to_struct
        self._context = context
        self._inputs = inputs

    def stored_inputs(self) -> Mapping[str, Any] | None:
        """During a read, return the inputs in the state; `None` if they are not known."""
        return None if self._inputs is None else self._inputs()

    def is_active(self) -> bool:
        """Return whether the engine still waits for the response; true if that is not known."""
        return self._context is None or self._context.is_active()

    def worded(self, message: str) -> str:
        """
        Return the cleaned message for the engine. A host may convert names to the spelling of the program's language.
        """
        return clean(message)

    def reported(self, message: str) -> str:
        """Return an error in the form that the user sees."""
        return without_keys(self.worded(message))

    def failures(self, checked: Checked, news: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """
        Return the failures of a check as pairs of property and reason. The engine prints the value of a pair's
        property, so the property is left empty if its value contains a key.
        """
        for name, reason in checked.failures.items():
            if contains_key(news.get(name)):
                yield "", self.reported(f"{name}: {reason}")
            else:
                yield name, self.reported(reason)

    def fail(self, message: str) -> NoReturn:
        """End the call with an error; the user sees only this message, without a traceback."""
        self._abort(self.reported(message))

    def fail_keeping_id(self, id_: str, outs: Mapping[str, Any], reasons: Sequence[str]) -> NoReturn:
        """End a create or an update that failed part-way, and keep the resource and its id in the state."""
        if self._context is None:
            # Without a context, only the message can contain the id. The reasons come last, because they end with a
            # code.
            self.fail(f"the object exists as {id_}: adopt it, or delete it; " + "; ".join(reasons))
        detail = provider_pb2.ErrorResourceInitFailed(
            id=id_, properties=self._to_struct(outs), reasons=[self.reported(reason) for reason in reasons]
        )
        self._abort("; ".join(detail.reasons), detail)

    def fail_waiting(self, message: str) -> NoReturn:
        """
        End a create that must wait longer than an operation can last; nothing was created.

        A recent engine shows only the warning, continues with the other resources, and ends with a special exit code.
        With an older engine or SDK, the call ends with an error.
        """
        if _Waiting is None or not self._service.satisfies(_KNOWS_WAITING):
            self.fail(message)
        self.warn(message)
        self._abort(self.reported(message), _Waiting())

    def status(self, message: str) -> None:
        """Show a line next to the resource while its operation runs; the line disappears afterwards."""
        self._show("INFO", message, ephemeral=True)

    def info(self, message: str) -> None:
        """Show a line that stays in the output of the operation."""
        self._show("INFO", message)

    def warn(self, message: str) -> None:
        """Show a warning that stays in the output of the operation."""
        self._show("WARNING", message)

    def error(self, message: str) -> None:
        """Show an error next to the resource; it does not end the operation."""
        self._show("ERROR", message)

    def debug(self, message: str) -> None:
        """Show a line that the user sees only with `--debug`."""
        self._show("DEBUG", message)

    def _show(self, severity: str, message: str, *, ephemeral: bool = False) -> None:
        self._service.show(severity, self.urn, self.worded(message), ephemeral=ephemeral)

    def _abort(self, message: str, *details: Message) -> NoReturn:
        if self._context is None:
            raise HostError(message)
        code = grpc.StatusCode.UNKNOWN
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            status.details.add().Pack(detail)
        # The engine uses the rich status if it exists, otherwise the plain status.
        self._context.set_trailing_metadata(((_STATUS_KEY, status.SerializeToString()),))
        self._context.abort(code, message)
