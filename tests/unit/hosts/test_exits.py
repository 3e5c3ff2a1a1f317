"""Every text to the engine is cleaned at the exit, for any caller, and a command in it is valid for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2

from stacks_pulumi.hosts._grpc_call import EngineService, GrpcCall
from stacks_pulumi.hosts.plugin.servicer import Servicer
from stacks_pulumi.resources._operation import EngineCall, Operation
from tests.support.clock import FakeClock
from tests.support.hostile import ALL, faults

KEY = "sk_stacks_" + "0" * 64


class Stub:
    """The engine's log service."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def Log(self, request: Any, timeout: float) -> None:  # noqa: N802  (the protocol's name)
        """Keep a line."""
        self.lines.append(request.message)


def test_a_line_is_cleaned_where_it_is_shown() -> None:
    log = EngineService("127.0.0.1:1")
    log._stub = shown = Stub()

    log.show("INFO", "", f"1 container: $4.00 a month (account {ALL}) {KEY}")

    (line,) = shown.lines
    assert faults(line.replace("\n", "\0")) == []
    assert KEY not in line


def test_a_message_of_a_call_is_cleaned() -> None:
    said = GrpcCall(EngineService(""), lambda _outputs: struct_pb2.Struct()).worded(f"it failed: {ALL}")

    assert faults(said.replace("\n", "\0")) == []


@pytest.mark.parametrize("address", ["", "127.0.0.1:1"])
def test_the_version_of_an_engine_that_does_not_answer_is_not_known(address: str) -> None:
    engine = EngineService(address)

    assert engine.satisfies(">=3.259.0") is None
    engine.warn_if_too_old()


@pytest.mark.parametrize(
    ("check", "type_", "said"),
    [
        (Servicer.Check, "stacks:index:Container", "unknown input"),
        (Servicer.CheckConfig, "pulumi:providers:stacks", "unknown setting"),
    ],
)
def test_the_name_of_an_unknown_input_is_cleaned(check: Callable[..., Any], type_: str, said: str) -> None:
    news = struct_pb2.Struct()
    news.update({"template": "nodejs", f"a{ALL}": 1} if check is Servicer.Check else {f"a{ALL}": "x"})
    request = provider_pb2.CheckRequest(urn=f"urn:pulumi:dev::tests::{type_}::web", news=news)

    failures = check(Servicer(), request, SimpleNamespace(is_active=lambda: True)).failures

    (reason,) = [failure.reason for failure in failures]
    assert said in reason
    assert faults(reason.replace("\n", "\0")) == []


def test_an_error_that_is_shown_without_the_engine_is_cleaned(capsys: pytest.CaptureFixture[str]) -> None:
    call = SimpleNamespace(kind="Container", name="web", urn="", error=lambda _text: None)

    Operation(cast("EngineCall", call), FakeClock(), 0, 1).report(f"it is left: {ALL}")

    said = capsys.readouterr().err
    assert "it is left" in said
    assert faults(said.rstrip("\n").replace("\n", "\0")) == []


@pytest.mark.parametrize("name", ["web", "a'; id; '", 'a"$(id)`id`', "a b\\"])
def test_a_urn_is_one_word_of_a_command(name: str) -> None:
    urn = f"urn:pulumi:dev::tests::stacks:index:Container::{name}"
    op = Operation(cast("EngineCall", SimpleNamespace(urn=urn)), FakeClock(), 0, 1)

    assert shlex.split(f"pulumi state delete {op.quoted_urn}") == ["pulumi", "state", "delete", urn]
