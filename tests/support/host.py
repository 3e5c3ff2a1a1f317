"""
The real dynamic-provider host, called over gRPC as by the engine.

It is the same process that `pulumi up` starts, so the tests include the SDK's handling of values, errors and threads.
Without the engine, a call takes milliseconds.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime import rpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

import stacks_pulumi
from stacks_pulumi._identifiers import camel_case, snake_case
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.hosts.plugin.wire import in_camel_case
from stacks_pulumi.pricing import recognition as tokens
from stacks_pulumi.pricing.recognition import MARKER
from stacks_pulumi.resources.handlers import HANDLERS
from tests.support.codes import has_one_code
from tests.support.forked import commands
from tests.support.hurried import hurry
from tests.support.waiting import PATIENCE, until
from tools.engine import pins
from tools.engine.search import numbers

PROVIDER = "__provider"
PROMPT: Final = {"stacks:platform": str(Path(__file__).with_name("prompt-platform.yaml"))}
"""The setting with the emulator's platform file, with which the client does not wait for missing objects."""
SECRET = {rpc._special_sig_key: rpc._special_secret_sig}
UNKNOWN = rpc.UNKNOWN


@dataclass(frozen=True)
class Line:
    """One line that a provider sent to the engine to show."""

    severity: str
    urn: str
    text: str
    ephemeral: bool


class FakeEngine(engine_pb2_grpc.EngineServicer):
    """
    The part of the engine that a host uses: it accepts log lines and checks its version.

    Args:
        version: Its version; by default, it is so old that it does not support the question.
    """

    def __init__(self, version: str | None = pins.VERSION) -> None:
        self.lines: list[Line] = []
        self.version = version
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802  (gRPC's name)
        """Keep the line."""
        severity = engine_pb2.LogSeverity.Name(request.severity)
        self.lines.append(Line(severity, request.urn, request.message, request.ephemeral))
        return empty_pb2.Empty()

    def RequirePulumiVersion(self, request: Any, context: Any) -> engine_pb2.RequirePulumiVersionResponse:  # noqa: N802  (gRPC's name)
        """Accept a range such as `>=3.259.0`, or refuse it as the engine does."""
        if self.version is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        elif numbers(self.version) < numbers(request.pulumi_version_range.removeprefix(">=")):
            context.abort(grpc.StatusCode.UNKNOWN, f"Pulumi CLI version {self.version} does not satisfy it")
        return engine_pb2.RequirePulumiVersionResponse()

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop(0).wait()


class CallFailedError(Exception):
    """
    Raised if the host ended a call with an error.

    Attributes:
        message: The message that the engine would show.
        kept_id: The id that stays in the state after an operation that failed partway.
        kept: Its properties.
        waiting: Whether the engine should continue, and try the operation again in a later run.
    """

    def __init__(self, error: grpc.RpcError) -> None:
        self.waiting = False
        self.kept_id: str | None = None
        self.kept: dict[str, Any] = {}
        self.message: str = error.details() or ""
        for entry in error.trailing_metadata() or ():
            if entry.key == "grpc-status-details-bin":
                status = status_pb2.Status.FromString(entry.value)
                # The engine's gRPC ignores a rich status with a different code.
                assert status.code == error.code().value[0]
                # The engine reads the rich status and ignores the plain one.
                self.message = status.message
                for detail in status.details:
                    self.waiting |= detail.Is(provider_pb2.ErrorResourceAwaitFailed.DESCRIPTOR)
                    failed = provider_pb2.ErrorResourceInitFailed()
                    if detail.Unpack(failed):
                        kept = _to_dict(failed.properties)
                        kept.pop(PROVIDER, None)
                        self.kept_id = failed.id
                        self.kept = {snake_case(name): value for name, value in kept.items()}
                        self.message = "; ".join(failed.reasons)
        super().__init__(self.message)


@dataclass
class Host:
    """
    A host process.

    Args:
        config: The stack's configuration.
        python_path: The first entry of the host's module path, for example a different version of the SDK.
        speed: The speed of the package's clock, in seconds per second. The emulator's clock must have the same speed.
        wall: With a `speed`, the time of the emulator's clock in seconds since the epoch; by default the real time.
        constants: With a `speed`, different values for constants of the package.
    """

    config: Mapping[str, str]
    python_path: str | None = None
    speed: float = 1.0
    wall: float | None = None
    constants: hurry.Constants | None = None
    engine: FakeEngine = field(default_factory=FakeEngine)

    module: ClassVar = "pulumi.dynamic"
    type_prefix: ClassVar = tokens.DYNAMIC

    def __post_init__(self) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("STACKS_")}
        env["PYTHONFAULTHANDLER"] = "1"
        # Hosts of one engine share files; these stay within the test.
        self._home = tempfile.TemporaryDirectory()
        env["PULUMI_HOME"] = self._home.name
        if self.speed != 1:
            env |= hurry.environment(
                self.speed, wall=self.wall, python_path=self.python_path, constants=self.constants
            )
        elif self.python_path is not None:
            env["PYTHONPATH"] = self.python_path
        # A plugin ends when its standard input is closed. The engine keeps it open.
        self.process = commands.start(["-u", "-m", self.module, self.engine.address], env)
        assert self.process.stdout is not None
        port = self.process.stdout.readline().strip()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self.configure()

    def configure(self) -> None:
        """Send the stack's configuration."""
        self._configured(_to_struct(self.config))

    def _configured(self, settings: struct_pb2.Struct, name: str = "") -> None:
        answer = self.stub.Configure(provider_pb2.ConfigureRequest(args=settings, name=name))
        self.supports_preview = bool(answer.supportsPreview)
        self.accepts_secrets = bool(answer.acceptSecrets)

    def to_struct(self, kind: str, properties: Mapping[str, Any]) -> struct_pb2.Struct:
        """Return the properties of a resource in the form that this host receives."""
        blob = serialize_provider(stacks_pulumi.provider_for(kind))
        return _to_struct({**properties, PROVIDER: blob})

    def to_dict(self, struct: struct_pb2.Struct) -> dict[str, Any]:
        """Return the properties from this host, with Python's names."""
        found = _to_dict(struct)
        found.pop(PROVIDER, None)
        return found

    def worded(self, text: str) -> str:
        """Return a part of a message in this host's wording."""
        return text

    @property
    def home(self) -> str:
        """Return the folder of the files that it shares with other processes."""
        return self._home.name

    def stop(self) -> str:
        """End the process and return what it wrote to stderr."""
        self._channel.close()
        if isinstance(self.process, subprocess.Popen) and self.process.stdin and self.process.stdin.closed:
            # `communicate` would close the pipe a second time.
            self.process.stdin = None
        self.process.terminate()
        try:
            _, errors = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, errors = self.process.communicate()
        self.engine.stop()
        self._home.cleanup()
        return errors

    def resource(self, kind: str, name: str = "it") -> HostedResource:
        """Return a resource with its state as in the engine."""
        return HostedResource(self, kind, name)


@dataclass
class PluginHost(Host):
    """The native plugin."""

    module: ClassVar = "stacks_pulumi.hosts.plugin"
    type_prefix: ClassVar = tokens.NATIVE

    def configure(self) -> None:
        """Send the provider's settings by name."""
        settings = {name.removeprefix("stacks:"): value for name, value in self.config.items()}
        # The name of an explicit provider identifies its account.
        name = settings.pop("account", "default")
        self._configured(_to_struct(settings), name)

    def to_struct(self, kind: str, properties: Mapping[str, Any]) -> struct_pb2.Struct:
        """Return the properties of a resource as a generated SDK writes them."""
        return _to_struct({camel_case(name): value for name, value in properties.items()})

    def worded(self, text: str) -> str:
        """Return a part of a message with the property names of other languages."""
        return in_camel_case(text)

    def to_dict(self, struct: struct_pb2.Struct) -> dict[str, Any]:
        """Return the properties from the plugin, with Python's names."""
        return {snake_case(name): value for name, value in _to_dict(struct).items()}


HOSTS: Final = {"dynamic": Host, "native": PluginHost}


@dataclass
class HostedResource:
    """
    One resource from its first check to its deletion, with the state that the engine would store.

    Attributes:
        id: Its id after the creation.
        inputs: The checked inputs of the last operation.
        outs: The outputs of the last operation, without marks of secrets.
        raw: The outputs as received, with marks of secrets.
        component: The type of its parent component, which is a part of its URN.
    """

    host: Host
    kind: str
    name: str
    id: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outs: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    timeout: float = 0
    component: str = ""

    @property
    def urn(self) -> str:
        """Its URN."""
        inside = f"{self.component}$" if self.component else ""
        return f"urn:pulumi:dev::tests::{inside}{self.host.type_prefix}{self.kind}::{self.name}"

    def check(self, **inputs: Any) -> dict[str, str]:
        """Check inputs, with those of the last operation as the old inputs; return the failures by property."""
        return self._check(inputs)[1]

    def checked(self, **inputs: Any) -> dict[str, Any]:
        """Check inputs, which must be valid, and return their normal form."""
        found, failures = self._check(inputs)
        assert failures == {}, failures
        # Every resource has this input; `tests/host/test_marker.py` tests it.
        return {name: value for name, value in found.items() if name != MARKER}

    def up(self, **inputs: Any) -> list[str]:
        """Call the host as `up` does: check, diff, then create, update or replace. Return the operations that ran."""
        checked = self.checked(**inputs)
        if not self.id:
            self.create(checked)
            return ["create"]
        diff = self.diff(checked)
        if diff.replaces:
            if diff.deleteBeforeReplace:
                self.delete()
                self.create(self.checked(**inputs))
            else:
                old_id, old = self.id, self.outs
                self.create(checked)
                new_id, new = self.id, self.outs
                self.id, self.outs = old_id, old
                self.delete()
                self.id, self.outs = new_id, new
            return ["replace"]
        if diff.changes == provider_pb2.DiffResponse.DIFF_SOME:
            self.update(checked)
            return ["update"]
        self.inputs = checked
        return []

    def create(self, checked: Mapping[str, Any]) -> None:
        """Create with checked inputs."""
        try:
            answer = self._call("Create", self._create_request(checked))
        except CallFailedError as error:
            if error.kept_id is not None:
                self._keep(error.kept_id, checked, error.kept)
            raise
        self._keep(answer.id, checked, self.host.to_dict(answer.properties))

    def abandon_create(self, checked: Mapping[str, Any], when: Callable[[], object]) -> None:
        """Create with checked inputs, and cancel the call when a condition is true, like an engine that is killed."""
        call = self.host.stub.Create.future(self._create_request(checked))
        until(when)
        assert call.cancel(), "the create ended before it was cancelled"

    def abandon_delete(self, when: Callable[[], object]) -> None:
        """Delete it, and cancel the call when a condition is true, like an engine that is killed."""
        request = provider_pb2.DeleteRequest(id=self.id, urn=self.urn, properties=self._struct(self.outs))
        call = self.host.stub.Delete.future(request)
        until(when)
        assert call.cancel(), "the deletion ended before it was cancelled"

    def _create_request(self, checked: Mapping[str, Any]) -> provider_pb2.CreateRequest:
        return provider_pb2.CreateRequest(
            urn=self.urn, properties=self._struct(checked), timeout=self.timeout
        )

    def diff(self, checked: Mapping[str, Any]) -> Any:
        """Return the host's diff against the state, with Python's names."""
        request = provider_pb2.DiffRequest(
            id=self.id, urn=self.urn, olds=self._struct(self.outs), news=self._struct(checked)
        )
        answer = self._call("Diff", request)
        replaces = [snake_case(name) for name in answer.replaces]
        del answer.replaces[:]
        answer.replaces.extend(replaces)
        return answer

    def update(self, checked: Mapping[str, Any]) -> None:
        """Update to checked inputs."""
        request = provider_pb2.UpdateRequest(
            id=self.id,
            urn=self.urn,
            olds=self._struct(self.outs),
            news=self._struct(checked),
            timeout=self.timeout,
        )
        try:
            answer = self._call("Update", request)
        except CallFailedError as error:
            if error.kept_id is not None:
                self._keep(error.kept_id, checked, error.kept)
            raise
        self._keep(self.id, checked, self.host.to_dict(answer.properties))

    def read(self) -> bool:
        """Call the host as a refresh does; return False if the object no longer exists and so leaves the state."""
        return self._read(properties=self._struct(self.outs), inputs=self._struct(self.inputs))

    def get(self, id_: str) -> bool:
        """Call the host as a look-up by id does."""
        self.id = id_
        given = {
            field.name: "" for field in HANDLERS[self.kind].fields if field.required and field.name != "name"
        }
        return self._read(properties=self._struct(given), inputs=self._struct(given))

    def _read(self, **bags: Any) -> bool:
        answer = self._call("Read", provider_pb2.ReadRequest(id=self.id, urn=self.urn, **bags))
        if not answer.id:
            self.id, self.inputs, self.outs = "", {}, {}
            return False
        self._keep(answer.id, _plain(self.host.to_dict(answer.inputs)), self.host.to_dict(answer.properties))
        return True

    def delete(self) -> None:
        """Delete it."""
        request = provider_pb2.DeleteRequest(
            id=self.id, urn=self.urn, properties=self._struct(self.outs), timeout=self.timeout
        )
        self._call("Delete", request)
        self.id, self.outs = "", {}

    def lines(self) -> list[str]:
        """Return the lines that the engine would show for it."""
        return [line.text for line in self.host.engine.lines if line.urn == self.urn]

    def _check(self, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        given = {name: value for name, value in inputs.items() if value is not None}
        olds = self._struct(self.inputs) if self.id else None
        request = provider_pb2.CheckRequest(urn=self.urn, olds=olds, news=self._struct(given))
        answer = self._call("Check", request)
        found = self.host.to_dict(answer.inputs)
        for failure in answer.failures:
            assert failure.reason == self.host.worded(failure.reason)
            assert has_one_code(failure.reason), failure.reason
        return found, {snake_case(failure.property): failure.reason for failure in answer.failures}

    def _struct(self, properties: Mapping[str, Any]) -> struct_pb2.Struct:
        return self.host.to_struct(self.kind, properties)

    def _keep(self, id_: str, inputs: Mapping[str, Any], raw: dict[str, Any]) -> None:
        self.id, self.inputs, self.raw, self.outs = id_, dict(inputs), raw, _plain(raw)

    def _call(self, method: str, request: Any, timeout: float = PATIENCE) -> Any:
        try:
            return getattr(self.host.stub, method)(request, timeout=timeout)
        except grpc.RpcError as error:
            failed = CallFailedError(error)
        assert failed.message == self.host.worded(failed.message)
        # A traceback of the SDK ends with a line feed.
        assert has_one_code(failed.message.rstrip()), failed.message
        raise failed


def in_parallel(*work: Any) -> list[BaseException | None]:
    """Run all jobs concurrently; return the exception of each."""
    raised: list[BaseException | None] = [None] * len(work)

    def run(index: int) -> None:
        try:
            work[index]()
        except BaseException as error:  # noqa: BLE001  (returned to the test)
            raised[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def while_frozen(emulator: Emulator, watch: Callable[[], None], *work: Any) -> list[BaseException | None]:
    """Run all jobs concurrently; the API's objects make no progress until `watch` has returned."""
    emulator.freeze()

    def resume() -> None:
        try:
            watch()
        finally:
            emulator.resume()

    return in_parallel(resume, *work)


def _to_struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(dict(values))
    return struct


def _to_dict(struct: struct_pb2.Struct) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(struct)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if SECRET.items() <= value.items():
            return _plain(value["value"])
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
