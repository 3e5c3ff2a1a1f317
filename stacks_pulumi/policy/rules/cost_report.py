"""The policy `cost-report`: a table of prices in the output of every preview and update."""

from __future__ import annotations

from collections.abc import Iterator

from stacks_pulumi.policy.findings import Finding, NotApplicable, Notice
from stacks_pulumi.policy.options import Settings, choice
from stacks_pulumi.policy.rule import StackRule
from stacks_pulumi.pricing.views import StackView

__all__ = ["RULES"]


def cost_report(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """Report every container with its price, and the sum."""
    if not stack.containers:
        yield NotApplicable("the stack has no container")
        return
    rows = [(container.name, container.kind, str(container.price)) for container in stack.containers]
    rows.append(("total", "", str(stack.price)))
    if settings["format"] == "markdown":
        lines = [
            "| Container | Kind | A month |",
            "|---|---|---:|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    else:
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {price:>{widths[2]}}" for name, kind, price in rows
        ]
    yield Notice("\n".join(lines))


RULES = (
    StackRule(
        "cost-report",
        "The monthly price of the stack.",
        "disabled",
        "low",
        "Nothing to fix: this is information and does not block at any level.",
        options=(choice("format", "how the table is written", "table", "markdown"),),
        check=cost_report,
    ),
)
"""The rules of this file."""
