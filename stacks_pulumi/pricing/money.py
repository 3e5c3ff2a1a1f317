"""Sums of money: exact, in US dollars, and from a lowest to a highest where something is not known."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FREE", "Change", "Price", "count", "signed", "total", "usd"]

_CENT: Final = Decimal("0.01")


def usd(amount: Decimal) -> str:
    """`$1,234.50`, or `-$1.00`."""
    rounded = amount.quantize(_CENT, ROUND_HALF_UP)
    return f"{'-' if rounded < 0 else ''}${abs(rounded):,}"


def count(number: int, noun: str) -> str:
    """`1 container`, `2 containers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def signed(amount: Decimal) -> str:
    """`+$1.00`, `-$1.00` or `$0.00`."""
    return f"{'+' if amount.quantize(_CENT, ROUND_HALF_UP) > 0 else ''}{usd(amount)}"


@dataclass(frozen=True)
class Price:
    """
    What something costs in a whole month.

    Attributes:
        low: The least it can be, in US dollars.
        high: The most it can be; `None` if no upper bound is known, which is not the same as free.
        unknown: The properties that would have to be known for an exact price.
    """

    low: Decimal
    high: Decimal | None
    unknown: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether there is one figure only."""
        return self.low == self.high

    def __add__(self, other: Price) -> Price:
        high = None if self.high is None or other.high is None else self.high + other.high
        return Price(self.low + other.low, high, tuple(dict.fromkeys(self.unknown + other.unknown)))

    def __str__(self) -> str:
        if self.high is None:
            return f"{usd(self.low)} or more"
        return usd(self.low) if self.exact else f"{usd(self.low)}\N{EN DASH}{usd(self.high)}"


FREE: Final = Price(Decimal(0), Decimal(0))
"""Nothing; also what something costs that is not there."""


@dataclass(frozen=True)
class Change:
    """
    What a month costs more (or less, if negative) after than before.

    Attributes:
        low: The least it can be, in US dollars; `None` if there is no lower bound.
        high: The most it can be; `None` if there is no upper bound.
    """

    low: Decimal | None
    high: Decimal | None

    @classmethod
    def between(cls, before: Price, after: Price) -> Change:
        """The difference of two prices."""
        low = None if before.high is None else after.low - before.high
        return cls(low, None if after.high is None else after.high - before.low)

    @property
    def none(self) -> bool:
        """Whether it is certain that nothing changes."""
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
    """The sum of prices."""
    result = FREE
    for price in prices:
        result += price
    return result
