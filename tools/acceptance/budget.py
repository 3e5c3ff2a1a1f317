"""The hard limits of a run: its cost and its time."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

__all__ = ["Budget", "Deadline", "OutOfTimeError"]


class OutOfTimeError(Exception):
    """A wait of the run timed out, or the run has no time left."""


class Budget:
    """
    The largest cost of the run, in US dollars.

    Every container counts with its whole monthly price, although it is billed by the minute and deleted at the end: the
    limit holds even if it stays for a month, and even if a key's cap counts it so. A request that should be refused
    counts as well before it is sent, because the API may accept it.

    Args:
        limit: The limit.

    Attributes:
        limit: The limit.
        spent: The largest cost of the accepted requests.
    """

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit
        self.spent = Decimal(0)

    def take(self, price: Decimal) -> bool:
        """Reserve a price; return whether it fits."""
        if self.spent + price > self.limit:
            return False
        self.spent += price
        return True

    def give_back(self, price: Decimal) -> None:
        """Release a price that was reserved for a request that was refused."""
        self.spent -= price


class Deadline:
    """
    The time of a run, with a reserve that only the sweep may use.

    Args:
        seconds: The whole time.
        reserve: The part of it for the sweep.
        now: The clock.
    """

    def __init__(self, seconds: float, reserve: float, now: Callable[[], float]) -> None:
        self._now = now
        self._end = now() + seconds
        self._reserve = reserve

    @property
    def left(self) -> float:
        """The seconds that are left, without the reserve until it is released."""
        return self._end - self._reserve - self._now()

    def release(self) -> None:
        """Let the sweep use the reserve."""
        self._reserve = 0.0
