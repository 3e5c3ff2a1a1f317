"""
The price of a container, some of whose properties may be unknown.

For an unknown property all its possible values are tried, so the price ranges from the cheapest to the most expensive
container that fits. A value that is not in the catalogue has no upper bound: unknown never means free.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Final, TypeAlias

from stacks_pulumi import catalog
from stacks_pulumi.pricing.money import Price
from stacks_pulumi.pricing.values import UNKNOWN, Unknown

__all__ = ["MonthlyPrice", "describe", "price"]

MonthlyPrice: TypeAlias = Callable[[str, str | None, int | None], Decimal | None]
"""Returns the US dollars a month for template, plan and storage tier, or `None` if the price is unknown."""

_NAMES: Final = ("template", "plan", "additional storage")


def price(
    template: str | Unknown | None,
    plan: str | Unknown | None,
    tier: int | Unknown | None,
    monthly: MonthlyPrice = catalog.monthly_price,
) -> Price:
    """
    Return the monthly price of a container, before any discount code.

    Args:
        template: Template id. `None` counts as unknown, because every container has a template.
        plan: Plan name; `None` for the template's default.
        tier: Additional storage tier; `None` for none.
        monthly: Returns the prices: `catalog.monthly_price`, or live prices.
    """
    return _price(UNKNOWN if template is None else template, plan, tier, monthly)


# Cached, because most containers of a large stack are of a few kinds.
@lru_cache(maxsize=4096)
def _price(
    template: str | Unknown, plan: str | Unknown | None, tier: int | Unknown | None, monthly: MonthlyPrice
) -> Price:
    prices = [
        (monthly(a_template, a_plan, a_tier), monthly(a_template, a_plan, None))
        for a_template in _templates(template)
        for a_plan in _plans(a_template, plan)
        for a_tier in _tiers(a_template, a_plan, tier)
    ]
    unknown = [name for name, value in zip(_NAMES, (template, plan, tier), strict=True) if value is UNKNOWN]
    # If the tier is not in the catalogue, the price is at least that of the plan.
    low = min(whole if whole is not None else part or Decimal(0) for whole, part in prices)
    known = [whole for whole, _ in prices if whole is not None]
    if len(known) < len(prices):
        return Price(low, None, (*unknown, "price"))
    high = max(known)
    return Price(low, high, tuple(unknown) if low != high else ())


def _templates(template: str | Unknown) -> tuple[str, ...]:
    return tuple(catalog.TEMPLATES) if isinstance(template, Unknown) else (template,)


def _plans(template: str, plan: str | Unknown | None) -> tuple[str | None, ...]:
    if template == catalog.VPN_TEMPLATE:
        return (None,)
    return tuple(catalog.PLANS) if isinstance(plan, Unknown) else (plan,)


def _tiers(template: str, plan: str | None, tier: int | Unknown | None) -> tuple[int | None, ...]:
    if not isinstance(tier, Unknown):
        return (tier,)
    # The API rejects additional storage for both (guide, "Additional Storage"), so it cannot be charged.
    if catalog.is_micro(template, plan) or catalog.is_database(template):
        return (None,)
    return (None, *catalog.STORAGE_TIERS)


def describe(template: str | Unknown | None, plan: str | Unknown | None, tier: int | Unknown | None) -> str:
    """
    Describe template, plan and storage with words of the catalogue: `nodejs, basic, 64 GB more`.

    A value that is not in the catalogue is not shown, because it could be a secret.
    """
    words = [_word(template, catalog.TEMPLATES, "template")]
    if template != catalog.VPN_TEMPLATE:
        words.append("default plan" if plan is None else _word(plan, catalog.PLANS, "plan"))
    if isinstance(tier, Unknown):
        words.append("storage unknown")
    elif tier is not None:
        size = catalog.STORAGE_TIERS.get(tier)
        words.append("storage not in the catalogue" if size is None else f"{size.storage_mb // 1024} GB more")
    return ", ".join(words)


def _word(
    value: str | Unknown | None, known: dict[str, catalog.Plan] | dict[str, catalog.Template], kind: str
) -> str:
    if value is None or isinstance(value, Unknown):
        return f"{kind} unknown"
    return value if value in known else f"{kind} not in the catalogue"
