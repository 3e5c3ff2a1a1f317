"""The hard limit on the cost of a run."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["Budget"]


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
