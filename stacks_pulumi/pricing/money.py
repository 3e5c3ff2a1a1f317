"""
Prices of containers, and sums of money in US dollars. If a value is unknown, a price is not exact, but has a lower
bound.

The price for an unknown value, or for a value that is not in the catalogue, has no upper bound. An unknown value is
never treated as free, or as cheaper than a known value. The lower bound is the price of the cheapest container that
fits the known values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import nearest
from stacks_pulumi.pricing.recognition import UNKNOWN, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_CENT: Final = Decimal("0.01")
_SAME_SIZE: Final = Decimal("1.05")
"""A size that is larger by at most this factor is treated as the same size in a different unit (10 GB, 10 GiB)."""
_OTHER_UNIT: Final = 10
"""A size that is smaller by more than this factor is treated as GB instead of MB."""
_MOST_STORAGE: Final = max(tier.storage_mb for tier in catalog.STORAGE_TIERS.values())


# `_MOST` is far higher than any useful limit. A number such as `1E-99999999` has too many digits for calculations.
_MOST: Final = Decimal(1_000_000_000)
_LONGEST: Final = 40


def usd(amount: Decimal) -> str:
    """Format a sum as `$1,234.50` or `-$1.00`."""
    rounded = amount.quantize(_CENT, ROUND_HALF_UP)
    return f"{'-' if rounded < 0 else ''}${abs(rounded):,}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 container`, `2 containers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: Sequence[str], most: int) -> str:
    """Return the first `most` names, and the number of the others: `a, b and 3 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def signed(amount: Decimal) -> str:
    """Format a difference as `+$1.00`, `-$1.00` or `$0.00`."""
    return f"{'+' if amount.quantize(_CENT, ROUND_HALF_UP) > 0 else ''}{usd(amount)}"


def number(text: str, *, is_share: bool = False) -> Decimal:
    """
    Return a limit or a price as a number. The text may contain the sign of its unit: `$` or `%`.

    Raises:
        ValueError: The text is not a number, is out of range, or has the sign of a different unit.
    """
    if text.startswith("$") if is_share else text.endswith("%"):
        unit, other = ("percent", "increase") if is_share else ("US dollars", "increase-pct")
        raise ValueError(f"{text!r} is not in {unit}, the unit of this limit: use the limit {other}")
    try:
        parsed = Decimal(text.removesuffix("%") if is_share else text.removeprefix("$"))
    except InvalidOperation:
        parsed = Decimal("NaN")
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    if not parsed.is_finite() or not 0 <= parsed <= _MOST:
        raise ValueError(f"{shown!r} is not a number from 0 to {_MOST:,}")
    if parsed.as_tuple().exponent < -_LONGEST:  # type: ignore[operator] # a finite number has an exponent
        raise ValueError(f"{shown!r} has too many decimals")
    return parsed


@dataclass(frozen=True)
class Price:
    """
    A price for a full month.

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
        return self.low == self.high

    def __add__(self, other: Price) -> Price:
        high = None if self.high is None or other.high is None else self.high + other.high
        return Price(self.low + other.low, high, tuple(dict.fromkeys(self.unknown + other.unknown)))

    def or_higher(self, other: Price) -> Price:
        """Return this price combined with another: each bound is the higher one of the two."""
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
"""A price of zero, for example of a resource that does not exist."""


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
            return f"{signed(self.low)} {'or more' if self.low >= 0 else 'to an unknown sum'}"
        return signed(self.low) if self.low == self.high else f"{signed(self.low)} to {signed(self.high)}"


def total(prices: Iterable[Price]) -> Price:
    result = FREE
    for price in prices:
        result += price
    return result


MonthlyPrice: TypeAlias = Callable[[str, str | None, int | None], Decimal | None]
"""
A function that returns the monthly price for a template, plan and storage tier, or `None` if the price is unknown.
"""

Added: TypeAlias = Literal["none", "tier", "any"]
"""The storage that a container may have in addition to the declared storage: none, up to the highest tier, or any."""

_NAMES: Final = ("template", "plan", "additional storage")


def price(
    template: str | Unknown | None,
    plan: str | Unknown | None,
    tier: int | Unknown | None,
    monthly: MonthlyPrice = catalog.monthly_price,
    *,
    added: Added = "none",
) -> Price:
    """
    Return the monthly price of a container, before any discount code.

    Args:
        template: Template id. `None` is treated as unknown, because every container has a template.
        plan: Plan name; `None` for the template's default.
        tier: Additional storage tier; `None` for none.
        monthly: Returns the prices: `catalog.monthly_price`, or live prices.
        added: The storage that may be added to the declared storage, even if the template does not allow additional
            storage.
    """
    if template is None and plan is None:
        # The properties are missing, so no default can be assumed.
        plan, tier = UNKNOWN, UNKNOWN if tier is None else tier
    return _price(UNKNOWN if template is None else template, plan, tier, monthly, added)


# The result is cached, because most containers of a large stack are of a few kinds.
@lru_cache(maxsize=4096)
def _price(
    template: str | Unknown,
    plan: str | Unknown | None,
    tier: int | Unknown | None,
    monthly: MonthlyPrice,
    added: Added,
) -> Price:
    possible = [
        (a_template, a_plan, a_tier)
        for a_template in _templates(template)
        for a_plan in _plans(a_template, plan)
        for a_tier in _tiers(a_template, a_plan, tier, sized=added != "none")
    ]
    prices = [(monthly(*one), monthly(*one[:2], None)) for one in possible]
    # A value without an effect on the price is not needed: the plan of a VPN, the additional storage of a database.
    unknown = tuple(
        name
        for name, value, tried in zip(
            _NAMES, (template, plan, tier), zip(*possible, strict=True), strict=True
        )
        if value is UNKNOWN and len({*tried}) > 1
    )
    # If the tier is not in the catalogue, the price is at least the plan's price.
    low = min(whole if whole is not None else part or Decimal(0) for whole, part in prices)
    known = [whole for whole, _ in prices if whole is not None]
    if len(known) < len(prices):
        return Price(low, None, (*unknown, "price"))
    return Price(low, max(known) if added == "tier" or not unknown else None, unknown)


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
    # For micro containers and databases, the API rejects additional storage, so it cannot be charged (guide,
    # "Additional Storage").
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
    Return the storage tier that determines the price: the higher of the declared tier and the tier that follows from
    the container's size.
    """
    if isinstance(tier, Unknown) or storage_mb is None:
        return tier
    if isinstance(storage_mb, Unknown):
        return UNKNOWN
    size = _size(template, plan)
    if isinstance(plan, Unknown) and size is None:
        size = max(catalog.PLANS.values(), key=lambda plan: plan.storage_mb)
        return tier if storage_mb <= size.storage_mb * _SAME_SIZE else UNKNOWN
    if size is None or storage_mb <= size.storage_mb * _SAME_SIZE:
        return tier
    shown = catalog.added_tier(size, storage_mb)
    declared = catalog.STORAGE_TIERS.get(tier or 0)
    if shown is None and declared and storage_mb <= (size.storage_mb + declared.storage_mb) * _SAME_SIZE:
        return tier
    return UNKNOWN if shown is None else max(shown, tier or 0)


def listed_tier(
    template: str | Unknown | None, plan: str | Unknown | None, storage_mb: int | None
) -> Unknown | None:
    """
    Return the storage tier to assume for a container whose tier is not declared: `None`, which means no tier.

    The result is `UNKNOWN` if the container's size is unknown, or is so much smaller than the plan's size that it may
    be in a different unit.
    """
    size = _size(template, plan)
    is_told = size is not None and storage_mb is not None and size.storage_mb <= storage_mb * _OTHER_UNIT
    return None if is_told else UNKNOWN


def billed(
    template: str | Unknown | None,
    plan: str | Unknown | None,
    tier: int | Unknown | None,
    storage_mb: int | Unknown | None,
    monthly: MonthlyPrice = catalog.monthly_price,
) -> tuple[Price, int | Unknown | None]:
    """
    Return the price of a container, and the storage tier that determines the price (`storage_tier`). The size of the
    container may be unknown.
    """
    counts, size = storage_tier(template, plan, tier, storage_mb), _size(template, plan)
    added: Added = "any" if isinstance(counts, Unknown) and not isinstance(tier, Unknown) else "none"
    if added == "any" and isinstance(storage_mb, int) and size is not None:
        added = "tier" if storage_mb <= (size.storage_mb + _MOST_STORAGE) * _SAME_SIZE else "any"
    cost = price(template, plan, counts, monthly, added=added)
    # If the API accepts no additional storage, an unknown tier means no additional storage.
    return cost, None if isinstance(counts, Unknown) and cost.exact else counts


def _size(template: str | Unknown | None, plan: str | Unknown | None) -> catalog.Plan | None:
    """Return the size that a container has without additional storage; `None` if it is not known."""
    if template == catalog.VPN_TEMPLATE:
        return catalog.VPN_PLAN
    return None if isinstance(plan, Unknown) else catalog.PLANS.get(_plan(template, plan) or "")


def shown_plan(
    template: str | Unknown | None,
    declared: str | Unknown | None,
    shown: str | Unknown | None,
    storage_mb: int | Unknown | None,
) -> str | Unknown | None:
    """
    Return the plan that determines the price: the more expensive of the declared plan and the plan in the state.

    A word that is not in the catalogue may be the platform's own word for the declared plan, or a new plan. It is
    treated as the declared plan if the container has that plan's storage.
    """
    if shown is None or isinstance(declared, Unknown) or template == catalog.VPN_TEMPLATE:
        return declared
    one, other = _size(template, declared), _size(template, shown)
    if one is None or isinstance(shown, Unknown):
        return shown if one else declared
    if other is None:
        return declared if isinstance(storage_mb, int) and _fits(one, storage_mb) else shown
    return shown if other.usd > one.usd else declared


def _fits(size: catalog.Plan, storage_mb: int) -> bool:
    """Return whether a container of this plan can have this storage, with or without additional storage."""
    added = (0, *(tier.storage_mb for tier in catalog.STORAGE_TIERS.values()))
    wholes = (size.storage_mb + more for more in added)
    return any(storage_mb <= whole * _SAME_SIZE and whole <= storage_mb * _SAME_SIZE for whole in wholes)


def _plan(template: str | Unknown | None, plan: str | None) -> str | None:
    return plan or (catalog.default_plan(template) if isinstance(template, str) else None)


def describe(template: str | Unknown | None, plan: str | Unknown | None, tier: int | Unknown | None) -> str:
    """
    Return the template, plan and storage in words of the catalogue: `nodejs, basic, 64 GB more`.

    A value that is not in the catalogue is not shown, because it could be a secret. A similar word of the catalogue
    is shown instead.
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
    if value in known:
        return value
    meant = nearest(value, known)
    return f"{kind} not in the catalogue{f' (did you mean {meant}?)' if meant else ''}"
