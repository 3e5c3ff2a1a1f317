"""
The process that runs our providers (`python -m pulumi.dynamic`): all access to private parts of the SDK.

The public interface of a dynamic provider passes properties only. The frames of our caller hold more: the resource's
URN, its timeout, whether the engine still waits, and the means to show progress, to report an error without a
traceback, and to keep the id of a failed create. All of that is private to the SDK, so it is in this file. If the SDK
changes, a piece loses its feature and not the operation: a warning is shown, and `tests/host/test_canary.py` fails
with the SDK's version in its name.

| piece | where it is | without it |
|---|---|---|
| `current_call` | the caller's frame: `request`, `context` | no URN, default timeouts, no progress, no rollback |
| `Call.fail` | rich gRPC status in the trailing metadata | the SDK's own text around our message |
| `Call.fail_keeping_id` | `ErrorResourceInitFailed` in that status | the error contains the id; `adopt` takes it over |
| `Engine.log` | the engine's address in `sys.argv[1]` | no progress on the resource's line |
| `secret` | the wire form of a secret | `additional_secret_outputs`, which the resources set as well |
| `provider_of` | an attribute of the resource | the program names the provider of a child itself |
| `widen_worker_pool` | the thread pool in the worker's frame | 4 concurrent operations |
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.metadata
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, NoReturn, Protocol, cast

import grpc
import pulumi
from pulumi.output import Unknown
from pulumi.runtime import rpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, status_pb2

__all__ = [
    "Call",
    "current_call",
    "engine",
    "is_unknown",
    "plain",
    "provider_of",
    "secret",
    "serving",
    "widen_worker_pool",
]

PROVIDER_KEY: Final = "__provider"
"""The property in which the SDK stores the pickled provider."""

_METHODS: Final = frozenset({"Check", "Create", "Delete", "Diff", "Read", "Update"})
_STATUS_KEY: Final = "grpc-status-details-bin"
_WITHOUT: Final = {
    "current_call": "no progress, no custom_timeouts, and the SDK's own text around errors",
    "widen_worker_pool": "only 4 operations run concurrently",
}
_missing: Final[set[str]] = set()
_calls: Final[set[int]] = set()
_under_way: Final = threading.Lock()


def _miss(piece: str) -> None:
    """Warn once about a feature that this SDK version does not allow."""
    if piece in _missing:
        return
    _missing.add(piece)
    version = importlib.metadata.version("pulumi")
    engine().warn("", f"stacks-pulumi does not fully support this Pulumi SDK ({version}): {_WITHOUT[piece]}")


class Context(Protocol):
    """What we use of `grpc.ServicerContext`."""

    def is_active(self) -> bool:
        """Whether the other side still waits for the answer."""

    def set_trailing_metadata(self, trailing_metadata: tuple[tuple[str, bytes], ...]) -> None:
        """Send this with the status."""

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error."""


@dataclass(frozen=True)
class Call:
    """
    The gRPC call that we are in.

    Attributes:
        urn: The resource's URN; empty if it is not known.
        timeout: Seconds from `CustomTimeouts`, or `None` if the program set none.
        provider: The pickled provider that came with the call, which has to be sent back as it was.
    """

    urn: str = ""
    timeout: float | None = None
    provider: str = field(default="", repr=False)
    _context: Context | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The resource's name in the program; empty if it is not known."""
        return self.urn.rpartition("::")[2]

    def is_active(self) -> bool:
        """Whether the engine still waits for the answer. True if that is not known."""
        return self._context is None or self._context.is_active()

    def fail(self, message: str) -> NoReturn:
        """End the call; the user sees the message and nothing around it."""
        self._abort(message, ())

    def fail_keeping_id(self, id_: str, outs: Mapping[str, Any], reasons: Sequence[str]) -> NoReturn:
        """
        End a create or an update that is partially completed: the resource stays in the state, with its id.

        The engine shows the reasons, calls `update` in the next `up` even where nothing differs, and `destroy`
        deletes the resource.
        """
        if self._context is None:
            # The message is then the only place for the id.
            self.fail("; ".join(reasons) + f" (it exists as {id_}: take it over with adopt, or delete it)")
        detail = provider_pb2.ErrorResourceInitFailed(
            id=id_,
            properties=_to_struct({**outs, PROVIDER_KEY: self.provider}),
            reasons=list(reasons),
        )
        self._abort("; ".join(reasons), (detail,))

    def _abort(self, message: str, details: Sequence[Any]) -> NoReturn:
        if self._context is None:
            raise HostError(message)
        code = grpc.StatusCode.UNKNOWN
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            status.details.add().Pack(detail)
        self._context.set_trailing_metadata(((_STATUS_KEY, status.SerializeToString()),))
        self._context.abort(code, message)


class HostError(Exception):
    """A message for the user, for SDK versions that can only report an exception."""


def current_call() -> Call:
    """The call that the engine made to get here; an empty one where it cannot be found."""
    for frame in _frames():
        if frame.f_code.co_name not in _METHODS:
            continue
        request, context = frame.f_locals.get("request"), frame.f_locals.get("context")
        urn = getattr(request, "urn", None)
        if isinstance(urn, str) and hasattr(context, "is_active") and hasattr(context, "abort"):
            return Call(
                urn=urn,
                timeout=getattr(request, "timeout", 0) or None,
                provider=_provider(request),
                _context=cast("Context", context),
            )
    _miss("current_call")
    return Call()


def widen_worker_pool(workers: int) -> bool:
    """
    Let the host run this many operations concurrently instead of four.

    A waiting create holds a worker thread for its whole wait; the pool starts a new thread for the next operation
    as long as it is below its limit, so raising the limit is enough for later operations. Earlier ones are queued
    without a thread: a `destroy` sends all of its deletes together, and the first of them calls this function.

    Returns:
        Whether the pool was found.
    """
    for frame in _frames():
        reference = frame.f_locals.get("executor_reference")
        pool = reference() if callable(reference) else None
        if isinstance(getattr(pool, "_max_workers", None), int):
            pool._max_workers = max(pool._max_workers, workers)  # type: ignore[union-attr]  # noqa: SLF001  (the point of this function)
            queue, start = getattr(pool, "_work_queue", None), getattr(pool, "_adjust_thread_count", None)
            if queue is None or start is None:
                _miss("widen_worker_pool")
            else:
                for _ in range(queue.qsize()):
                    start()
            return True
    _miss("widen_worker_pool")
    return False


class Engine:
    """The engine's log service: lines that the user sees while the operation runs, or after it."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._stub: Any = None
        if address:
            self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def status(self, urn: str, message: str) -> None:
        """Show a line beside the resource while its operation runs; it leaves nothing behind."""
        self._log(engine_pb2.INFO, urn, message, ephemeral=True)

    def info(self, urn: str, message: str) -> None:
        """Show a line that stays in the output of the operation."""
        self._log(engine_pb2.INFO, urn, message, ephemeral=False)

    def warn(self, urn: str, message: str) -> None:
        """Show a warning that stays in the output of the operation."""
        self._log(engine_pb2.WARNING, urn, message, ephemeral=False)

    def error(self, urn: str, message: str) -> None:
        """Show an error beside the resource; it does not end the operation."""
        self._log(engine_pb2.ERROR, urn, message, ephemeral=False)

    def debug(self, urn: str, message: str) -> None:
        """Show what only `--debug` shows."""
        self._log(engine_pb2.DEBUG, urn, message, ephemeral=False)

    @property
    def address(self) -> str | None:
        """Where it listens; it is the same for all processes of one operation."""
        return self._address

    def is_gone(self) -> bool:
        """Whether the engine has ended: its address refuses connections."""
        if not self._address:
            return False
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False

    def _log(self, severity: Any, urn: str, message: str, *, ephemeral: bool) -> None:
        if self._stub is None:
            return
        request = engine_pb2.LogRequest(severity=severity, urn=urn, message=message, ephemeral=ephemeral)
        try:
            self._stub.Log(request, timeout=2)
        except grpc.RpcError:
            # The engine is gone or too busy. The operation goes on without the line.
            return


@functools.cache
def engine() -> Engine:
    """Return the engine that started this process. Does nothing outside a provider process."""
    address = sys.argv[1] if len(sys.argv) > 1 else ""
    host, _, port = address.rpartition(":")
    return Engine(address if host and port.isdigit() else None)


@contextlib.contextmanager
def serving(call: Call) -> Iterator[None]:
    """
    Count a call that is in progress. After the last one the process ends, if its engine is gone.

    The SDK's host never ends by itself. A killed engine would leave a process with an API key in its memory.
    """
    with _under_way:
        _calls.add(id(call))
    try:
        yield
    finally:
        with _under_way:
            _calls.discard(id(call))
            last = not _calls
        if last and not call.is_active() and engine().is_gone():
            os.kill(os.getpid(), signal.SIGTERM)


def provider_of(resource: pulumi.Resource) -> pulumi.ProviderResource | None:
    """Return the explicit provider of a resource; its child resources use the same account."""
    found = getattr(resource, "_provider", None)
    return found if isinstance(found, pulumi.ProviderResource) else None


def secret(value: Any) -> Any:
    """
    A value for `outs` that the engine stores encrypted and shows as `[secret]`, at any depth.

    `Output.secret` cannot be used there: the host serializes plain values only.
    """
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}  # noqa: SLF001  (there is no public way)


def plain(value: Any) -> Any:
    """The value without the marks of secrets, at any depth."""
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:  # noqa: SLF001  (there is no public way)
            return plain(value.get("value"))
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def is_unknown(value: Any) -> bool:
    """Whether a value, or anything in it, is not known yet at preview."""
    if isinstance(value, Unknown) or value == rpc.UNKNOWN:
        return True
    if isinstance(value, dict):
        return any(is_unknown(item) for item in value.values())
    return isinstance(value, list) and any(is_unknown(item) for item in value)


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  (inspect.stack reads source files; this is called often)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _provider(request: Any) -> str:
    for name in ("news", "properties"):
        properties = getattr(request, name, None)
        if properties is not None and PROVIDER_KEY in properties:
            return str(properties[PROVIDER_KEY])
    return ""


def _to_struct(values: Mapping[str, Any]) -> Any:
    serialize: Callable[[], Any] = functools.partial(rpc.serialize_properties, dict(values), {})
    return asyncio.run(serialize())
