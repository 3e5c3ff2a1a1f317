"""
What a container costs, and sums of money in US dollars: exact, or a range if something is unknown.

For an unknown property all its possible values are tried, so a price ranges from the cheapest to the most expensive
container that fits. A value that is not in the catalogue has no upper bound: unknown never means free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from stacks_pulumi import catalog
from stacks_pulumi.pricing.recognition import UNKNOWN, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable


_CENT: Final = Decimal("0.01")
_SAME_SIZE: Final = Decimal("1.05")
"""Up to this factor, a greater size is the same one in another unit (10 GB, 10 GiB)."""


def usd(amount: Decimal) -> str:
    """Format a sum as `$1,234.50` or `-$1.00`."""
    rounded = amount.quantize(_CENT, ROUND_HALF_UP)
    return f"{'-' if rounded < 0 else ''}${abs(rounded):,}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 container`, `2 containers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def signed(amount: Decimal) -> str:
    """Format a difference as `+$1.00`, `-$1.00` or `$0.00`."""
    return f"{'+' if amount.quantize(_CENT, ROUND_HALF_UP) > 0 else ''}{usd(amount)}"


@dataclass(frozen=True)
class Price:
    """
    A price for a whole month.

    Attributes:
        low: The lowest possible price in US dollars.
        high: The highest possible price; `None` if there is no known upper bound, which does not mean free.
        unknown: The unknown properties that prevent an exact price.
    """

    low: Decimal
    high: Decimal | None
    unknown: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the price is one exact sum."""
        return self.low == self.high

    def __add__(self, other: Price) -> Price:
        high = None if self.high is None or other.high is None else self.high + other.high
        return Price(self.low + other.low, high, tuple(dict.fromkeys(self.unknown + other.unknown)))

    def or_higher(self, other: Price) -> Price:
        """Return the price of something that costs this or another price: each bound is the higher one."""
        low = max(self.low, other.low)
        if self.high is None or other.high is None:
            return Price(low, None, self.unknown if self.high is None else other.unknown)
        high = max(self.high, other.high)
        return Price(low, high, () if low == high else tuple(dict.fromkeys(self.unknown + other.unknown)))

    def __str__(self) -> str:
        if self.high is None:
            return f"{usd(self.low)} or more"
        return usd(self.low) if self.exact else f"{usd(self.low)}\N{EN DASH}{usd(self.high)}"


FREE: Final = Price(Decimal(0), Decimal(0))
"""A price of zero, also that of a resource that does not exist."""


@dataclass(frozen=True)
class Change:
    """
    The difference of the monthly price after a change; it is negative if the price falls.

    Attributes:
        low: The lowest possible difference in US dollars; `None` if there is no lower bound.
        high: The highest possible difference; `None` if there is no upper bound.
    """

    low: Decimal | None
    high: Decimal | None

    @classmethod
    def between(cls, before: Price, after: Price) -> Change:
        """Return the difference of two prices."""
        low = None if before.high is None else after.low - before.high
        return cls(low, None if after.high is None else after.high - before.low)

    @property
    def none(self) -> bool:
        """Whether the price certainly does not change."""
        return self.low == 0 == self.high

    def __add__(self, other: Change) -> Change:
        low = None if self.low is None or other.low is None else self.low + other.low
        return Change(low, None if self.high is None or other.high is None else self.high + other.high)

    def __str__(self) -> str:
        if self.low is None:
            return "unknown" if self.high is None else f"at most {signed(self.high)}"
        if self.high is None:
            return f"{signed(self.low)} or more"
        return signed(self.low) if self.low == self.high else f"{signed(self.low)} to {signed(self.high)}"


def total(prices: Iterable[Price]) -> Price:
    """Return the sum of prices."""
    result = FREE
    for price in prices:
        result += price
    return result


MonthlyPrice: TypeAlias = Callable[[str, str | None, int | None], Decimal | None]
"""Returns the US dollars a month for template, plan and storage tier, or `None` if the price is unknown."""

_NAMES: Final = ("template", "plan", "additional storage")


def price(
    template: str | Unknown | None,
    plan: str | Unknown | None,
    tier: int | Unknown | None,
    monthly: MonthlyPrice = catalog.monthly_price,
    *,
    sized: bool = False,
) -> Price:
    """
    Return the monthly price of a container, before any discount code.

    Args:
        template: Template id. `None` counts as unknown, because every container has a template.
        plan: Plan name; `None` for the template's default.
        tier: Additional storage tier; `None` for none.
        monthly: Returns the prices: `catalog.monthly_price`, or live prices.
        sized: Whether its size shows additional storage, also if its template takes none.
    """
    if template is None and plan is None:
        # Its properties are missing, so that no default can be counted.
        plan, tier = UNKNOWN, UNKNOWN if tier is None else tier
    return _price(UNKNOWN if template is None else template, plan, tier, monthly, sized)


# Cached, because most containers of a large stack are of a few kinds.
@lru_cache(maxsize=4096)
def _price(
    template: str | Unknown,
    plan: str | Unknown | None,
    tier: int | Unknown | None,
    monthly: MonthlyPrice,
    sized: bool,
) -> Price:
    prices = [
        (monthly(a_template, a_plan, a_tier), monthly(a_template, a_plan, None))
        for a_template in _templates(template)
        for a_plan in _plans(a_template, plan)
        for a_tier in _tiers(a_template, a_plan, tier, sized=sized)
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


def _tiers(
    template: str, plan: str | None, tier: int | Unknown | None, *, sized: bool
) -> tuple[int | None, ...]:
    if not isinstance(tier, Unknown):
        return (tier,)
    # The API rejects additional storage for both (guide, "Additional Storage"), so it cannot be charged.
    if not sized and (catalog.is_micro(template, plan) or catalog.is_database(template)):
        return (None,)
    return (None, *catalog.STORAGE_TIERS)


def storage_tier(
    template: str | Unknown | None,
    plan: str | Unknown | None,
    tier: int | Unknown | None,
    storage_mb: int | Unknown | None,
) -> int | Unknown | None:
    """
    Return the storage tier that counts: the higher of the declared one and that which the container's size shows.

    Args:
        template: Its template.
        plan: Its plan.
        tier: The declared tier; `None` for none.
        storage_mb: All its storage in MB, as the state says; `None` if it does not.
    """
    if isinstance(tier, Unknown) or not isinstance(storage_mb, int):
        return tier
    if template == catalog.VPN_TEMPLATE:
        size: catalog.Plan | None = catalog.VPN_PLAN
    elif isinstance(plan, Unknown):
        largest = max(size.storage_mb for size in catalog.PLANS.values())
        return tier if storage_mb <= largest * _SAME_SIZE else UNKNOWN
    else:
        size = catalog.PLANS.get(_plan(template, plan) or "")
    if size is None or storage_mb <= size.storage_mb * _SAME_SIZE:
        return tier
    shown = catalog.added_tier(size, storage_mb)
    declared = catalog.STORAGE_TIERS.get(tier or 0)
    if shown is None and declared and storage_mb <= (size.storage_mb + declared.storage_mb) * _SAME_SIZE:
        return tier
    return UNKNOWN if shown is None else max(shown, tier or 0)


def billed(
    template: str | Unknown | None,
    plan: str | Unknown | None,
    tier: int | Unknown | None,
    storage_mb: int | Unknown | None,
    monthly: MonthlyPrice = catalog.monthly_price,
) -> tuple[Price, int | Unknown | None]:
    """Return the price of a container whose size may be known, and the storage tier that counts (`storage_tier`)."""
    counts = storage_tier(template, plan, tier, storage_mb)
    sized = isinstance(counts, Unknown) and not isinstance(tier, Unknown)
    return price(template, plan, counts, monthly, sized=sized), counts


def higher_plan(
    template: str | Unknown | None, declared: str | Unknown | None, shown: str | Unknown | None
) -> str | Unknown | None:
    """Return the plan that counts: the more expensive of the declared one and that which the state shows."""
    if isinstance(declared, Unknown) or not isinstance(shown, str):
        return declared
    one, other = catalog.PLANS.get(_plan(template, declared) or ""), catalog.PLANS.get(shown)
    # A word that is not in the catalogue is the platform's own for the declared plan.
    return shown if one and other and other.usd > one.usd else declared


def _plan(template: str | Unknown | None, plan: str | None) -> str | None:
    return plan or (catalog.default_plan(template) if isinstance(template, str) else None)


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
