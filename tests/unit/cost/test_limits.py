from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest

from stacks_pulumi.cost.build import report_of
from stacks_pulumi.cost.report import Report
from stacks_pulumi.cost.result import CostLimit, Measure, judge
from tests.support.previews import UNKNOWN, preview, step, web


def priced(before: str | None, after: str | None) -> Report:
    op = "create" if before is None else "delete" if after is None else "update"
    old, new = (None if plan is None else web(plan) for plan in (before, after))
    return report_of(preview(step(op, "web", old, new)))


def passes(report: Report, measure: Measure, most: str) -> bool:
    [verdict] = judge(report, (CostLimit(measure, Decimal(most), block=True),))
    return verdict.passed


@pytest.mark.parametrize(
    ("before", "after", "measure", "at", "below"),
    [
        ("basic", "premium", "total", "10", "9.99"),
        ("basic", "premium", "increase", "6", "5.99"),
        ("basic", "premium", "increase-pct", "150", "149.9"),
        (None, "premium", "total", "10", "9.99"),
        (None, "premium", "increase", "10", "9.99"),
        (UNKNOWN, "premium", "increase", "9", "8.99"),
        (UNKNOWN, "premium", "increase-pct", "900", "899"),
    ],
)
def test_a_limit_holds_at_its_figure_and_not_below_unknown_at_its_worst(
    before: str | None, after: str, measure: Measure, at: str, below: str
) -> None:
    report = priced(before, after)

    assert passes(report, measure, at)
    assert not passes(report, measure, below)


@pytest.mark.parametrize("measure", get_args(Measure))
def test_a_saving_passes_every_limit_of_an_increase(measure: Measure) -> None:
    assert passes(priced("premium", None), measure, "0")


@pytest.mark.parametrize("plan", ["colossal", UNKNOWN])
@pytest.mark.parametrize("measure", get_args(Measure))
def test_no_upper_bound_passes_no_limit(measure: Measure, plan: str) -> None:
    [verdict] = judge(priced("basic", plan), (CostLimit(measure, Decimal(10_000), block=True),))

    assert not verdict.passed
    assert "no known upper bound" in verdict.text


@pytest.mark.parametrize(
    ("others", "passed"),
    [
        ((), False),
        ((CostLimit("increase-pct", Decimal(20), block=True),), False),
        ((CostLimit("total", Decimal(20), block=False),), False),
        ((CostLimit("total", Decimal(20), block=True),), True),
        ((CostLimit("increase", Decimal(20), block=True),), True),
    ],
)
def test_a_percentage_of_zero_passes_only_beside_a_limit_that_holds_for_a_new_stack(
    others: tuple[CostLimit, ...], passed: bool
) -> None:
    limit = CostLimit("increase-pct", Decimal(10), block=True)

    verdict, *_ = judge(priced(None, "premium"), (limit, *others))

    assert verdict.passed == passed
    assert "limit the total or the increase for a new stack" in verdict.text


@pytest.mark.parametrize("block", [True, False])
def test_a_warning_of_a_percentage_of_zero_is_silent_beside_a_limit_that_warns(*, block: bool) -> None:
    limits = CostLimit("increase-pct", Decimal(10), block=False), CostLimit("total", Decimal(20), block=block)

    assert judge(priced(None, "premium"), limits)[0].passed


def test_nothing_of_nothing_passes() -> None:
    [verdict] = judge(report_of(preview()), (CostLimit("increase-pct", Decimal(0), block=True),))

    assert verdict.passed


def test_a_verdict_says_figure_and_limit() -> None:
    limits = (
        CostLimit("total", Decimal(5), block=True),
        CostLimit("increase-pct", Decimal("12.5"), block=False),
    )

    assert [verdict.text for verdict in judge(priced("basic", "premium"), limits)] == [
        "the total is $10.00 at most, over the limit of $5.00",
        "the increase is +150.0 % at most, over the limit of 12.5 %",
    ]
