"""
What may a create cost, and which limits apply to it?

The transaction that reserves a create checks all limits. A container counts if it is listed. It also counts if its
create is in progress, has an unknown outcome, or was completed so recently that no list shows it yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import compare_instants, is_before, same_name
from stacks_pulumi.api.models import Container
from stacks_pulumi.api.once import is_within
from stacks_pulumi.broker.change import CREATE, Known
from stacks_pulumi.broker.ledger import DAY, Grant, Ledger, Use, text_of
from stacks_pulumi.broker.settings import GateFile, Policy
from stacks_pulumi.pricing.money import MonthlyPrice, Price, billed, usd
from stacks_pulumi.pricing.recognition import UNKNOWN

LISTED: Final = 120.0
"""Seconds after which a list shows that a container was created or deleted."""


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
        most: The highest allowed price.
        before: The current price; `None` if it is unknown.
        is_told: Whether the client may know the current price.
    """

    name: str
    most: Decimal
    before: Decimal | None
    is_told: bool = True


class Bill(NamedTuple):
    """
    A container that is billed, or may soon be billed.

    Attributes:
        id: Its id; empty while no list shows it.
        stack: The stack that owns it; empty if it has no owner.
        policy: The policy under which it was created; empty for none.
        price: Its highest possible monthly price; `None` if it is unknown.
    """

    id: str
    stack: str
    policy: str
    price: Decimal | None


def policy_of(grant: Grant, settings: GateFile) -> Policy | None:
    """
    Return the current policy of a budget; `None` for another kind of grant.

    A removed policy allows nothing, and neither does a policy for a stack that the settings do not contain.
    """
    if grant.kind != "budget":
        return None
    policies = settings.policies if settings.serves(grant.stack) else {}
    return policies.get(grant.policy, Policy(only="own"))


def price_of(body: Mapping[str, Any], monthly: MonthlyPrice) -> Decimal | None:
    """Return what a create adds to the monthly price, before any discount; `None` if it is unknown."""
    template, plan, tier = (body.get(name) for name in ("template", "plan", "additional_storage_tier"))
    if not isinstance(template, str) or not (plan is None or isinstance(plan, str)):
        return None
    if template == catalog.VPN_TEMPLATE and plan is not None:
        # The API guide has no plan for a VPN container. A platform that accepts a plan may bill it.
        return None
    if not plan and template != catalog.VPN_TEMPLATE:
        plan = catalog.DEFAULT_PLAN
    if tier is not None and type(tier) is not int:
        return None
    return monthly(template, plan, tier)


def listed_price(row: Container, monthly: MonthlyPrice, tier: int | None = None) -> Price:
    """Return the price of a listed container. `tier` is the additional storage that its create requested, if known."""
    template = UNKNOWN if row.template is None else row.template
    plan = None if template == catalog.VPN_TEMPLATE else UNKNOWN if row.plan is None else row.plan
    return billed(template, plan, tier, row.storage_mb, monthly)[0]


def bills(ledger: Ledger, rows: Sequence[Container], monthly: MonthlyPrice) -> list[Bill]:
    """
    Return the listed containers of the account, and those that may exist without being listed.

    A row stands for at most one create. A create for which no row stands counts in addition.
    """
    made: dict[str | None, list[Use]] = {}
    for one in ledger.made("Container"):
        made.setdefault(one.object, []).append(one)
    now, found, waiting = ledger.now(), list[Bill](), dict[int, Use]()
    hidden = {
        one.id: one
        for one in ledger.creates("grant_id <> '-' and (state <> 'done' or ended > ?)", now - LISTED)
    }
    # The container that a repeat created may be removed, and the platform may then carry out the first attempt.
    # An administrator may have assigned the container of a create without an object to a stack.
    ended = f"endpoint = '{CREATE}' and state in ('done', 'undone', 'gone')"
    repeated = ledger.uses(f"{ended} and (attempts > 1 or object is null)")
    for row in rows:
        # Without a creation time, the row may be the container in the ledger, so the row counts as that container.
        owners = [
            one
            for one in made.get(row.id, ())
            if compare_instants(one.created_at, row.created_at) is not False
        ]
        lost: list[Use] = []
        if all(one.grant_id == "-" for one in owners):
            # A container may be listed, and an administrator may have assigned it to a stack, before its create has an
            # answer. Names may differ in case, so several creates may fit. The row then stands for the cheapest one, so
            # that no total is too low.
            open_ = (one for one in hidden.values() if one.state != "done")
            lost = [one for one in (*open_, *repeated) if _may_show(row, one, now)]
            lost = sorted(lost, key=lambda one: (one.price is None, one.price))
            # Only one of them created it, and nobody knows which one, so it counts for each stack and policy.
            waiting |= {one.id: one for one in lost if _of(one) != _of(lost[0])}
            owners = [*lost[:1], *owners]
        new = [hidden.pop(one.id) for one in owners if one.id in hidden]
        stack = owners[-1].stack if owners else ""
        policy = next((one.policy for one in reversed(owners) if one.policy), "")
        # The guide does not say whether the listed storage includes the additional storage.
        tiers = (one.body.get("additional_storage_tier") for one in (*owners, *lost))
        tier = max((one for one in tiers if type(one) is int and one in catalog.STORAGE_TIERS), default=None)
        price = listed_price(row, monthly, tier).high
        # If the list lags behind, the row may be a cheaper container that had the id before.
        found.append(Bill(row.id, stack, policy, None if price is None else max(price, spent(new))))
    waiting |= {one.id: one for one in hidden.values() if not _is_old(one, now)}
    return [*found, *(Bill("", one.stack, one.policy, one.price) for one in waiting.values())]


def _of(use: Use) -> tuple[str, str]:
    """Return the stack and the policy for which a container counts."""
    return use.stack, use.policy


def _is_old(use: Use, now: float) -> bool:
    """Return whether a create with an unknown outcome counts only if a list shows its container."""
    # A create in progress always counts, however old it is, because the machine may have slept.
    return use.state == "unknown" and now - use.ended >= DAY


def _may_show(row: Container, use: Use, now: float) -> bool:
    """Return whether a listed container may be the result of a create, and not an older container of that name."""
    if not same_name(row.name, str(use.body.get("name"))) or identity(row) in use.before["ids"]:
        return False
    # The platform may have carried out a request some time after the broker stopped waiting for its answer.
    is_open = use.state in {"sent", "unknown"} and not _is_old(use, now)
    # The lost answer may have been a 503: the platform then creates the container from its waitlist.
    after = DAY if use.state == "unknown" else LISTED
    return is_open or is_within(row.created_at, use.before["spans"], after=after) is not False


def identity(row: Container) -> str:
    """Return the unique identity of a container. The creation time is part of it, because an id may be used again."""
    return f"{row.id}@{row.created_at}"


def is_same(row: Container, container: Known) -> bool:
    """
    Return whether a listed container with the id of an expected container is that container.

    The creation time shows this. On a platform without creation times, template and plan must be equal.
    """
    if row.created_at is None and container.created_at is None:
        wanted = container.template, container.plan
        return None not in wanted and (row.template, row.plan) == wanted
    return compare_instants(row.created_at, container.created_at) is True


def is_gone(ledger: Ledger, row: Container) -> bool:
    """
    Return whether a recent request has deleted a listed container, or created another one under its id. The list then
    lags behind.
    """
    since, ids = ledger.now() - LISTED, text_of({"container_id": row.id})
    # With `+`, SQLite uses the index of the ids, and not that of all ended deletions.
    removed = "endpoint = 'containers.delete' and +state = 'done' and ended > ? and ids = ?"
    return any(
        compare_instants(one.before["parent_made"], row.created_at)
        for one in ledger.uses(removed, since, ids)
    ) or any(
        is_before(row.created_at, one.created_at)
        for one in ledger.creates("object = ? and ended > ?", row.id, since)
    )


def recently_made(ledger: Ledger, id_: str) -> Container | None:
    """Return the container that a recent request created under an id; the platform's lists may not show it yet."""
    found = ledger.made("Container", "object = ? and ended > ?", id_, ledger.now() - LISTED)
    if not found:
        return None
    known = found[-1].container
    return Container(id=id_, template=known.template, plan=known.plan, created_at=known.created_at)


def total(found: Iterable[Bill]) -> Decimal | None:
    """Return the total monthly price of some containers; `None` if one of the prices is unknown."""
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
    Yield the limits that apply to every create for a stack, including a create of a signed change.

    Args:
        stack: The stack.
        known: The existing containers that a change names. They count towards its stack.
        found: The containers of the account.
        settings: The settings.
        budgets: The budgets over several stacks.
        policy: The policy of the budget that sends the create; `None` for another kind of grant.
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
    """Return why a create exceeds a limit; empty if it does not. `added` is its price, `None` if unknown."""
    name, most, before, is_told = limit
    if added is None:
        return f"{name} is {usd(most)}, and the added price is not known"
    if added <= 0 or (before is not None and before + added <= most):
        return ""
    now = "an unknown amount" if before is None else usd(before)
    return (
        f"{name} is {usd(most)}, and adding {usd(added)} a month to "
        f"{now if is_told else 'the price of other containers'} {'may' if before is None else 'would'} exceed it"
    )


def spent(uses: Iterable[Use]) -> Decimal:
    """Return the sum of what creates add to the monthly price."""
    return sum((use.price or Decimal(0) for use in uses), Decimal(0))


def left_today(ledger: Ledger, grant: Grant, policy: Policy) -> Decimal:
    """
    Return what a budget's grants may still add to the monthly price within 24 hours. Deletions do not reduce the sum.
    """
    # A create on the waitlist counts from its last attempt.
    of_day = (
        f"endpoint = '{CREATE}' and state <> 'void' and (state = 'sent' or ended > ?) "
        "and permit is null and policy = ?"
    )
    return policy.increase_per_day - spent(ledger.uses(of_day, ledger.now() - DAY, grant.policy))
