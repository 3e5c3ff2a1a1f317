"""
The rest of the month, and prices for it.

STACKS bills by the minute, up to the monthly price (guide, "Container Plans"). The guide does not give the price of a
minute. Here it is the monthly price divided by the minutes of the month, so the result is an estimate.
"""

from __future__ import annotations

import calendar
import datetime
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from stacks_pulumi.pricing.money import Change, Price

__all__ = ["Rest", "rest_of_month"]


@dataclass(frozen=True)
class Rest:
    """
    The rest of a calendar month, in UTC.

    Attributes:
        minutes: Minutes that are left.
        of: Minutes of the whole month.
    """

    minutes: int
    of: int

    def share(self, amount: Decimal) -> Decimal:
        """Return the part of a monthly sum for the rest of the month, rounded up to the next cent."""
        return (amount * self.minutes / self.of).quantize(Decimal("0.01"), ROUND_UP)

    def price(self, price: Price) -> Price:
        """Return the part of a price for the rest of the month."""
        return Price(self.share(price.low), None if price.high is None else self.share(price.high))

    def change(self, change: Change) -> Change:
        """Return the part of a change for the rest of the month."""
        low, high = change.low, change.high
        return Change(None if low is None else self.share(low), None if high is None else self.share(high))

    def __str__(self) -> str:
        days, minutes = divmod(self.minutes, 24 * 60)
        return f"{days} days {minutes // 60} hours of {self.of // (24 * 60)} days"


def rest_of_month(now: datetime.datetime) -> Rest:
    """
    Return the rest of the month.

    Args:
        now: The time, with a time zone.
    """
    now = now.astimezone(datetime.timezone.utc)
    days = calendar.monthrange(now.year, now.month)[1]
    gone = (now.day - 1) * 24 * 60 + now.hour * 60 + now.minute
    return Rest(days * 24 * 60 - gone, days * 24 * 60)
