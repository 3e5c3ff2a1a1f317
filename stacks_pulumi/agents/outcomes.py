"""
What does a tool return to an agent?

This module contains the types of all tools' results. The schemas that a client sees are generated from these types.
Prices are texts in US dollars.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from stacks_pulumi import catalog
from stacks_pulumi.broker.rules import OTHER_OWNER
from stacks_pulumi.broker.words import in_words
from stacks_pulumi.gate.workflow import Judged, reported
from stacks_pulumi.pricing.money import MonthlyPrice, usd

PlanVerdict: TypeAlias = Literal["free", "needs_approval", "refused"]

_OF_OTHERS: Final = frozenset({OTHER_OWNER, "budgets"})
"""Rules whose findings may name other stacks."""


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
    """The resources of the stack and the program that created them."""

    resources: list[ShownResource]
    total: int
    page: int
    pages: int
    price_a_month: str
    program: dict[str, Any]


@dataclass(frozen=True)
class AccountFigures:
    """The cost of the account, and the limits within which this server's grant needs no approval."""

    containers: int
    price_a_month: str
    complete: bool
    increase_a_day: str | None
    left_today: str | None
    most_a_month: str | None
    holds_until: str
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
    """The last measurements of a container, in units that the API does not document."""

    resource: str
    series: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class ExplainedCode:
    """The meaning of an error code and what to do."""

    code: str
    text: str


@dataclass(frozen=True)
class PlannedStep:
    """A step of a resource, with the inputs that change."""

    resource: str
    type: str
    operation: str
    changed: list[str]


@dataclass(frozen=True)
class PlanOutcome:
    """
    A planned change and whether it may be applied.

    `requests` lists the requests to STACKS. `adds_at_one_moment` is the highest increase before the last deletion.
    """

    verdict: PlanVerdict
    record: str | None
    steps: list[PlannedStep]
    requests: list[str]
    adds_a_month: str
    adds_at_one_moment: str
    reasons: list[str]
    approve_with: str | None


@dataclass(frozen=True)
class ApplyOutcome:
    """The result of `apply`."""

    verdict: Literal["applied", "failed"]
    record: str
    output: str


def outcome_of(
    judged: Judged, verdict: PlanVerdict, record: str | None, approve_with: str | None
) -> PlanOutcome:
    """Return a planned change for an agent."""
    judgement = judged.said["verdict"]
    adds = [judgement[name] for name in ("increase", "at_any_moment")]
    most = ["not known" if one is None else usd(Decimal(one)) for one in adds]
    return PlanOutcome(
        verdict,
        record,
        [
            PlannedStep(one.name, one.type, one.operation, list(one.changed))
            for one in reported(judged.change).steps
            # Skip the engine's own resources; an agent's program cannot contain them.
            if not one.type.startswith("pulumi:")
        ],
        [in_words(one) for one in judged.change.permits],
        most[0],
        most[1],
        [] if verdict == "free" else list(dict.fromkeys(_reasons(judged))),
        approve_with,
    )


def _reasons(judged: Judged) -> Iterator[str]:
    """
    Yield why a change needs an approval or is refused. A text that may name other stacks is hidden from the agent.
    """
    for one in judged.said["verdict"]["findings"]:
        is_others = one["rule"] in _OF_OTHERS
        yield f"{one['rule']}: {'only a person may see the reason' if is_others else one['text']}"
    if judged.result != "refused":
        yield from judged.said["beyond"] or ()


def dollars(amount: str | None) -> str | None:
    return None if amount is None else usd(Decimal(amount))


def of_plans(template: str, monthly: MonthlyPrice) -> dict[str, str]:
    """Return the price of a template for each plan; for a template without plans, the plan is `-`."""
    plans = ["-"] if template == catalog.VPN_TEMPLATE else list(catalog.PLANS)
    prices = {plan: monthly(template, None if plan == "-" else plan, None) for plan in plans}
    return {plan: usd(price) for plan, price in prices.items() if price is not None}


def end_of(output: str) -> str:
    """
    Return the last part of the engine's output. It begins with the diagnostics, or else with the outputs or the counts.
    """
    for heading in ("Diagnostics:", "Outputs:", "Resources:"):
        _, found, rest = output.partition(f"\n{heading}\n")
        if found:
            return f"{heading}\n{rest}".strip()
    return output
