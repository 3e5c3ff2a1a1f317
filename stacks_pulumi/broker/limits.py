"""
What may a create cost, and which limits hold it?

All are asked inside the transaction that reserves it. A container counts if it is listed, and also while it may be
there: its request is under way, has an unknown outcome, or was done so lately that no list shows it yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import compare_instants, same_name
from stacks_pulumi.api.models import Container
from stacks_pulumi.broker.change import Known
from stacks_pulumi.broker.ledger import DAY, Grant, Ledger, Use
from stacks_pulumi.broker.settings import GateFile, Policy
from stacks_pulumi.pricing.money import MonthlyPrice, Price, billed, usd
from stacks_pulumi.pricing.recognition import UNKNOWN

_LISTED: Final = 120.0
"""Seconds after which a list shows what was made."""


@dataclass(frozen=True)
class Budget:
    """A limit on the total of some stacks (`budgets.yaml`)."""

    name: str
    max_total: Decimal
    chooses: Callable[[str], bool]


class Limit(NamedTuple):
    """
    A limit on a monthly price.

    Attributes:
        name: Its name.
        most: The highest price.
        before: The price now; `None` if it is not known.
        is_told: Whether who asks may know the price now.
    """

    name: str
    most: Decimal
    before: Decimal | None
    is_told: bool = True


class Bill(NamedTuple):
    """
    A container that bills, or may bill soon.

    Attributes:
        id: Its id; empty while no list shows it.
        stack: Its owner; empty for none.
        policy: The policy under which it was made; empty for none.
        price: Its highest monthly price; `None` if it is not known.
    """

    id: str
    stack: str
    policy: str
    price: Decimal | None


def policy_of(grant: Grant, settings: GateFile) -> Policy | None:
    """Return the policy of a budget, as it is now; `None` for another grant. One that is gone allows nothing."""
    return settings.policies.get(grant.policy, Policy(only="own")) if grant.kind == "budget" else None


def price_of(body: Mapping[str, Any], monthly: MonthlyPrice) -> Decimal | None:
    """Return what a create adds to the monthly price, before any discount; `None` if it is not known."""
    template, plan, tier = (body.get(name) for name in ("template", "plan", "additional_storage_tier"))
    if not isinstance(template, str) or not (plan is None or isinstance(plan, str)):
        return None
    if template == catalog.VPN_TEMPLATE and plan is not None:
        # The guide has no plan for it, so a platform that takes one may bill that.
        return None
    if not plan and template != catalog.VPN_TEMPLATE:
        plan = catalog.DEFAULT_PLAN
    if tier is not None and type(tier) is not int:
        return None
    return monthly(template, plan, tier)


def listed_price(row: Container, monthly: MonthlyPrice) -> Price:
    """Return the monthly price of a container that is listed."""
    template = UNKNOWN if row.template is None else row.template
    plan = None if template == catalog.VPN_TEMPLATE else UNKNOWN if row.plan is None else row.plan
    return billed(template, plan, None, row.storage_mb, monthly)[0]


def price_listed(row: Container, monthly: MonthlyPrice) -> Decimal | None:
    """Return the highest of it; `None` if that is not known."""
    return listed_price(row, monthly).high


def bills(ledger: Ledger, rows: Sequence[Container], monthly: MonthlyPrice) -> list[Bill]:
    """Return what the account has by a list, and what it may have in addition."""
    made: dict[str | None, list[Use]] = {}
    for one in ledger.made("Container"):
        made.setdefault(one.object, []).append(one)
    now, found = ledger.now(), list[Bill]()
    # One that is under way counts whatever the clock says: the machine may have slept.
    hidden = {one.id: one for one in ledger.creates("(state = 'sent' or ended > ?)", now - DAY)}
    for row in rows:
        # Without a time it may be that of the ledger, so it counts.
        owners = [
            one
            for one in made.get(row.id, ())
            if compare_instants(one.created_at, row.created_at) is not False
        ]
        if not owners:
            # It may be listed before its create has an answer. It shows one create, because names may differ in case:
            # the cheapest, so that no other one is missing from a total.
            owners = [one for one in hidden.values() if one.state != "done" and _may_show(row, one)]
            owners = sorted(owners, key=lambda one: (one.usd is None, spent([one])))[:1]
        for one in owners:
            hidden.pop(one.id, None)
        stack, policy = (owners[-1].stack, owners[-1].policy) if owners else ("", "")
        found.append(Bill(row.id, stack, policy, price_listed(row, monthly)))
    waiting = (one for one in hidden.values() if one.state != "done" or now - one.ended < _LISTED)
    return [
        *found,
        *(Bill("", one.stack, one.policy, None if one.usd is None else spent([one])) for one in waiting),
    ]


def _may_show(row: Container, use: Use) -> bool:
    """Return whether a listed container may be what a create makes: one of its name may be an older one."""
    older = use.before.get("ids", ())
    return same_name(row.name, str(use.body.get("name"))) and identity(row) not in older


def identity(row: Container) -> str:
    """Return what no other container has: its id may be used again, so its creation time belongs to it."""
    return f"{row.id}@{row.created_at}"


def total(found: Iterable[Bill]) -> Decimal | None:
    """Return the monthly price of a part of the account; `None` if a price is not known, so that the total is not."""
    prices = [one.price for one in found]
    return sum((price or Decimal(0) for price in prices), Decimal(0)) if None not in prices else None


def limits_of(
    stack: str,
    known: Mapping[str, Known],
    found: Sequence[Bill],
    settings: GateFile,
    budgets: Iterable[Budget],
    *,
    policy: Policy | None,
) -> Iterator[Limit]:
    """
    Yield the limits that hold every create for a stack, also a signed one.

    Args:
        stack: The stack.
        known: What a change says that it knows: those containers count for its stack.
        found: What the account has.
        settings: The settings.
        budgets: The budgets over several stacks.
        policy: The policy of the budget that asks; `None` for another grant.
    """
    is_told = policy is None or policy.only is None
    if settings.account is not None:
        yield Limit("account.max_total", settings.account.max_total, total(found), is_told)
    if settings.limits.max_total is not None:
        ids = {one.id for one in known.values()}
        of_stack = (one for one in found if one.stack == stack or one.id in ids)
        yield Limit("limits.max_total", settings.limits.max_total, total(of_stack))
    for budget in budgets:
        if budget.chooses(stack):
            chosen = (one for one in found if budget.chooses(one.stack))
            yield Limit(f"the budget {budget.name}", budget.max_total, total(chosen), is_told)


def limits_of_policy(name: str, policy: Policy | None, found: Sequence[Bill]) -> Iterator[Limit]:
    """Yield the limit on the total of a policy, if it has one."""
    if policy is not None and policy.max_total is not None:
        its = (one for one in found if one.policy == name)
        yield Limit("the policy's max_total", policy.max_total, total(its))


def why_over(limit: Limit, added: Decimal | None) -> str:
    """Return why a limit does not allow what is added (`None`: that is not known); empty if it does."""
    name, most, before, is_told = limit
    if added is None:
        return f"what it adds is not known, and {name} is {usd(most)}"
    if added <= 0 or (before is not None and before + added <= most):
        return ""
    now = "an amount that is not known" if before is None else usd(before)
    return (
        f"it adds {usd(added)} a month to {now if is_told else 'what others have'}, and {name} is {usd(most)}"
    )


def spent(uses: Iterable[Use]) -> Decimal:
    """Return what creates add to the monthly price."""
    return sum((Decimal(use.usd) for use in uses if use.usd is not None), Decimal(0))


def left_today(ledger: Ledger, grant: Grant, policy: Policy) -> Decimal:
    """Return for how much a budget's grants may still create within 24 hours; what was undone stays spent."""
    # From the waitlist it is sent again, and counts from then.
    of_day = (
        "endpoint = 'containers.create' and state <> 'void' and (state = 'sent' or ended > ?) "
        "and permit is null and policy = ?"
    )
    return policy.increase_per_day - spent(ledger.uses(of_day, ledger.now() - DAY, grant.policy))
