"""The line with the price of a program, where one process runs several programs (the Automation API)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

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
        _total.show_in_preview(SimpleNamespace(monthly_price_usd=price))
        roots.append(root)
        found: Price = price
        return found

    roots: list[Any] = []
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    counted: list[int] = []

    def all_of(*prices: Any) -> Any:
        counted.append(len(prices))
        return Price()

    monkeypatch.setattr(pulumi.Output, "all", all_of)

    run()  # its price never becomes known, because its check failed
    for function in run().waiting:
        function(4.0)

    assert counted == [1]
