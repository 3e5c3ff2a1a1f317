"""
The reason for this package's rules: the same budget in the plain SDK accepts an unknown plan.

These tests document the SDK's behaviour. If one of them fails, the SDK has improved, and
`stacks_pulumi/policy/adapter.py` may become simpler.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pulumi_policy import EnforcementLevel, ReportViolation, StackValidationArgs, StackValidationPolicy

from stacks_pulumi.policy import CONTAINER, UNKNOWN
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


def test_one_unknown_plan_turns_a_plain_mandatory_budget_into_a_warning() -> None:
    outcome = STOCK.preview(*OVER)

    assert not outcome.blocked
    outcome.assert_warned_by(
        "budget", "can't run policy", "string value at .plan can't be known during preview"
    )


def test_a_plain_policy_reads_a_misspelt_setting_as_its_default() -> None:
    seen: list[Any] = []
    policy = StackValidationPolicy("spy", "Looks.", lambda args, _report: seen.append(args.get_config()))

    PackTester([policy], {"spy": {"max_montly": 5}}).preview().assert_passes()

    assert seen == [{"max_montly": 5}]
