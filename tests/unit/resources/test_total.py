"""The line with the price of a program: the change, and several programs in one process (the Automation API)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from stacks_pulumi.resources import _total


class Price:
    """An output that resolves when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def apply(self, function: Any, run_with_unknowns: bool) -> None:
        """Call the function once the price is known."""
        assert run_with_unknowns
        self.waiting.append(function)


def test_a_run_that_failed_leaves_nothing_to_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> Price:
        root: Any = type("Root", (), {})()
        monkeypatch.setattr(_total, "get_root_resource", lambda: root)
        price: Any = Price()
        container = SimpleNamespace(urn=Price(), id=Price(), monthly_price_usd=price)
        _total.show_in_preview(cast("Any", container), is_lookup=False)
        roots.append(root)
        found: Price = price
        return found

    roots: list[Any] = []
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    counted: list[int] = []

    def all_of(*outputs: Any) -> Any:
        counted.append(len(outputs) // 3)
        return Price()

    monkeypatch.setattr(pulumi.Output, "all", all_of)

    run()  # its price never becomes known, because its check failed
    for function in run().waiting:
        function(4.0)

    assert counted == [1]


WEB, OTHER = "urn:pulumi:dev::shop::pulumi-python:dynamic/stacks:Container::web", "urn:other"
CONTAINER = "pulumi-python:dynamic/stacks:Container"


def row(price: float, *, is_lookup: bool = False) -> Any:
    return _total._Row(WEB, "usr-1-web", price, is_lookup)


def state(**outputs: Any) -> dict[str, Any]:
    return {OTHER: {"type": CONTAINER, "outputs": {"monthly_price_usd": 4.0, **outputs}}}


@pytest.mark.parametrize(
    ("resources", "past"),
    [
        ({}, 0),
        (state(stacks_kind="Container"), 4),
        (state(origin="a-b"), 4),
        # A container of version 0.1, or one that was looked up: nothing tells which.
        (state(), None),
        (state(stacks_kind="Container", monthly_price_usd=None), None),
        ({WEB: {"type": CONTAINER, "outputs": {"monthly_price_usd": 9.0}}}, 9),
        ({OTHER: {"type": "aws:s3:Bucket", "outputs": {"monthly_price_usd": 9.0, "origin": "a-b"}}}, 0),
    ],
)
def test_the_past_price_is_that_of_the_containers_which_the_stack_owns(
    resources: dict[str, Any], past: float | None
) -> None:
    assert _total._past(resources, [row(4)]) == past


def test_a_container_that_is_looked_up_has_no_past_price() -> None:
    resources = {WEB: {"type": CONTAINER, "outputs": {"monthly_price_usd": 9.0}}}

    assert _total._past(resources, [row(9, is_lookup=True)]) == 0
