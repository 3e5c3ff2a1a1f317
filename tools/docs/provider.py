"""The native plugin's service in this process, called in the same order as by the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import provider_pb2

from stacks_pulumi.hosts.plugin.servicer import Servicer
from stacks_pulumi.hosts.plugin.wire import from_struct, to_struct
from stacks_pulumi.pricing.recognition import NATIVE

__all__ = ["Provider", "Resource"]


class _Context:
    """The context of a call: the engine waits for the answer."""

    def is_active(self) -> bool:
        return True

    def set_trailing_metadata(self, _metadata: object) -> None:
        """Record the details of an error; `abort` receives only a summary."""

    def abort(self, _code: object, message: str) -> None:
        raise RuntimeError(message)


class Provider:
    """A provider with the settings of an account."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._servicer = self._started()

    def _started(self) -> Servicer:
        servicer = Servicer()
        servicer.Configure(
            provider_pb2.ConfigureRequest(args=to_struct(self._settings), name="default"), None
        )
        return servicer

    def begin_another_operation(self) -> None:
        """End the operation and start the plugin again for the next one, as the engine does."""
        self._servicer.Cancel(empty_pb2.Empty(), None)
        self._servicer = self._started()

    def call(self, method: str, request: Any) -> Any:
        return getattr(self._servicer, method)(request, _Context())


class Resource:
    """
    A resource, with the state that the engine stores.

    Attributes:
        id: Its id after the creation.
    """

    def __init__(self, provider: Provider, kind: str, name: str = "it") -> None:
        self._provider = provider
        self.kind = kind
        self.name = name
        self.id = ""
        self._inputs = struct_pb2.Struct()
        self._outs = struct_pb2.Struct()

    def output(self, name: str) -> Any:
        return from_struct(self._outs)[name]

    def up(self, **inputs: Any) -> None:
        """Call the service as `up` does: check, diff, then create, update or replace."""
        news = self._checked(to_struct(inputs))
        if not self.id:
            self._create(news)
            return
        diff = self._call("Diff", provider_pb2.DiffRequest(id=self.id, olds=self._outs, news=news))
        if diff.replaces and diff.deleteBeforeReplace:
            self.delete()
            self._create(self._checked(to_struct(inputs)))
        elif diff.replaces:
            old = self.id, self._outs
            self._create(news)
            new = self.id, self._outs
            self.id, self._outs = old
            self.delete()
            self.id, self._outs = new
        elif diff.changes == provider_pb2.DiffResponse.DIFF_SOME:
            answer = self._call("Update", provider_pb2.UpdateRequest(id=self.id, olds=self._outs, news=news))
            self._outs = answer.properties
        self._inputs = news

    def read(self) -> None:
        """Call the service as a refresh does."""
        request = provider_pb2.ReadRequest(id=self.id, properties=self._outs, inputs=self._inputs)
        answer = self._call("Read", request)
        self._inputs, self._outs = answer.inputs, answer.properties

    def delete(self) -> None:
        self._call("Delete", provider_pb2.DeleteRequest(id=self.id, properties=self._outs))
        self.id, self._outs = "", struct_pb2.Struct()

    def _checked(self, news: struct_pb2.Struct) -> struct_pb2.Struct:
        olds = self._inputs if self.id else None
        answer = self._call("Check", provider_pb2.CheckRequest(olds=olds, news=news))
        if answer.failures:
            raise RuntimeError("; ".join(failure.reason for failure in answer.failures))
        checked: struct_pb2.Struct = answer.inputs
        return checked

    def _create(self, checked: struct_pb2.Struct) -> None:
        answer = self._call("Create", provider_pb2.CreateRequest(properties=checked))
        self.id, self._inputs, self._outs = answer.id, checked, answer.properties

    def _call(self, method: str, request: Any) -> Any:
        request.urn = f"urn:pulumi:dev::tests::{NATIVE}{self.kind}::{self.name}"
        return self._provider.call(method, request)
