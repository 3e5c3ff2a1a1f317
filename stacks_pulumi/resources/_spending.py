"""The key's spending cap, known after a 402: creates that would exceed it are then refused without a request."""

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
    The cap and the spending that a 402 has reported in this operation.

    Before the first 402, it refuses nothing. A process lives for one operation of the engine, so the values do not
    become stale.

    Args:
        clock: The clock for the date of the next month.
        fingerprint: The key's fingerprint, under which a 402 is stored for `stacks-pulumi doctor`. If it is empty,
            nothing is stored.
    """

    def __init__(self, clock: Clock, fingerprint: str = "") -> None:
        self._clock = clock
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        self._cap: Decimal | None = None
        self._left = Decimal(0)

    def admit(self, name: str, price: Decimal | None) -> None:
        """
        Allow a create, or refuse it without a request to the API.

        Args:
            name: The container's name, for the message.
            price: Its monthly price in US dollars. `None` if it is unknown; then the create is allowed and the API
                decides.

        Raises:
            SpendingCapError: A 402 has reported the cap, and the price would exceed it.
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
        """Store the values of a 402, and return an error that explains them for this container."""
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
        Remove the stored 402 of an earlier operation: the API has accepted a create after it.

        A 402 of this operation is kept: creates run concurrently, and a cheap one may be accepted after an expensive
        one was refused.
        """
        with self._lock:
            learnt = self._cap is not None
        if self._fingerprint and not learnt:
            _cap_record.forget(self._fingerprint)

    def explain(self, name: str, price: Decimal | None, cap: Decimal, spent: Decimal) -> str:
        """Return the message: cap, spending, price, the missing amount, the date of the reset, and what to do."""
        left = cap - spent
        if price is None:
            cost = "its price is unknown"
        elif price > left:
            cost = f"it costs ${price:.2f} a month, ${price - left:.2f} more than is left"
        else:
            cost = f"it costs ${price:.2f} a month"
        return (
            f'create container "{name}": 402 spending cap: the key may spend ${cap:.2f} a month and ${spent:.2f} is '
            f"spent; {cost}. The cap resets on {self._next_month():%Y-%m-%d} (UTC). Raise it in the dashboard, or "
            "choose a cheaper plan"
        )

    def _next_month(self) -> datetime.date:
        today = datetime.datetime.fromtimestamp(self._clock.wall(), datetime.timezone.utc).date()
        return (today.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
