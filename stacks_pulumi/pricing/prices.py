"""
The price of a container whose properties may not all be known.

What is not known is tried at everything that it can be, so the result runs from the cheapest to the dearest
container that still fits. What the catalogue does not know has no upper bound: unknown is never free.
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
"""Template, plan and storage tier to US dollars a month, or `None`: `catalog.monthly_price`, or live prices."""

_NAMES: Final = ("template", "plan", "additional storage")


def price(
    template: str | Unknown | None,
    plan: str | Unknown | None,
    tier: int | Unknown | None,
    monthly: MonthlyPrice = catalog.monthly_price,
) -> Price:
    """
    What a container costs in a month, before any discount code.

    Args:
        template: Template id. Absent is taken as unknown: every container has one.
        plan: Plan name; `None` for the template's default.
        tier: Additional storage tier; `None` for none.
        monthly: Where prices come from.
    """
    return _price(UNKNOWN if template is None else template, plan, tier, monthly)


# Most containers of a large stack are of a few kinds.
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
    # A tier that nobody knows comes on top of a plan that has a price.
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
    # The API takes additional storage for neither (guide, "Additional Storage"), so it cannot be charged.
    if catalog.is_micro(template, plan) or catalog.is_database(template):
        return (None,)
    return (None, *catalog.STORAGE_TIERS)


def describe(template: str | Unknown | None, plan: str | Unknown | None, tier: int | Unknown | None) -> str:
    """
    Template, plan and storage in words of the catalogue: `nodejs, basic, 64 GB more`.

    A word that the catalogue does not know is not repeated: it could be anything, a secret too.
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
