"""Sums of money in US dollars: exact, or a range from a lowest to a highest sum if something is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FREE", "Change", "Price", "count", "signed", "total", "usd"]

_CENT: Final = Decimal("0.01")


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
