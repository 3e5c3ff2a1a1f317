"""
What needs an approval, and who may give it?

Whichever planner a change comes from, the rules judge exactly the requests that the broker will permit. They are the
rules of `gate.yaml` about the 16 changing requests. A planner judges the other steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import PLACEHOLDER
from stacks_pulumi.api.models import Container
from stacks_pulumi.broker.change import (
    ANY,
    CONTAINERS,
    CREATE,
    EFFECTS,
    Change,
    Constraint,
    Known,
    Permit,
)
from stacks_pulumi.broker.limits import Limit, is_same, listed_price, price_of, why_over
from stacks_pulumi.broker.settings import Action, GateFile
from stacks_pulumi.broker.words import in_words
from stacks_pulumi.pricing.money import MonthlyPrice, storage_tier

OTHER_OWNER: Final = "other-owner"
"""
The finding about a container that belongs to a different owner or to no owner. Approvers with a stack limit may not
approve it.
"""
NO_OWNER: Final = "no-owner"
"""
The finding that no stack limit counts the containers without an owner: the author of a change could leave them out.
"""
UNKNOWN_VALUES: Final = "unknown"
"""The finding about an unknown value."""

ACTIONS: Final[Mapping[tuple[str, Any], str]] = {
    ("containers.set_status", "running"): "start",
    ("containers.set_status", "restart"): "restart",
    ("connections.create", None): "connect-own",
    ("backups.trigger", None): "backup",
    ("backups.pin", None): "pin-own",
}
"""Endpoint and requested status -> the action's name in a policy."""
_PLACEHOLDER: Final = {"ip_address": "192.0.2.1", "description": PLACEHOLDER, "service_type": "http"}
"""The entry that the provider adds while it changes the only entry: an address that is never in use (RFC 5737)."""
_ZERO: Final = Decimal(0)


class Finding(NamedTuple):
    """
    One finding of a rule.

    Attributes:
        rule: Its name.
        action: The effect: an approval is needed, or the change is refused.
        permit: The number of the permit; 0 for the whole change.
        text: The finding in words.
    """

    rule: str
    action: Literal["approve", "refuse"]
    permit: int
    text: str


@dataclass(frozen=True)
class Facts:
    """
    The facts from the platform and the ledger with which a change is judged.

    Attributes:
        containers: The listed containers, by id.
        owner: Returns the stack that owns a container; `None` if it has no owner.
        monthly: Returns prices.
        limits: The limits on its stack and on the account.
        spent: The sum that free changes of the stack added in the last 24 hours.
        counts_all: Whether the limits of a stack count all containers that may belong to it. The change then names all
            of these containers that have no owner.
    """

    containers: Mapping[str, Container]
    owner: Callable[[Container], str | None]
    monthly: MonthlyPrice
    limits: Sequence[Limit]
    spent: Decimal
    counts_all: bool

    def row(self, container: Known) -> Container | None:
        """
        Return an existing container that a change names; `None` if it is not listed.

        A different container may have its id now, or may get its id after the change is judged. So the facts about the
        current container with that id say nothing about the named container.
        """
        row = self.containers.get(container.id)
        return row if row is not None and is_same(row, container) else None


@dataclass(frozen=True)
class Verdict:
    """
    The verdict on a change.

    Attributes:
        result: Whether it may happen: `nothing`, `free`, `needs_approval` or `refused`.
        findings: The findings of the rules.
        increase: The amount that the completed change adds to the monthly price; `None` if it has no upper bound.
        at_any_moment: The most that its creates may cost at any moment; `None` if there is no upper bound.
        owners: The other stacks that own containers of the change; an empty name for containers without an owner.
        prices: The most that each permit of a create costs, by its number; `None` if there is no upper bound.
    """

    result: Literal["nothing", "free", "needs_approval", "refused"]
    findings: tuple[Finding, ...]
    increase: Decimal | None
    at_any_moment: Decimal | None
    owners: frozenset[str]
    prices: Mapping[int, Decimal | None]

    @property
    def rules(self) -> frozenset[str]:
        """The rules that ask for an approval."""
        return frozenset(one.rule for one in self.findings)

    @property
    def destroys(self) -> bool:
        """Whether data is destroyed or overwritten."""
        return not self.rules.isdisjoint({"destroys-data", "restores-data"})


def judge(change: Change, settings: GateFile, facts: Facts) -> Verdict:
    """Return the verdict on a change with the current prices, owners and limits."""
    prices = {one.n: _price(one, change, facts.monthly) for one in change.permits if one.endpoint == CREATE}
    most = _most(change, prices)
    increase = None if most is None else most - _removed(change, facts)
    owners = _owners(change, facts)
    findings = [
        *_of_permits(change, settings, facts, prices),
        *_of_counts(change, settings),
        *_of_limits(change, settings, facts, increase, most),
        # A planner that leaves out findings does not get more permits at STACKS.
        *(Finding(one.rule, one.action, 0, f"the planner reports: {one.text}") for one in change.reported),
    ]
    if owners:
        text = ", ".join(sorted(name or "none" for name in owners))
        finding = (
            f"the change uses containers that its stack does not own; their owners in the ledger: {text}"
        )
        findings.append(Finding(OTHER_OWNER, "approve", 0, finding))
    has_limits = settings.limits.max_total is not None or settings.budgets is not None
    if prices and has_limits and not facts.counts_all:
        text = (
            "containers without an owner in the ledger count towards no stack's limit: set their owners with "
            "`stacks-pulumi broker claim`"
        )
        findings.append(Finding(NO_OWNER, "approve", 0, text))
    result: Literal["nothing", "free", "needs_approval", "refused"] = "needs_approval"
    if any(one.action == "refuse" for one in findings):
        result = "refused"
    elif not change.permits and not change.secrets and not change.reported:
        result = "nothing"
    elif (
        settings.free is not None
        and most is not None
        and not findings
        and all(map(_is_harmless, change.permits))
        and facts.spent + most <= settings.free.increase_per_day
    ):
        result = "free"
    return Verdict(result, tuple(findings), increase, most, frozenset(owners), prices)


def _of_permits(
    change: Change, settings: GateFile, facts: Facts, prices: Mapping[int, Decimal | None]
) -> Iterator[Finding]:
    rules = settings.rules
    for permit in change.permits:
        words = in_words(permit)
        # A platform may treat every value except false as true.
        opens = EFFECTS[permit.endpoint].opens and permit.body.get("enabled") is not False
        found: tuple[tuple[bool, str, Action, str], ...] = (
            (
                _destroys(permit, change, facts),
                "destroys-data",
                rules.destroys_data,
                f", with {_data(permit, facts)}",
            ),
            (permit.endpoint == "backups.restore", "restores-data", rules.restores_data, ""),
            (opens and permit.body != _PLACEHOLDER, "opens-access", rules.opens_access, ""),
            (permit.is_loose, UNKNOWN_VALUES, "approve", ", with an unknown value"),
            (prices.get(permit.n, _ZERO) is None, "unpriced", rules.unpriced, ": its price is not known"),
        )
        for is_found, rule, action, more in found:
            if is_found:
                yield Finding(rule, action, permit.n, f"{words}{more}")
    for secret in change.secrets:
        yield Finding("opens-access", rules.opens_access, 0, f"the change reads a secret: {in_words(secret)}")


def _destroys(permit: Permit, change: Change, facts: Facts) -> bool:
    """Return whether a permit may destroy data; an unknown container is assumed to contain data."""
    removes = EFFECTS[permit.endpoint].removes
    if removes != "Container":
        return removes == "Backup"
    one = permit.ids["container_id"]
    if {it.binds for it in change.permits} & {*one.of}:
        # A symbol may also mean a new container.
        return True
    named = [_literal(one)] if one.is_ is not None else [change.known[symbol] for symbol in one.of]
    return any(row is None or _holds_data(row) for row in map(facts.row, named))


def _literal(one: Constraint) -> Known:
    """Return the container that a constraint names by its id."""
    return Known(id=one.is_ or "", created_at=one.created_at)


def _holds_data(row: Container) -> bool:
    known = catalog.TEMPLATES.get(row.template or "")
    # Additional paid storage is assumed to contain data, whatever the template.
    added = storage_tier(row.template, row.plan, None, row.storage_mb)
    return known is None or bool(known.data) or added not in {None, 0}


def _data(permit: Permit, facts: Facts) -> str:
    one = permit.ids.get("container_id")
    row = None if one is None or one.is_ is None else facts.row(_literal(one))
    return f"all of its data ({row.template})" if row is not None and row.template else "all of its data"


def _of_counts(change: Change, settings: GateFile) -> Iterator[Finding]:
    # A permit without a count is for clean-up, for example of an entry in a list of addresses.
    deletions = [one for one in change.permits if EFFECTS[one.endpoint].removes and one.times is not None]
    number_of_deletions = sum(one.times or 0 for one in deletions)
    gone = {one.ids["container_id"].is_ for one in deletions if one.endpoint == "containers.delete"}
    made = {one.binds for one in change.permits if one.endpoint == CREATE}
    # Each container counts once, even if it has several symbols.
    replaced = gone & {one.id for symbol, one in change.known.items() if symbol in made}
    for rule, number, most in (
        ("max-deletions", number_of_deletions - len(replaced), settings.rules.max_deletions),
        ("max-replacements", len(replaced), settings.rules.max_replacements),
    ):
        if most is not None and number > most.limit:
            yield Finding(rule, most.otherwise, 0, f"{number}, more than the limit of {most.limit}")


def _of_limits(
    change: Change, settings: GateFile, facts: Facts, increase: Decimal | None, most: Decimal | None
) -> Iterator[Finding]:
    over = [(one, most) for one in facts.limits]
    if settings.limits.max_increase is not None:
        over.append((Limit("limits.max_increase", settings.limits.max_increase, _ZERO), most))
    if change.ceiling is not None and increase is not None:
        over.append((Limit("ceiling", Decimal(change.ceiling.increase), _ZERO), increase))
        over.append((Limit("ceiling", change.ceiling.most, _ZERO), most))
    for limit, added in over:
        why = why_over(limit, added)
        if why:
            yield Finding(limit.name, "refuse", 0, why)


def _is_harmless(permit: Permit) -> bool:
    """Return whether a permit only creates or starts an object."""
    if permit.endpoint in {"backups.pin", "backups.unpin"}:
        # The same change can undo the pin of a new backup.
        return any(one.new_backup_of for one in permit.ids.values())
    return permit.endpoint == CREATE or (permit.endpoint, permit.body.get("status")) in ACTIONS


def _price(permit: Permit, change: Change, monthly: MonthlyPrice) -> Decimal | None:
    """Return the most that a create may cost; with an unknown value, this is the ceiling."""
    priced = _priced(permit)
    if ANY in priced.values():
        return None if change.ceiling is None else change.ceiling.most
    one = price_of(priced, monthly)
    return None if one is None else one * (permit.times or 1)


def _most(change: Change, prices: Mapping[int, Decimal | None]) -> Decimal | None:
    """Return the most that all creates together may cost. Creates with an unknown price share the ceiling."""
    if None in prices.values():
        return None
    loose = {one.n for one in change.permits if ANY in _priced(one).values()}
    exact = sum((price or _ZERO for n, price in prices.items() if n not in loose), _ZERO)
    return max(exact, change.ceiling.most) if loose and change.ceiling is not None else exact


def _priced(permit: Permit) -> dict[str, Any]:
    """Return the fields of a create request that determine its price."""
    return {name: permit.body.get(name) for name in ("template", "plan", "additional_storage_tier")}


def _removed(change: Change, facts: Facts) -> Decimal:
    """
    Return the monthly price that is certainly no longer billed after the completed change. A container counts once.
    """
    ids = [one.ids["container_id"] for one in change.permits if one.endpoint == "containers.delete"]
    gone = {
        row.id: listed_price(row, facts.monthly).low or _ZERO
        for one in ids
        if one.is_ is not None and (row := facts.row(_literal(one))) is not None
    }
    return sum(gone.values(), _ZERO)


def _owners(change: Change, facts: Facts) -> set[str]:
    """Return the other owners of the change's containers. A container that is not listed has no owner."""
    given = change.constraints
    named = [_literal(one) for name, one in given if name in CONTAINERS and one.is_ is not None]
    rows = map(facts.row, (*change.known.values(), *named))
    owners = {("" if row is None else facts.owner(row) or "") for row in rows}
    if any(one.is_ and not one.in_ for name, one in given if name in {"backup_id", "connection_id"}):
        owners.add("")
    return owners - {change.stack}


def missing(
    change: Change, verdict: Verdict, settings: GateFile, names: Collection[str], requester: str = ""
) -> str:
    """
    Return why the signatures of a change are not sufficient; empty if they are sufficient.

    `names` are the people who have signed. `requester` is the holder of the grant with which the change is submitted;
    empty if there is no grant.
    """
    if verdict.result == "refused":
        return "; ".join(one.text for one in verdict.findings if one.action == "refuse")
    if verdict.result in {"free", "nothing"}:
        return ""
    reasons = not_counted(change, verdict, settings, names, requester)
    needed = 2 if verdict.rules & {*settings.two_approvals} else 1
    if len({*names} - reasons.keys()) >= needed:
        return ""
    said = "it needs an approval" if needed == 1 else "it needs the approvals of two people"
    return "; ".join([said, *reasons.values()])


def not_counted(
    change: Change, verdict: Verdict, settings: GateFile, names: Collection[str], requester: str = ""
) -> dict[str, str]:
    """Return the signers who are not allowed to approve a change, each with the reason; see `missing`."""
    most = None if change.ceiling is None else change.ceiling.most
    # The change names the author; the ledger names the requester.
    authors = [*filter(None, (change.author, requester))] or [""]
    found: dict[str, str] = {}
    for name, author in itertools.product(sorted(set(names)), authors):
        why = settings.why_not(
            name, author, change.stack, most, destroys=verdict.destroys, owners=verdict.owners
        )
        if why:
            found.setdefault(name, why)
    return found
