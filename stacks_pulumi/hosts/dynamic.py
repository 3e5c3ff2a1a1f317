"""
The host in the SDK's process for dynamic providers (`python -m pulumi.dynamic`).

The public interface of a dynamic provider passes only properties. The caller's stack frames contain more: the
resource's URN, its timeout, and whether the engine still waits. They also contain the objects with which we show
progress, report an error without a traceback, and keep the id of a failed create. All of this is private to the SDK, so
only this module accesses it, and, for both hosts, `_grpc_call`. If a new SDK version breaks one of these pieces, a
warning is shown, and the operation still works without the feature. `tests/host/test_canary.py` then fails and shows
the SDK version.

| piece | where it is | without it |
|---|---|---|
| `current_call` | the caller's frame: `request`, `context` | no URN, default timeouts, no progress, no rollback |
| `GrpcCall.fail` | rich gRPC status in the trailing metadata | the SDK's own text around our message |
| `GrpcCall.fail_keeping_id` | `ErrorResourceInitFailed` there | the error contains the id, for an adoption |
| `GrpcCall.fail_waiting` | `ErrorResourceAwaitFailed` there | the waitlist is an error, and ends the operation |
| `engine_service` | the engine's address in `sys.argv[1]` | no progress on the resource's line |
| `widen_worker_pool` | the thread pool in the worker's frame | 4 concurrent operations |
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Final, cast

from google.protobuf import struct_pb2
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown
from pulumi.runtime import rpc

from stacks_pulumi._identifiers import snake_case
from stacks_pulumi.errors import with_code
from stacks_pulumi.hosts._grpc_call import Context, EngineService, GrpcCall
from stacks_pulumi.resources._handler import ResourceHandler
from stacks_pulumi.resources._values import UNKNOWN
from stacks_pulumi.resources.handlers import HANDLERS

PROVIDER_KEY: Final = "__provider"
"""The property in which the SDK stores the pickled provider."""

_METHODS: Final = frozenset({"Check", "Create", "Delete", "Diff", "Read", "Update"})
_WITHOUT: Final = {
    "current_call": "no progress, no custom_timeouts, and the SDK's own text around errors",
    "widen_worker_pool": "only 4 operations run concurrently",
}
_missing: Final[set[str]] = set()
_calls: Final[set[int]] = set()
_under_way: Final = threading.Lock()


class DynamicProvider(ResourceProvider):
    """
    The dynamic provider of one kind of resource. The SDK's process calls it.

    Its only state is the settings of its handler, which `configure` sets. The provider is pickled as a reference to
    `stacks_pulumi.provider_for`. So a stack's state contains neither a key nor byte code, and the class can move to
    another module.

    Args:
        handler: The handler that answers the calls.
    """

    # The pickled provider contains no secret (see __reduce__), and encrypting it would cost time for every resource.
    serialize_as_secret_always = False

    def __init__(self, handler: ResourceHandler) -> None:
        super().__init__()
        self.handler = handler

    def __reduce__(self) -> tuple[Callable[[str], ResourceProvider], tuple[str]]:
        return provider_for, (self.handler.kind,)

    def configure(self, req: ConfigureRequest) -> None:
        """Read the settings, and allow the process to run `maxConcurrency` operations concurrently."""
        engine_service().warn_if_too_old()
        workers = self.handler.configure(req.config.get)
        if workers is not None:
            widen_worker_pool(workers)

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        call, given = current_call(), _own(news)
        result = self.handler.check(call, _own(olds), given)
        return CheckResult(result.inputs, [CheckFailure(*it) for it in call.failures(result, given)])

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare the inputs with the state."""
        result = self.handler.diff(current_call(), id_, _own(olds), _own(news))
        return DiffResult(
            # A state of the native type lacks the pickled provider: an update adds it, without a request to the API.
            changes=result.changes or PROVIDER_KEY not in olds,
            replaces=result.replaces,
            delete_before_replace=result.delete_before_replace,
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        call = current_call()
        with _serving(call):
            return CreateResult(*self.handler.create(call, _own(props)))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Read the object; return an empty id if the object is known to be gone."""
        call = current_call()
        with _serving(call):
            result = self.handler.read(call, id_, _own(props))
        return ReadResult("", {}) if result is None else ReadResult(id_, result.outs, result.inputs)

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Update the object to match the inputs."""
        call = current_call()
        with _serving(call):
            return UpdateResult(self.handler.update(call, id_, _own(olds), _own(news)))

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        call = current_call()
        with _serving(call):
            self.handler.delete(call, id_, _own(props))


def provider_for(kind: str) -> DynamicProvider:
    """
    Return the provider of a kind of resource.

    Every existing state refers to our providers as `stacks_pulumi.provider_for("<kind>")`. So this name must never
    change, but the class of a kind may change.

    Args:
        kind: The resource's name, for instance `Container`.

    Raises:
        LookupError: The kind is unknown, because a newer version of this package wrote the state.
    """
    try:
        return DynamicProvider(HANDLERS[kind]())
    except KeyError:
        msg = f"this version of stacks-pulumi has no resource {kind!r}: install the newer version that wrote the state"
        raise LookupError(with_code(msg, "unknown-type")) from None


# States refer to `stacks_pulumi.provider_for`, which may be defined in any module.
provider_for.__module__ = "stacks_pulumi"


def current_call() -> GrpcCall:
    """Return the engine's call that is in progress; an empty call if the caller's stack frames do not contain it."""
    for frame in _frames():
        if frame.f_code.co_name not in _METHODS:
            continue
        request, context = frame.f_locals.get("request"), frame.f_locals.get("context")
        urn = getattr(request, "urn", None)
        if isinstance(urn, str) and hasattr(context, "is_active") and hasattr(context, "abort"):
            inputs = getattr(request, "inputs", None)
            return GrpcCall(
                engine_service(),
                functools.partial(_to_struct, _provider(request)),
                urn=urn,
                timeout=getattr(request, "timeout", 0),
                context=cast("Context", context),
                inputs=None if inputs is None else functools.partial(_inputs, inputs),
            )
    _miss("current_call")
    return GrpcCall(engine_service(), functools.partial(_to_struct, ""))


def widen_worker_pool(workers: int) -> bool:
    """
    Allow the host to run this many operations concurrently instead of four.

    A create that waits occupies a worker thread during the entire wait. The pool starts a new thread for each later
    operation until it reaches its limit. So for later operations, a higher limit is enough. Operations that are already
    queued need additional threads, which this function starts. In a `destroy`, the engine sends all deletes together,
    and the first one calls this function.

    Returns:
        Whether the pool was found.
    """
    for frame in _frames():
        reference = frame.f_locals.get("executor_reference")
        pool = reference() if callable(reference) else None
        if isinstance(getattr(pool, "_max_workers", None), int):
            pool._max_workers = max(pool._max_workers, workers)  # type: ignore[union-attr]  # noqa: SLF001  (the point of this function)
            names = ("_work_queue", "_adjust_thread_count", "_shutdown_lock")
            queue, start, lock = (getattr(pool, name, None) for name in names)
            if queue is None or start is None or lock is None:
                _miss("widen_worker_pool")
            else:
                # Hold the pool's lock: without it, the thread that takes calls may start one thread too many.
                with lock:
                    for _ in range(queue.qsize()):
                        start()
            return True
    _miss("widen_worker_pool")
    return False


@functools.cache
def engine_service() -> EngineService:
    """
    Return the service of the engine that started this process. Outside of a provider process, the service shows
    nothing.
    """
    address = sys.argv[1] if len(sys.argv) > 1 else ""
    host, _, port = address.rpartition(":")
    return EngineService(address if host and port.isdigit() else "")


@contextlib.contextmanager
def _serving(call: GrpcCall) -> Iterator[None]:
    """
    Record that the enclosed call is in progress. After the last call, end the process if its engine has ended.

    The SDK's host never ends by itself, so a killed engine would leave a process with an API key in its memory.
    """
    with _under_way:
        _calls.add(id(call))
    try:
        yield
    finally:
        with _under_way:
            _calls.discard(id(call))
            last = not _calls
        if last and not call.is_active() and engine_service().is_gone():
            os.kill(os.getpid(), signal.SIGTERM)


def _miss(piece: str) -> None:
    """Warn once about a feature that does not work with this SDK version."""
    if piece in _missing:
        return
    _missing.add(piece)
    import importlib.metadata  # noqa: PLC0415  (it loads zipfile, csv and email; only this warning needs it)

    version = importlib.metadata.version("pulumi")
    text = f"stacks-pulumi does not fully support this Pulumi SDK ({version}): {_WITHOUT[piece]}"
    engine_service().show("WARNING", "", text)


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  (inspect.stack reads source files; this is called often)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _inputs(struct: struct_pb2.Struct) -> dict[str, Any]:
    return _own(rpc.deserialize_properties(struct))


def _own(props: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties in the protocol's form, with Python's names, and without the SDK's own properties."""
    return {snake_case(name): _written(value) for name, value in props.items() if name != PROVIDER_KEY}


def _written(value: Any) -> Any:
    """
    Return the value with each unknown value in the protocol's form. In some calls, the SDK passes an object for an
    unknown value.
    """
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    return [_written(item) for item in value] if isinstance(value, list) else value


def _provider(request: Any) -> str:
    for name in ("news", "properties"):
        properties = getattr(request, name, None)
        if properties is not None and PROVIDER_KEY in properties:
            return str(properties[PROVIDER_KEY])
    return ""


def _to_struct(provider: str, values: Mapping[str, Any]) -> struct_pb2.Struct:
    serialize: Callable[[], Any] = functools.partial(
        rpc.serialize_properties, {**values, PROVIDER_KEY: provider}, {}
    )
    return cast("struct_pb2.Struct", asyncio.run(serialize()))
