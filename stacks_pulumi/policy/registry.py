"""All rules, and the names of the rules in each pack."""

from __future__ import annotations

from typing import Final

from stacks_pulumi.policy.rule import Rule
from stacks_pulumi.policy.rules import cost_report, exposure, known_resources, plans, spend, spending_cap

__all__ = ["EXPOSURE", "PLANS", "SPEND", "rules"]

PLANS: Final = (
    "allowed-plans",
    "allowed-templates",
    "allowed-storage",
    "resource-price-cap",
    "max-resources",
    "naming",
    "clamp-plan",
    known_resources.KNOWN_RESOURCES,
)
"""Which containers are allowed, and how many."""

SPEND: Final = (
    "monthly-budget",
    "budget-warning",
    "spend-gate",
    "cost-report",
    "account-headroom",
    known_resources.KNOWN_RESOURCES,
)
"""What the stack may cost."""

EXPOSURE: Final = (
    "open-allowed-ip",
    "protect-paid",
    "protect-data",
    "backup-required",
    "no-public-database",
    "no-unmanaged-access",
    known_resources.KNOWN_RESOURCES,
)
"""Who may connect, and which containers must be protected."""


def rules(account_reader: spending_cap.Account | None = None) -> dict[str, Rule]:
    """
    Return every rule by name. The rules are new objects, because `spend-gate` keeps a running total.

    Args:
        account_reader: Lists the account's containers, for `account-headroom`; `None` for no requests to the API.
    """
    everything: tuple[Rule, ...] = (
        *plans.RULES,
        *spend.rules(),
        *exposure.RULES,
        *cost_report.RULES,
        *spending_cap.rules(account_reader),
        *known_resources.RULES,
    )
    return {rule.name: rule for rule in everything}
