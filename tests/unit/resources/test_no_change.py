"""The cost of an `up` without changes in Python instructions and calls, which are equal on all machines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

import pytest

from stacks_pulumi.config import AccountSettings, load
from stacks_pulumi.resources import _handler
from stacks_pulumi.resources._fields import Field, OnChange, changed
from stacks_pulumi.resources._owners import forget
from stacks_pulumi.resources.handlers import HANDLERS
from tests.unit.api.scripted_api import KEY
from tests.unit.resources.scripted_account import Call

CALLS = {"Container": 160, "Connection": 95, "AllowedIp": 101}
"""The most calls of this package's functions for a check and a diff that find no change."""


@pytest.fixture(autouse=True)
def ownership() -> Iterator[None]:
    forget()
    yield
    forget()


class Named(Call):
    """A call for one resource, for which no message may be shown."""

    def __init__(self, kind: str, number: int) -> None:
        super().__init__()
        self.urn = f"urn:pulumi:dev::tests::stacks:index:{kind}::{kind}-{number}"


def inputs(kind: str, number: int) -> dict[str, Any]:
    container = f"usr-abc12345-c-{number:03}"
    given: dict[str, dict[str, Any]] = {
        "Container": {"name": f"c-{number:03}", "template": "nodejs", "external_access": True},
        "Connection": {"source": container, "target": "usr-abc12345-sql", "name": "primary-db"},
        "AllowedIp": {"container": container, "ip_address": f"198.51.{number % 256}.0/24"},
    }
    return given[kind]


def unchanged(kind: str, number: int) -> Callable[[], None]:
    """Return a check and a diff of a resource that agrees with its program."""
    call, given = Named(kind, number), inputs(kind, number)
    handler = HANDLERS[kind]()
    handler.configure({"stacks:apiKey": KEY}.get)
    known = handler.check(call, {}, given).inputs
    call.shown.clear()
    origin = f"{load({'stacks:apiKey': KEY}, {}).fingerprint}-0123456789"
    state = {**known, "origin": origin, "created_at": "2026-02-25T10:30:00Z"}
    id_ = f"usr-abc12345-c-{number:03}" if kind == "Container" else f"usr-abc12345-c-{number:03}/it"

    def operate() -> None:
        checked = handler.check(call, known, given)
        difference = handler.diff(call, id_, state, checked.inputs)
        assert (checked.failures, difference.changes, call.warnings, call.shown) == ({}, False, [], [])

    return operate


def traced(work: Callable[[], None], events: str) -> int:
    """Count the executed code of this package: `opcode` for instructions, `call` for calls of functions."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if "/stacks_pulumi/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = events == "opcode"
        count += event == events
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", CALLS)
def test_each_resource_costs_the_same_however_many_there_are(kind: str) -> None:
    costs = []
    for number in range(1, 301):
        operate = unchanged(kind, number)
        if number in {10, 300}:
            costs.append(traced(operate, "opcode"))
        else:
            operate()

    assert costs[1] <= costs[0] * 1.02


@pytest.mark.parametrize("kind", CALLS)
def test_a_resource_takes_few_calls(kind: str) -> None:
    unchanged(kind, 1)()

    count = traced(unchanged(kind, 2), "call")

    assert 10 < count <= CALLS[kind]


def test_no_session_is_opened_for_a_resource_of_this_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(_: AccountSettings) -> NoReturn:
        raise AssertionError("a session was opened")

    monkeypatch.setattr(_handler, "session_for", opened)

    unchanged("Container", 1)()


def test_equal_values_are_not_parsed() -> None:
    parsed: list[object] = []

    def parse(value: object) -> object:
        parsed.append(value)
        return value

    fields = [Field(name, parse, OnChange.UPDATE) for name in ("same", "other", "none")]

    differing = changed(fields, {"same": 1, "other": 1}, {"same": 1, "other": 2})

    assert [field.name for field in differing] == ["other"]
    assert parsed == [1, 2]


PROGRAM = """
import asyncio
import subprocess
import sys

import pulumi


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        counted["encrypted"] += not isinstance(args.inputs["__provider"], str)
        return f"usr-abc12345-{args.name}", args.inputs

    def call(self, args):
        return {}


counted = {"tasks": 0, "compiled": 0, "encrypted": 0}


def task(loop, work, **more):
    counted["tasks"] += 1
    return asyncio.Task(work, loop=loop, **more)


def profile(frame, event, function):
    counted["compiled"] += event == "c_call" and function is compile


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.set_task_factory(task)
pulumi.runtime.set_mocks(Mocks())

import stacks_pulumi as stacks
# Without mocks, a child also compares itself with the others.
from stacks_pulumi.resources import _resource

_resource.MockMonitor = type("None", (), {})


async def declare(number):
    web = stacks.Container(f"web{number}", template="nodejs", external_access=True)
    link = stacks.Connection(f"link{number}", source=web, target=f"usr-abc12345-sql{number}")
    office = stacks.AllowedIp(f"office{number}", container=web, ip_address="198.51.100.7")
    for resource in (web, link, office):
        await resource.urn.future()
    await office.ip_address.future()


async def main():
    await declare(1)
    counted.update(tasks=0, compiled=0)
    sys.setprofile(profile)
    await declare(2)
    sys.setprofile(None)


loop.run_until_complete(main())
print(counted["tasks"], counted["compiled"], counted["encrypted"])
"""
TASKS = 95
"""The most tasks of a Container, a Connection and an AllowedIp in a program; the SDK creates one for each output."""


def test_a_program_makes_few_tasks_for_a_resource_and_compiles_nothing() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    tasks, compiled, encrypted = map(int, run.stdout.split())
    assert 30 < tasks <= TASKS
    assert (compiled, encrypted) == (0, 0)
