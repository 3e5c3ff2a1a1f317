"""The key's spending cap, once the API has told it: what cannot fit is not attempted again and again."""

from __future__ import annotations

import datetime
import threading
from decimal import Decimal

from stacks_pulumi import _cap_record
from stacks_pulumi._clock import Clock
from stacks_pulumi.errors import SpendingCapError

__all__ = ["SpendGuard"]


class SpendGuard:
    """
    What one operation learnt of the cap from a 402.

    It starts out knowing nothing and refuses nothing. A process lives for one operation of the engine, so what it
    knows never gets old.

    Args:
        clock: Time.
        fingerprint: The key's, under which a 402 is kept for `stacks-pulumi doctor`; kept nowhere if it is empty.
    """

    def __init__(self, clock: Clock, fingerprint: str = "") -> None:
        self._clock = clock
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        self._cap: Decimal | None = None
        self._left = Decimal(0)

    def admit(self, name: str, price: Decimal | None) -> None:
        """
        Let a create pass, or refuse it without asking the API.

        Args:
            name: The container's name, for the message.
            price: What it costs a month in US dollars, or `None` if that is unknown (which passes: the API knows).

        Raises:
            SpendingCapError: A 402 has told the cap, and the price does not fit under it.
        """
        with self._lock:
            if self._cap is None or price is None or price <= self._left:
                return
            cap, spent = self._cap, self._cap - self._left
        message = (
            self.explain(name, price, cap, spent)
            + " (known from an earlier answer; the API was not asked again)"
        )
        raise SpendingCapError(message, status=402, spending_cap=float(cap), amount_spent=float(spent))

    def learn(self, name: str, price: Decimal | None, error: SpendingCapError) -> SpendingCapError:
        """Remember what a 402 told, and return an error that says what it means for this container."""
        if error.spending_cap is None or error.amount_spent is None:
            return error
        cap, spent = Decimal(str(error.spending_cap)), Decimal(str(error.amount_spent))
        with self._lock:
            self._cap, self._left = cap, cap - spent
        if self._fingerprint:
            _cap_record.remember(
                self._fingerprint, error.spending_cap, error.amount_spent, self._clock.wall()
            )
        message = self.explain(name, price, cap, spent)
        return SpendingCapError(
            message, status=402, spending_cap=error.spending_cap, amount_spent=error.amount_spent
        )

    def created(self) -> None:
        """
        Forget the 402 that an earlier operation has kept: the API has accepted a create after it.

        A 402 of this operation stays: creates are sent together, and one that fits says nothing of one that does not.
        """
        with self._lock:
            learnt = self._cap is not None
        if self._fingerprint and not learnt:
            _cap_record.forget(self._fingerprint)

    def explain(self, name: str, price: Decimal | None, cap: Decimal, spent: Decimal) -> str:
        """Cap, spent, price, what is missing, when it resets, and what to do."""
        left = cap - spent
        if price is None:
            cost = f'what "{name}" costs is unknown'
        elif price > left:
            cost = f'"{name}" costs ${price:.2f} a month, ${price - left:.2f} more than is left'
        else:
            cost = f'"{name}" costs ${price:.2f} a month'
        return (
            f"402 spending cap: the key may spend ${cap:.2f} a month and ${spent:.2f} is spent; {cost}. "
            f"It resets on {self._next_month():%Y-%m-%d} (UTC). Raise the key's cap in the dashboard, or choose a "
            "cheaper plan"
        )

    def _next_month(self) -> datetime.date:
        today = datetime.datetime.fromtimestamp(self._clock.wall(), datetime.timezone.utc).date()
        return (today.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
