"""The line with the price of a program: its change, and several programs in one process (the Automation API)."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from stacks_pulumi._pulumi_cli import StoredResource
from stacks_pulumi.resources import _preview_total
from stacks_pulumi.resources._preview_total import Declared, past_price


class Value:
    """An output that the test resolves."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def apply(self, function: Any, run_with_unknowns: bool) -> None:
        """Call the function when the value is known."""
        assert run_with_unknowns
        self.waiting.append(function)

    def resolve(self, value: Any) -> Any:
        """Return the result of the last callback."""
        return [function(value) for function in self.waiting][-1]


class Program:
    """A run of a program in a preview."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        root: Any = type("Root", (), {})()
        self.containers: list[SimpleNamespace] = []
        self._root = root
        monkeypatch.setattr(_preview_total, "get_root_resource", lambda: root)

    def declare(self, *, is_lookup: bool = False) -> None:
        """Declare a container."""
        container = SimpleNamespace(urn=Value(), id=Value(), monthly_price_usd=Value(), adopts=Value())
        self.containers.append(container)
        _preview_total.show_in_preview(
            cast("Any", container), cast("Any", container.adopts), is_lookup=is_lookup
        )

    def answer(self, number: int, price: Any) -> Any:
        """Answer as the engine does; return the line if it is complete."""
        container = self.containers[number]
        container.urn.resolve(f"urn:{number}")
        container.id.resolve(f"usr-{number}")
        container.adopts.resolve(None)
        return container.monthly_price_usd.resolve(price)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    monkeypatch.setattr(_preview_total, "request_export", lambda: None)
    monkeypatch.setattr(_preview_total, "get_monitor", lambda: None)
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lines.append)
    return lines


def test_a_run_that_failed_leaves_nothing_to_the_next_one(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    failed = Program(monkeypatch)
    failed.declare()  # its price never becomes known, because its check failed
    program = Program(monkeypatch)
    program.declare()

    asyncio.run(program.answer(0, 4.0))

    assert said == ["1 container: $4.00 a month"]


def test_the_line_is_shown_once_and_each_value_makes_one_output(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    exports: list[str] = []
    monkeypatch.setattr(pulumi.Output, "all", None)
    monkeypatch.setattr(_preview_total, "request_export", lambda: exports.append("started"))
    program = Program(monkeypatch)
    for number in range(3):
        program.declare(is_lookup=number == 1)

    assert [program.answer(number, 4.0) for number in (2, 1)] == [None, None]
    asyncio.run(program.answer(0, "unknown"))

    assert said == ["2 containers: $4.00 a month, plus 1 with an unknown price"]
    values = [value for container in program.containers for value in vars(container).values()]
    assert [len(value.waiting) for value in values] == [1] * 12


WEB, OTHER = "urn:pulumi:dev::shop::pulumi-python:dynamic/stacks:Container::web", "urn:other"
CONTAINER = "pulumi-python:dynamic/stacks:Container"


def row(id_: Any = None, *, adopts: Any = None, is_lookup: bool = False) -> Declared:
    return Declared(WEB, id_, 4.0, adopts, is_lookup)


def in_state(urn: str = OTHER, price: Any = 4.0, type_: str = CONTAINER, **rest: Any) -> StoredResource:
    row = {"urn": urn, "id": "usr-1-web", "type": type_, "outputs": {"monthly_price_usd": price}, **rest}
    return StoredResource(**row)


@pytest.mark.parametrize(
    ("state", "past"),
    [
        ([], 0),
        ([in_state()], 4),
        ([in_state(type_="stacks:index:Container", outputs={"monthlyPriceUsd": 5.0})], 5),
        ([in_state(), in_state(WEB, 9.0)], 13),
        # A look-up and a resource of another package.
        ([in_state(external=True)], 0),
        ([in_state(type_="aws:s3:Bucket")], 0),
        ([in_state(price=None)], None),
        # An interrupted replacement: both are billed.
        ([in_state(WEB, 9.0), in_state(WEB, 4.0, delete=True, id="old")], 13),
    ],
)
def test_the_past_price_is_that_of_the_containers_in_the_state(
    state: list[StoredResource], past: float | None
) -> None:
    assert past_price(state, [row()]) == past


def test_what_is_taken_over_is_billed_already() -> None:
    assert past_price([in_state()], [row(adopts="usr-1-seen")]) == 8
    # The state contains it under a different resource name, as after a rename in the program without an alias.
    assert past_price([in_state()], [row(adopts="usr-1-web")]) == 4
    # The state contains it since an earlier run.
    assert past_price([in_state(WEB)], [row("usr-1-web", adopts="usr-1-web")]) == 4


@pytest.mark.parametrize("state", [[], [in_state(WEB, id="another")]])
def test_a_state_of_another_backend_is_not_used(state: list[StoredResource]) -> None:
    assert past_price(state, [row("usr-1-web")]) is None
    assert past_price([in_state(WEB)], [row("usr-1-web")]) == 4


@pytest.mark.parametrize(
    "script", ["exit 1", "echo nothing", "echo '[]'", "echo '{\"deployment\": 3}'", None], ids=str
)
def test_a_state_that_cannot_be_read_is_said_in_the_line(
    script: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        (tmp_path / "pulumi").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert _preview_total._export("organization/shop/dev") is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ([in_state()], " (+$4.00)"),
        ([in_state(price=None)], " (change not known: its containers are not all known)"),
        (None, " (change not known: the state could not be read)"),
        ("later", " (change not known: the state was not read in time)"),
    ],
)
def test_a_change_that_is_not_known_is_said_in_the_line(
    state: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_preview_total, "_SECONDS", 0.0 if state == "later" else 5.0)
    reading: Any = Future()
    if state != "later":
        reading.set_result(state)

    assert asyncio.run(_preview_total._change(8.0, reading, [row()])) == expected
