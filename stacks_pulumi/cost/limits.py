"""Limits on the cost of a change: each one warns or blocks. An unknown value counts as the worst case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from stacks_pulumi.cost.report import Report
from stacks_pulumi.pricing.money import signed, usd

__all__ = ["CostLimit", "LimitVerdict", "Measure", "judge"]

Measure: TypeAlias = Literal["total", "increase", "increase-pct"]


@dataclass(frozen=True)
class CostLimit:
    """
    A limit.

    Attributes:
        measure: What is measured: the planned total, the increase, or the increase in percent of the current cost.
        most: The highest allowed value, in US dollars a month or in percent.
        block: Whether exceeding it blocks; otherwise it warns.
    """

    measure: Measure
    most: Decimal
    block: bool


@dataclass(frozen=True)
class LimitVerdict:
    """
    A limit, and whether a report is within it.

    Attributes:
        limit: The limit.
        passed: Whether the report is within it.
        text: The limit and the result as a sentence.
    """

    limit: CostLimit
    passed: bool
    text: str


def judge(report: Report, limits: tuple[CostLimit, ...]) -> tuple[LimitVerdict, ...]:
    """Return the verdict of each limit on a report."""
    return tuple(_judge(report, limit) for limit in limits)


def _judge(report: Report, limit: CostLimit) -> LimitVerdict:
    if limit.measure == "total":
        return _verdict(limit, report.planned.high, "the total", usd)
    increase = report.difference.high
    if limit.measure == "increase":
        return _verdict(limit, increase, "the increase", signed)
    before = report.past.low
    if before > 0:
        share = None if increase is None else increase * 100 / before
        return _verdict(limit, share, "the increase", lambda percent: f"{percent:+.1f} %")
    # If nothing is paid now, there is no percentage: a new stack has to be limited by one of the other two.
    if increase is None:
        return _verdict(limit, None, "the increase", signed)
    if increase <= 0:
        return LimitVerdict(limit, passed=True, text="nothing is paid now, and nothing after the change")
    text = "nothing is paid now, so an increase has no percentage: limit the total or the increase for a new stack"
    return LimitVerdict(limit, passed=True, text=text)


def _verdict(
    limit: CostLimit, worst: Decimal | None, what: str, show: Callable[[Decimal], str]
) -> LimitVerdict:
    most = f"{limit.most:f} %" if limit.measure == "increase-pct" else usd(limit.most)
    if worst is None:
        return LimitVerdict(limit, passed=False, text=f"{what} has no known upper bound, the limit is {most}")
    passed = worst <= limit.most
    return LimitVerdict(
        limit,
        passed,
        f"{what} is {show(worst)} at most, {'within' if passed else 'over'} the limit of {most}",
    )
