"""
What may a create cost, and which limits hold it?

All are asked inside the transaction that reserves it. A container counts if it is listed, and also while it may be
there: its request is under way, has an unknown outcome, or was done so lately that no list shows it yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import same_name
from stacks_pulumi.api.models import Container
from stacks_pulumi.broker.ledger import DAY, Use
from stacks_pulumi.broker.reply import RequestRefusedError, limited
from stacks_pulumi.pricing.money import MonthlyPrice, billed, usd
from stacks_pulumi.pricing.recognition import UNKNOWN

_LISTED: Final = 120.0
"""Seconds after which a list shows what was made."""

Chosen = Callable[[Container], bool]


def price_of(body: Mapping[str, Any], monthly: MonthlyPrice) -> Decimal | None:
    """Return what a create adds to the monthly price, before any discount; `None` if it is not known."""
    template, plan, tier = (body.get(name) for name in ("template", "plan", "additional_storage_tier"))
    if not isinstance(template, str) or not (plan is None or isinstance(plan, str)):
        return None
    if plan is None and template != catalog.VPN_TEMPLATE:
        plan = catalog.DEFAULT_PLAN
    if tier is not None and type(tier) is not int:
        return None
    return monthly(template, plan, tier)


def price_listed(row: Container, monthly: MonthlyPrice) -> Decimal | None:
    """Return the highest monthly price of a container that is listed; `None` if it is not known."""
    template = UNKNOWN if row.template is None else row.template
    plan = None if template == catalog.VPN_TEMPLATE else UNKNOWN if row.plan is None else row.plan
    return billed(template, plan, None, row.storage_mb, monthly)[0].high


@dataclass(frozen=True)
class Account:
    """
    What the account has and may have soon.

    Attributes:
        rows: The containers that are listed.
        uses: The creates of this broker that are under way, unknown or done.
        monthly: Says prices.
        now: The time, in seconds since the Unix epoch.
    """

    rows: Sequence[Container]
    uses: Sequence[Use]
    monthly: MonthlyPrice
    now: float

    def total(self, listed: Chosen, made: Callable[[Use], bool]) -> Decimal:
        """
        Return the monthly price of a part of the account.

        Args:
            listed: Whether a listed container is of the part.
            made: Whether a create is of the part.

        Raises:
            RequestRefusedError: A price is not known, so the total is not.
        """
        there = [row for row in self.rows if listed(row)]
        return sum((self._of_row(row) for row in there), Decimal(0)) + spent(
            use for use in self.uses if made(use) and self._is_hidden(use)
        )

    def _of_row(self, row: Container) -> Decimal:
        price = price_listed(row, self.monthly)
        if price is None:
            raise RequestRefusedError(
                403,
                f"the price of {row.id} is not known, so it is not known what the account costs",
                "raise no limit: let an approver look at it, or set live_prices in gate.yaml",
                kind="grant-limit",
            )
        return price

    def _is_hidden(self, use: Use) -> bool:
        """Whether a create counts although no list shows what it made."""
        age = self.now - use.at
        if use.state == "done":
            return age < _LISTED and not any(row.id == use.object for row in self.rows)
        is_listed = any(same_name(row.name, str(use.body.get("name"))) for row in self.rows)
        return use.state in {"sent", "unknown"} and age < DAY and not is_listed


def spent(uses: Iterable[Use]) -> Decimal:
    """Return what creates add to the monthly price."""
    return sum((Decimal(use.usd) for use in uses if use.usd is not None), Decimal(0))


def check(name: str, limit: Decimal | None, before: Callable[[], Decimal], added: Decimal) -> None:
    """
    Check one hard limit.

    Args:
        name: The limit, for the message.
        limit: The most; `None` for no limit.
        before: Returns what it is without the new container.
        added: The price of the new container.

    Raises:
        RequestRefusedError: It would be exceeded.
    """
    if limit is None:
        return
    total = before()
    if total + added > limit:
        raise limited(
            f"{name} is {usd(limit)} a month, and {usd(added)} more than {usd(total)} would exceed it",
            limit,
            total,
        )
