"""
What does an agent get?

The types of the results of all tools; the schemas that a client sees are made from them. Prices are in US dollars,
and are written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from stacks_pulumi import catalog
from stacks_pulumi.errors import StacksError, with_code
from stacks_pulumi.pricing.money import MonthlyPrice, usd

PlanVerdict: TypeAlias = Literal["free", "needs_approval", "refused"]


@dataclass(frozen=True)
class ShownResource:
    """A resource of the stack; secrets are left out."""

    name: str
    type: str
    id: str
    price_a_month: str | None
    protected: bool
    inputs: dict[str, Any]
    outputs: dict[str, Any]


@dataclass(frozen=True)
class ResourcePage:
    """The resources of the stack, and the program that made them."""

    resources: list[ShownResource]
    total: int
    page: int
    pages: int
    price_a_month: str
    program: dict[str, Any]


@dataclass(frozen=True)
class AccountFigures:
    """What the account costs, and what the gate allows without a person."""

    containers: int
    price_a_month: str
    complete: bool
    free_increase_a_day: str | None
    created_in_24_hours: str | None
    most_a_month_for_the_stack: str | None
    most_increase_of_a_change: str | None
    may_apply: bool


@dataclass(frozen=True)
class TemplatePrice:
    """A template with its price for each plan."""

    template: str
    title: str
    category: str
    prices_a_month: dict[str, str]


@dataclass(frozen=True)
class PricePage:
    """The templates and their prices."""

    templates: list[TemplatePrice]
    storage_a_month: dict[str, str]
    total: int
    page: int
    pages: int


@dataclass(frozen=True)
class ContainerLog:
    """The last lines of a container's log. Passwords and keys are hidden."""

    resource: str
    log: str


@dataclass(frozen=True)
class ContainerMetrics:
    """The last measurements of a container; the API does not say their units."""

    resource: str
    series: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class ExplainedCode:
    """What a code means and what to do."""

    code: str
    text: str


@dataclass(frozen=True)
class PlannedStep:
    """What happens to a resource."""

    resource: str
    type: str
    operation: str
    inputs: dict[str, Any]
    unknown: list[str]
    price_before: str | None
    price_after: str | None


@dataclass(frozen=True)
class PlanOutcome:
    """A planned change, and whether it may be applied. `price_during`: the most before the last deletion."""

    verdict: PlanVerdict
    record: str | None
    steps: list[PlannedStep]
    price_before: str
    price_after: str
    price_during: str
    reasons: list[str]
    approve_with: str | None


@dataclass(frozen=True)
class ApplyOutcome:
    """What `apply` did."""

    verdict: Literal["applied", "failed"]
    record: str
    output: str


OTHERS: Final = (
    "it is about more than this stack, and may name others: a person sees why with `stacks-pulumi gate plan`"
)
"""What an agent gets in place of a text that may name other stacks."""


def told(error: StacksError) -> str:
    """Return an error as an agent gets it."""
    return with_code(OTHERS, error.code) if error.names_others else str(error)


def reasons_of(change: Mapping[str, Any]) -> list[str]:
    """Return why a planned change is not free, or is refused, as an agent gets it."""
    limits = [one for one in change["limits"] if not one["passed"]]
    said = [
        "budgets: " + OTHERS if one["names_others"] else f"{one.get('rule') or one['name']}: {one['text']}"
        for one in (*change["reasons"], *limits)
    ]
    return [*said, *(f"not known until the change is made: {one}" for one in change["unknown"])]


def dollars(amount: Decimal | None) -> str | None:
    """Return an amount as text."""
    return None if amount is None else usd(amount)


def bounds(price: Mapping[str, str | None]) -> str | None:
    """Return a price, from the least to the most that it may be."""
    low, high = price["low"], price["high"]
    if low == high:
        return f"${high}"
    return f"at least ${low}" if high is None else f"${low} to ${high}"


def of_plans(template: str, monthly: MonthlyPrice) -> dict[str, str]:
    """Return the price of a template for each plan, `-` for one without plans."""
    plans = ["-"] if template == catalog.VPN_TEMPLATE else list(catalog.PLANS)
    prices = {plan: monthly(template, None if plan == "-" else plan, None) for plan in plans}
    return {plan: usd(price) for plan, price in prices.items() if price is not None}


def end_of(output: str) -> str:
    """Return what the engine says at the end: its diagnostics, or only how many resources it has changed."""
    for heading in ("Diagnostics:", "Outputs:", "Resources:"):
        _, found, rest = output.partition(f"\n{heading}\n")
        if found:
            return f"{heading}\n{rest}".strip()
    return output
