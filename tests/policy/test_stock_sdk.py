"""
The reason for this package's rules: the same budget in the plain SDK accepts an unknown plan.

These tests document the SDK's behaviour. If one of them fails, the SDK has improved, and
`stacks_pulumi/policy/adapter.py` may become simpler.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pulumi_policy import EnforcementLevel, ReportViolation, StackValidationArgs, StackValidationPolicy

from stacks_pulumi.policy import CONTAINER, UNKNOWN, StacksGuard
from stacks_pulumi.policy.testing import PackTester, container

PRICES = {"micro": Decimal(1), "basic": Decimal(4), "standard": Decimal(5), "premium": Decimal(10)}
OVER = (container("a", plan="premium"), container("b", plan="premium"), container("c", plan=UNKNOWN))


def budget(args: StackValidationArgs, report: ReportViolation) -> None:
    """A policy in the style of Pulumi's documentation."""
    total = sum(
        PRICES[resource.props["plan"]] for resource in args.resources if resource.resource_type == CONTAINER
    )
    if total > 15:
        report(f"${total} a month is more than $15", None)


STOCK = PackTester([StackValidationPolicy("budget", "At most $15.", budget, EnforcementLevel.MANDATORY)])


def test_a_plain_budget_works_if_every_value_is_known() -> None:
    STOCK.preview(*OVER[:2]).assert_blocked_by("budget", "$20 a month")


def test_one_unknown_plan_turns_a_plain_mandatory_budget_into_a_warning() -> None:
    outcome = STOCK.preview(*OVER)

    assert not outcome.blocked
    outcome.assert_warned_by(
        "budget", "can't run policy", "string value at .plan can't be known during preview"
    )


def test_ours_blocks_the_same_stack() -> None:
    PackTester(StacksGuard(max_monthly_usd=15)).preview(*OVER).assert_blocked_by(
        "monthly-budget", "an unknown sum, at least $21.00"
    )


def test_a_plain_policy_reads_a_misspelt_setting_as_its_default() -> None:
    seen: list[Any] = []
    policy = StackValidationPolicy("spy", "Looks.", lambda args, _report: seen.append(args.get_config()))

    PackTester([policy], {"spy": {"max_montly": 5}}).preview().assert_passes()

    assert seen == [{"max_montly": 5}]
