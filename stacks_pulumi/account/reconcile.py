"""
The account's containers against the stacks: who owns what.

An id is not an identity: a container belongs to a stack if its id and its creation time are those in the state. The
state of another account, or of another API, is left out. A container is an orphan only if every stack was read whole.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from stacks_pulumi._identifiers import account_of, same_instant
from stacks_pulumi.account.backend import Stacks, Unread
from stacks_pulumi.account.states import Interrupted, Managed
from stacks_pulumi.api.models import Container
from stacks_pulumi.cost.report import Item
from stacks_pulumi.pricing.money import Price, total
from stacks_pulumi.pricing.recognition import UNRECOGNISED

__all__ = [
    "ChildRecord",
    "FoundContainer",
    "Missing",
    "Ownership",
    "Place",
    "Reconciliation",
    "StackTotal",
    "reconcile",
]

Ownership: TypeAlias = Literal["owned", "double", "orphan", "interrupted", "automatic", "unknown"]
"""
`owned`: by one stack. `double`: by two resources or more. `interrupted`: in no state, and a stack was creating it.
`orphan`: in no state. `automatic`: in no state, and made by the platform. `unknown`: in no state that could be read.
"""

_CONTAINERS = frozenset({"Container", UNRECOGNISED})


@dataclass(frozen=True)
class ChildRecord:
    """
    An object that belongs to a container.

    Attributes:
        kind: Its kind, for instance `AllowedIp`.
        id: The id that a resource for it has: `<container id>/<own name>`.
        description: What it is, for people.
        removal: Method and path of the request that removes it.
        automatic: Whether the platform made it by itself, so that no stack need own it.
        owners: The resources that manage it.
        ownership: Who owns it.
    """

    kind: str
    id: str
    description: str
    removal: tuple[str, ...]
    automatic: bool = False
    owners: tuple[Managed, ...] = ()
    ownership: Ownership = "unknown"


@dataclass(frozen=True)
class FoundContainer:
    """
    A container of the account.

    Attributes:
        container: What the API says of it.
        item: What it is and what it costs.
        owners: The resources that manage it.
        ownership: Who owns it.
        creating: The interrupted creates that may have made it.
        recreated: Resources whose state has its id with another creation time.
        notes: What a reader has to know.
        children: What belongs to it, if that was asked for.
    """

    container: Container
    item: Item
    owners: tuple[Managed, ...] = ()
    ownership: Ownership = "unknown"
    creating: tuple[Interrupted, ...] = ()
    recreated: tuple[Managed, ...] = ()
    notes: tuple[str, ...] = ()
    children: tuple[ChildRecord, ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return self.container.name or self.container.id

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks that own it, each once."""
        return tuple(dict.fromkeys(owner.stack for owner in self.owners))


@dataclass(frozen=True)
class Missing:
    """
    A resource of a stack that the account does not have.

    Attributes:
        resource: The resource.
        reason: Why it is missing.
    """

    resource: Managed
    reason: str


@dataclass(frozen=True)
class StackTotal:
    """
    What a stack owns.

    Attributes:
        name: The stack's name.
        project: Its project.
        ref: What `pulumi --stack` takes for it.
        containers: How many containers it owns.
        price: What they cost in a month.
    """

    name: str
    project: str
    ref: str
    containers: int
    price: Price


@dataclass(frozen=True)
class Reconciliation:
    """
    An account, compared with stacks.

    Attributes:
        base_url: Where the API is.
        taken_at: When the account was read.
        found: Its containers, by name.
        missing: What stacks have and the account does not.
        stacks: The total of each stack.
        unread: The stacks that could not be read whole.
        elsewhere: Stack -> why resources of it are of another account.
        source: Where the stacks come from.
        notes: What a reader has to know.
    """

    base_url: str
    taken_at: str
    found: tuple[FoundContainer, ...]
    missing: tuple[Missing, ...] = ()
    stacks: tuple[StackTotal, ...] = ()
    unread: tuple[Unread, ...] = ()
    elsewhere: dict[str, str] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def price(self) -> Price:
        """What the account costs in a month."""
        return total(one.item.price for one in self.found)

    @property
    def without_stack(self) -> tuple[FoundContainer, ...]:
        """The containers that are in no state."""
        return tuple(one for one in self.found if not one.owners)

    @property
    def counted_twice(self) -> Price:
        """What the totals of the stacks have more than once."""
        return total(one.item.price for one in self.found for _ in one.stacks[1:])

    def having(self, ownership: Ownership) -> tuple[FoundContainer, ...]:
        """The containers with this ownership."""
        return tuple(one for one in self.found if one.ownership == ownership)

    def children(self) -> Iterable[ChildRecord]:
        """Everything that belongs to a container, if that was asked for."""
        return (child for one in self.found for child in one.children)


class Place:
    """
    Whether a resource of a state is in this account.

    Args:
        containers: The account's containers.
        base_url: Where the API is.
        fingerprint: Part of a digest of base URL and key, as states record it.
    """

    def __init__(self, containers: Iterable[Container], base_url: str, fingerprint: str) -> None:
        self._accounts = {account_of(container.id) for container in containers}
        self._base_url = _normal(base_url)
        self._fingerprint = fingerprint

    def elsewhere(self, resource: Managed) -> str | None:
        """Return why a resource is not in this account; `None` if it is."""
        if self.other_api(resource.base_url):
            return f"its provider uses the API at {resource.base_url}"
        if resource.origin is not None and resource.origin.partition("-")[0] == self._fingerprint:
            return None
        if account_of(resource.id) in self._accounts:
            return None
        if self._accounts:
            own = account_of(resource.id)
            return f"its ids begin with {own}-, and those of this account with {min(self._accounts)}-"
        return "it was made with another key, and this account has no containers to recognise it by"

    def other_api(self, base_url: str | None) -> bool:
        """Return whether a provider certainly uses another API."""
        return base_url is not None and _normal(base_url) != self._base_url


def reconcile(
    containers: Sequence[tuple[Container, Item]],
    stacks: Stacks,
    *,
    base_url: str,
    fingerprint: str,
    taken_at: str,
) -> Reconciliation:
    """
    Compare an account with stacks.

    Args:
        containers: The account's containers, each with what it costs.
        stacks: The stacks, and which of them could not be read.
        base_url: Where the API is.
        fingerprint: Part of a digest of base URL and key, as states record it.
        taken_at: When the account was read.
    """
    by_id = {container.id: container for container, _ in containers}
    place = Place(by_id.values(), base_url, fingerprint)
    claims = _Claims()
    for resource in (one for state in stacks.read for one in state.managed):
        if resource.kind in _CONTAINERS:
            claims.add(resource, by_id.get(resource.id), place.elsewhere(resource))
    free = [container for container, _ in containers if container.id not in claims.owners]
    creating = _creating(stacks, place, free)
    found = [
        _found(container, item, claims, creating.get(container.id, []), complete=not stacks.unread)
        for container, item in containers
    ]
    found.sort(key=lambda one: (one.name.casefold(), one.container.id))
    return Reconciliation(
        base_url,
        taken_at,
        tuple(found),
        tuple(claims.missing),
        _totals(stacks, found),
        stacks.unread,
        claims.elsewhere,
        stacks.source,
        stacks.notes,
    )


@dataclass
class _Claims:
    """What the states say about the account's containers, by id."""

    owners: dict[str, list[Managed]] = field(default_factory=lambda: defaultdict(list))
    recreated: dict[str, list[Managed]] = field(default_factory=lambda: defaultdict(list))
    remarks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    missing: list[Missing] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)

    def add(self, resource: Managed, container: Container | None, elsewhere: str | None) -> None:
        """Take a resource into account, with the container that has its id."""
        if elsewhere is not None:
            self.elsewhere.setdefault(resource.stack, elsewhere)
            if container is not None and same_instant(resource.created_at, container.created_at):
                # Too alike to be called an orphan: the two addresses may lead to one API.
                self.remarks[container.id].append(
                    f"{resource.stack} has a container with this id and creation time at {resource.base_url}"
                )
        elif container is None:
            if resource.kind == "Container":
                self.missing.append(Missing(resource, "the account has no container with this id"))
        elif same_instant(resource.created_at, container.created_at):
            self.owners[container.id].append(resource)
        else:
            self.recreated[container.id].append(resource)
            self.missing.append(
                Missing(
                    resource,
                    f"the container with this id was created at {container.created_at}, and the one in the state at "
                    f"{resource.created_at}",
                )
            )


def _creating(stacks: Stacks, place: Place, free: Iterable[Container]) -> dict[str, list[Interrupted]]:
    """The interrupted creates by the id of the container that they may have made."""
    by_name = {(container.name or "").casefold(): container.id for container in free}
    result: dict[str, list[Interrupted]] = defaultdict(list)
    for operation in (one for state in stacks.read for one in state.interrupted):
        made = by_name.get(operation.name.casefold())
        if made is not None and not place.other_api(operation.base_url):
            result[made].append(operation)
    return result


def _found(
    container: Container, item: Item, claims: _Claims, creating: Sequence[Interrupted], *, complete: bool
) -> FoundContainer:
    mine, notes = claims.owners.get(container.id, []), claims.remarks.get(container.id, [])
    ownership: Ownership
    if mine:
        ownership = "owned" if len(mine) == 1 else "double"
    elif creating:
        ownership = "interrupted"
    else:
        ownership = "orphan" if complete and not notes else "unknown"
    return FoundContainer(
        container,
        _refined(item, mine),
        tuple(mine),
        ownership,
        tuple(creating),
        tuple(claims.recreated.get(container.id, ())),
        tuple(notes),
    )


def _refined(item: Item, owners: Sequence[Managed]) -> Item:
    """What the API leaves open of a container, the state of the stack that owns it may say."""
    if item.price.exact or not owners:
        return item
    told = owners[0].item
    if told is None or not told.price.exact or told.price.low < item.price.low:
        return item
    return told if item.price.high is None or told.price.low <= item.price.high else item


def _totals(stacks: Stacks, found: Iterable[FoundContainer]) -> tuple[StackTotal, ...]:
    prices: dict[str, list[Price]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for one in found:
        for stack in one.stacks:
            prices[stack].append(one.item.price)
            counts[stack] += 1
    return tuple(
        StackTotal(state.name, state.project, state.ref, counts[state.name], total(prices[state.name]))
        for state in sorted(stacks.read, key=lambda state: state.name)
    )


def _normal(url: str) -> str:
    """One spelling for all of this machine's names, for default ports and for a slash at the end."""
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return url
    host = "localhost" if host in {"127.0.0.1", "::1"} else host
    port = port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"
