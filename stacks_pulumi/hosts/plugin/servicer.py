"""
Starts the plugin, and answers the calls of Pulumi's provider protocol (`pulumirpc.ResourceProvider`).

Each call is passed to the same classes that the dynamic host uses; the data functions answer `Invoke`. The docstring of
a method states only the differences from Pulumi's own description of that method.

The program `pulumi-resource-stacks` receives the engine's address as its argument, and the engine reads the port from
the program's standard output. The engine holds the other end of the program's standard input. When that end is closed,
the engine has ended or was killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import signal
import stat
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

import stacks_pulumi
from stacks_pulumi import config
from stacks_pulumi._identifiers import (
    camel_case,
    name_of,
    stack_and_project,
    type_of,
)
from stacks_pulumi.errors import ConfigError, StacksError, clean, with_account, with_code, without_keys
from stacks_pulumi.hosts._grpc_call import EngineService, GrpcCall
from stacks_pulumi.hosts.plugin.settings import (
    account_of_provider,
    as_text,
    is_key_secret,
    settings_of,
    wrong_settings,
)
from stacks_pulumi.hosts.plugin.wire import (
    from_struct,
    hint,
    in_camel_case,
    marked_as,
    parsed,
    schema,
    secret_texts,
    to_struct,
    unknown_names,
)
from stacks_pulumi.pricing.recognition import MARKER, NATIVE, is_unknown
from stacks_pulumi.resources._fields import CHANGED_OUTSIDE
from stacks_pulumi.resources._handler import ResourceHandler, end_operation
from stacks_pulumi.resources._naming import DEFAULT_NAME, valid_container_name
from stacks_pulumi.resources._preview_total import CheckedPrices
from stacks_pulumi.resources._resource import PARENT_IN_PROGRAM
from stacks_pulumi.resources._values import plain, secret
from stacks_pulumi.resources.handlers import HANDLERS

_FOR_CHILDREN: Final = ("template", "external_access", "desired_status", "adopt")
"""The inputs of a container that the checks of its children need."""

_BAGS: Final = ("news", "properties", "olds", "inputs")
"""
The fields of a request that contain property values, some of which may be secret. The fields from the program come
first.
"""

_T = TypeVar("_T")

_Diff = provider_pb2.DiffResponse
_Property = provider_pb2.PropertyDiff


class _PluginCall(GrpcCall):
    """A call that also ends when the engine closes the plugin's standard input."""

    ended = False
    hidden: frozenset[str] = frozenset()
    """The strings that the engine has marked as secrets in this call; no message may contain them."""

    def is_active(self) -> bool:
        """Return whether the engine still waits for the answer."""
        return not self.ended and super().is_active()

    def worded(self, message: str) -> str:
        """Return the message with names in the spelling of other languages, and without secrets."""
        for text in self.hidden:
            message = message.replace(text, "[secret]")
        return super().worded(in_camel_case(message))


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """
    The provider's gRPC service.

    Args:
        engine: The engine's address; empty if the engine passes it later with `Attach`.
    """

    def __init__(self, engine: str = "") -> None:
        self.engine = EngineService(engine)
        self._handlers: dict[str, ResourceHandler] = {kind: handler() for kind, handler in HANDLERS.items()}
        self._settings: dict[str, str | None] = {}
        self._refusal = ""
        self._in_program: dict[str, Mapping[str, Any]] = {}
        self._free = threading.Semaphore(config.AccountSettings.max_concurrency)
        self._changed = threading.Condition()
        self._calls: set[_PluginCall] = set()
        self._ended = False
        self._prices = CheckedPrices()

    def end(self) -> None:
        """Roll back the operations in progress, because the engine has ended. Return when all calls have ended."""
        with self._changed:
            self._ended = True
            for call in self._calls:
                call.ended = True
            self._changed.wait_for(lambda: not self._calls)

    # --- the plugin ---

    def Handshake(self, request: Any, context: Any) -> provider_pb2.ProviderHandshakeResponse:
        """Store the engine's address."""
        if request.engine_address:
            self.engine = EngineService(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Serve the engine at this address, because the user has set `PULUMI_DEBUG_PROVIDERS`."""
        self.engine = EngineService(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=stacks_pulumi.__version__)

    def GetSchema(self, request: Any, context: Any) -> provider_pb2.GetSchemaResponse:
        return provider_pb2.GetSchemaResponse(schema=schema())

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        """
        Discard the data of the operation that is ending.

        The engine also calls this after each operation. After Ctrl-C, the engine waits for the calls in progress, and
        they run to their end, as in the dynamic host. Otherwise, the next `up` would have to repair a container whose
        creation was interrupted. At the end of a preview, this method shows the price.
        """
        with self._changed:
            if self._calls:
                return empty_pb2.Empty()
            end_operation()
            self._in_program.clear()
        total = self._prices.take()
        if total is not None:
            self.engine.show(
                "INFO", "", with_account(total, self._settings.get(f"{config.NAMESPACE}:account"))
            )
        return empty_pb2.Empty()

    # --- the configuration ---

    def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """
        Report each unknown or malformed setting. A failure has no `property`, because the engine would print the
        property's value.
        """
        given = settings_of(request.news)
        failures = [
            provider_pb2.CheckFailure(reason=clean(reason)) for reason in wrong_settings(request.urn, given)
        ]
        answer = provider_pb2.CheckResponse(inputs=request.news, failures=failures)
        if isinstance(given.get("apiKey"), str) and not is_unknown(given["apiKey"]):
            # The schema marks the key as a secret, but only some languages then encrypt it.
            answer.inputs.MergeFrom(to_struct({"apiKey": secret(given["apiKey"])}))
        return answer

    def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Report the differences, but never a replacement, which would replace all of the provider's resources."""
        olds, news = settings_of(request.olds), settings_of(request.news)
        names = sorted({*olds, *news})
        differing = [name for name in names if olds.get(name) != news.get(name)]
        return _Diff(changes=_Diff.DIFF_SOME if differing else _Diff.DIFF_NONE, diffs=differing)

    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        """Store the settings. A malformed setting is not reported until an operation needs the API."""
        self.engine.warn_if_too_old()
        given = settings_of(request.args)
        settings: dict[str, str | None] = {
            f"{config.NAMESPACE}:{name}": as_text(value)
            for name, value in given.items()
            if not is_unknown(value)
        }
        account = settings[f"{config.NAMESPACE}:account"] = account_of_provider(request.name)
        if account is None and settings.get(f"{config.NAMESPACE}:apiKey"):
            self._check_stored_key(request.urn, settings.get(f"{config.NAMESPACE}:requireSecretKey"))
        self._settings = settings
        workers = {handler.configure(settings.get) for handler in self._handlers.values()}
        self._free = threading.Semaphore(next(iter(workers)) or config.AccountSettings.max_concurrency)
        return provider_pb2.ConfigureResponse(
            supportsPreview=True,
            acceptSecrets=True,
            acceptResources=True,
            supports_autonaming_configuration=True,
        )

    def _check_stored_key(self, urn: str, required: str | None) -> None:
        stack, _ = stack_and_project(urn)
        is_secret = is_key_secret(stack)
        if is_secret:
            return
        try:
            text = config.plain_key(stack, required, seen=is_secret is not None)
        except ConfigError as error:
            self._refusal = str(error)
            return
        if is_secret is not None:
            self.engine.show("WARNING", "", text)

    # --- resources ---

    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Validate the inputs. A resource that needs a name but has none receives the default name."""

        def work(handler: ResourceHandler, call: GrpcCall) -> provider_pb2.CheckResponse:
            olds, given = from_struct(request.olds), from_struct(request.news)
            failures: dict[str, str] = {}
            if any(field.name == "name" and field.required for field in handler.fields):
                _name(request, olds, given, failures, is_container=handler.kind == "Container")
            olds, news = plain(olds), plain(given)
            facts = self._in_program.get(str(news.get("source", news.get("container"))))
            if facts is not None:
                news[PARENT_IN_PROGRAM] = facts
            # The inputs that Read returns lack the values that `check` derives.
            checked = handler.check(call, {**handler.derived(olds), **olds} if olds else {}, news)
            checked.failures.update(failures)
            problems = [*call.failures(checked, news), *_unknown_inputs(handler, request)]
            if problems:
                self._prices.refused()
            if handler.kind == "Container":
                self._prices.checked(request.urn, checked.inputs.get("monthly_price_usd"))
                self._in_program[request.urn] = {name: checked.inputs.get(name) for name in _FOR_CHILDREN}
            return provider_pb2.CheckResponse(
                inputs=to_struct(marked_as(checked.inputs, given)),
                failures=[
                    provider_pb2.CheckFailure(property=camel_case(name), reason=reason)
                    for name, reason in problems
                ],
            )

        return self._serve(request, context, work)

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Compare the inputs with the state, and report how each property differs."""

        def work(handler: ResourceHandler, call: GrpcCall) -> provider_pb2.DiffResponse:
            olds, news = plain(from_struct(request.olds)), plain(from_struct(request.news))
            difference = handler.diff(call, handler.plain_id(request.id), olds, news)
            self._know(request, request.id)
            return _Diff(
                changes=_Diff.DIFF_SOME if difference.changes else _Diff.DIFF_NONE,
                replaces=map(camel_case, difference.replaces),
                deleteBeforeReplace=difference.delete_before_replace,
                diffs=map(camel_case, difference.fields),
                detailedDiff={
                    camel_case(name): _Property(
                        kind=_how(name, olds, news, replaces=name in difference.replaces)
                    )
                    for name in difference.fields
                },
                hasDetailedDiff=bool(difference.fields),
            )

        return self._serve(request, context, work)

    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        """Create the object. At preview, report the outputs that will be known later."""

        def work(handler: ResourceHandler, call: GrpcCall) -> provider_pb2.CreateResponse:
            given = from_struct(request.properties)
            props = plain(given)
            if request.preview:
                outs = handler.at_create(props)
                return provider_pb2.CreateResponse(properties=to_struct(marked_as(outs, given)))
            id_, outs = handler.create(call, props)
            self._know(request, id_)
            return provider_pb2.CreateResponse(
                id=handler.distinct_id(id_), properties=to_struct(marked_as(outs, given))
            )

        return self._serve(request, context, work)

    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        """Read the object, for a refresh, for `get` in a program, or for an import, which has no properties yet."""

        def work(handler: ResourceHandler, call: GrpcCall) -> provider_pb2.ReadResponse:
            before = from_struct(request.inputs)
            props = from_struct(request.properties) or before
            state = handler.read(call, handler.plain_id(request.id), plain(props))
            if state is None:
                return provider_pb2.ReadResponse()
            derived = {MARKER, *handler.derived(state.inputs)} - {field.name for field in handler.fields}
            inputs = {name: value for name, value in state.inputs.items() if name not in derived}
            return provider_pb2.ReadResponse(
                # An existing state keeps its id, because a dynamic resource has an id of a different form.
                id=request.id if props else handler.distinct_id(request.id),
                properties=to_struct(marked_as(state.outs, props)),
                inputs=to_struct(marked_as(inputs, before)),
            )

        return self._serve(request, context, work)

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        """Update the object to match the inputs. At preview, report the outputs that the update may change."""

        def work(handler: ResourceHandler, call: GrpcCall) -> provider_pb2.UpdateResponse:
            olds, given = from_struct(request.olds), from_struct(request.news)
            id_, olds, news = handler.plain_id(request.id), plain(olds), plain(given)
            outs = (
                handler.at_update(olds, news, id_)
                if request.preview
                else handler.update(call, id_, olds, news)
            )
            return provider_pb2.UpdateResponse(properties=to_struct(marked_as(outs, given)))

        return self._serve(request, context, work)

    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        def work(handler: ResourceHandler, call: GrpcCall) -> empty_pb2.Empty:
            handler.delete(call, handler.plain_id(request.id), plain(from_struct(request.properties)))
            return empty_pb2.Empty()

        return self._serve(request, context, work)

    def _know(self, request: Any, id_: str) -> None:
        """Remember the inputs of a container by its id, if they were checked in this operation."""
        if request.urn in self._in_program:
            self._in_program[id_] = self._in_program[request.urn]

    # --- data functions ---

    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:
        """Call a data function."""
        # Imported at the first `Invoke` or `List`, because the start of the plugin does not need it.
        from stacks_pulumi.hosts.plugin.questions import answered  # noqa: PLC0415

        token = request.tok.removeprefix(NATIVE)
        call = _PluginCall(self.engine, to_struct, context=context)
        try:
            with self._in_progress(call):
                asked = from_struct(request.args)
                given = answered(call, self._settings, token, plain(asked))
        except StacksError as error:
            message = with_code(f"{token}: {error.message}", error.code)
        else:
            if asked != plain(asked):
                given = {name: secret(plain(value)) for name, value in given.items() if value is not None}
            return provider_pb2.InvokeResponse(**{"return": to_struct(given)})  # type: ignore[arg-type] # one of Python's keywords
        # Outside of the `except` block: inside it, the error would include our traceback.
        return call.fail(message)

    # --- lists ---

    def List(self, request: Any, context: Any) -> Iterator[provider_pb2.ListResponse]:
        """List the objects of a kind in the account, whether a stack manages them or not."""
        # Imported here for the same reason as in `Invoke`.
        from stacks_pulumi.hosts.plugin.questions import pages  # noqa: PLC0415

        call = _PluginCall(self.engine, to_struct, context=context)
        try:
            with self._in_progress(call):
                found = list(pages(call, self._settings, request))
        except StacksError as error:
            message = with_code(error.message, error.code)
        else:
            yield from found
            return
        # Outside of the `except` block for the same reason as in `Invoke`.
        call.fail(message)

    # --- how calls are carried out ---

    def _serve(self, request: Any, context: Any, work: Callable[[ResourceHandler, GrpcCall], _T]) -> _T:
        bags = [from_struct(bag) for name in _BAGS if (bag := getattr(request, name, None)) is not None]
        call = _PluginCall(
            self.engine,
            lambda values: to_struct(marked_as(values, bags[0])),
            urn=request.urn,
            timeout=getattr(request, "timeout", 0),
            context=context,
            inputs=lambda: plain(from_struct(request.inputs)),
        )
        call.hidden = frozenset().union(*map(secret_texts, bags))
        token = type_of(request.urn)
        handler = self._handlers.get(token.removeprefix(NATIVE))
        if handler is None:
            maybe = hint(token.removeprefix(NATIVE), self._handlers, NATIVE)
            msg = f"stacks has no resource {token!r}: {maybe}"
            call.fail(with_code(msg, "unknown-type"))
        if getattr(request, "preview", False):
            self._prices.previewed()
        with self._in_progress(call):
            return work(handler, call)

    @contextlib.contextmanager
    def _in_progress(self, call: _PluginCall) -> Iterator[None]:
        if self._refusal:
            call.fail(self._refusal)
        with self._free:
            with self._changed:
                ended = self._ended
                if not ended:
                    self._calls.add(call)
            if ended:
                # The engine ended while this call was queued: do not start the operation.
                call.fail(with_code("the engine has ended", "cancelled"))
            try:
                yield
            except BaseException:
                self._prices.refused()
                raise
            finally:
                with self._changed:
                    self._calls.discard(call)
                    self._changed.notify_all()


def _name(
    request: Any,
    olds: Mapping[str, Any],
    news: dict[str, Any],
    failures: dict[str, str],
    *,
    is_container: bool,
) -> None:
    """
    Set the name of a resource for which the program sets no name.

    The first of these that exists is used: the name in the state, the name from `pulumi:autonaming`, the resource's
    name in the program. In the last case, the `check` of a container applies `stacks:namePattern`.
    """
    if news.get("name") is not None:
        return
    options = request.autonaming if request.HasField("autonaming") else None
    # The engine does not pass the organization to a provider.
    default = {DEFAULT_NAME: {"organization": None}}
    if olds.get("name") is not None:
        news.update(default, name=olds["name"])
    elif options is not None and options.mode == options.DISABLE:
        problem = "name is missing, and pulumi:autonaming does not allow a generated name: set name"
        failures["name"] = with_code(problem, "missing-input")
    elif options is not None and options.mode == options.PROPOSE and is_container:
        news["name"] = valid_container_name(options.proposed_name)
    elif options is not None:
        news["name"] = options.proposed_name
    else:
        news.update(default, name=name_of(request.urn))


def _unknown_inputs(handler: ResourceHandler, request: Any) -> Iterator[tuple[str, str]]:
    """
    Return an error for each input that has no effect. The error has no property, because the engine would print the
    property's value, which may be a secret.
    """
    # These extra inputs are allowed: two are for the checks, one is from Read for an import, and `check` overrides
    # the marker. With `ignoreChanges: ["*"]`, the engine passes the result of an earlier check.
    checked = {DEFAULT_NAME, PARENT_IN_PROGRAM, CHANGED_OUTSIDE, MARKER, *from_struct(request.olds)}
    given = [camel_case(name) for name in from_struct(request.news).keys() - checked]
    known = [camel_case(field.name) for field in handler.fields if not field.noted]
    outputs = set(parsed()["resources"][f"{NATIVE}{handler.kind}"]["properties"])
    for problem in unknown_names(sorted(given), known, "input", outputs=outputs).values():
        yield "", without_keys(clean(with_code(problem, "invalid-input")))


def _how(name: str, olds: Mapping[str, Any], news: Mapping[str, Any], *, replaces: bool) -> Any:
    if olds.get(name) is None:
        return _Property.ADD_REPLACE if replaces else _Property.ADD
    if news.get(name) is None:
        return _Property.DELETE_REPLACE if replaces else _Property.DELETE
    return _Property.UPDATE_REPLACE if replaces else _Property.UPDATE


_WORKERS: Final = 512
"""
The number of threads. It exceeds the number of the engine's concurrent calls, because a queued call shows no progress.
`maxConcurrency` limits the operations.
"""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
)
_LOOK_AGAIN: Final = 2.0
"""If standard input is not connected to the engine: the seconds between two checks of whether the engine still runs."""


def main() -> None:
    """Serve until the engine ends."""
    _without_detectors()
    servicer = Servicer(engine_address(sys.argv[1:]))
    server = grpc.server(futures.ThreadPoolExecutor(_WORKERS), options=_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201  (the engine reads it)
    # Do not use an `Event`: the signal handler may interrupt the wait while the wait holds the event's lock.
    ended = queue.SimpleQueue[None]()
    # A background process may inherit the setting that SIGINT is ignored, but the engine ends its plugins with SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.put(None))
    threading.Thread(target=_wait_for_the_end, args=(servicer, ended), daemon=True).start()
    ended.get()
    servicer.end()
    server.stop(grace=1).wait()


def _without_detectors() -> None:
    """
    Prevent `requests` from loading a character set detector, which takes 3 MB and is not needed, because every response
    is read as UTF-8.
    """
    for name in ("chardet", "charset_normalizer"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # Python's own mark of a module that cannot be imported
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection")


def engine_address(arguments: Sequence[str]) -> str:
    """
    Return the engine's address from the command line; empty if the engine passes it with `Attach`.

    With `--logflow` or `--tracing`, the engine puts its own options before the address. These options are accepted and
    have no effect. Options that a newer engine adds are skipped.
    """
    parser = argparse.ArgumentParser(
        prog="pulumi-resource-stacks",
        description="The STACKS provider for Pulumi. The engine starts it; do not run it yourself.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=stacks_pulumi.__version__)
    parser.add_argument("--logtostderr", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-v", help=argparse.SUPPRESS)
    parser.add_argument("--tracing", help=argparse.SUPPRESS)
    parser.add_argument("engine", nargs="?", default="", help="address of the engine")
    found, _newer = parser.parse_known_args(arguments)
    return str(found.engine)


def _wait_for_the_end(servicer: Servicer, ended: queue.SimpleQueue[None]) -> None:
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        while os.read(0, 4096):
            pass
    else:
        # If a language host starts the plugin, it does not connect standard input.
        while not servicer.engine.is_gone():
            time.sleep(_LOOK_AGAIN)
    ended.put(None)
