"""
Which stack owns each object of the account, and which objects have no owner?

An id alone does not identify a container: it belongs to a stack if both its id and its creation time are in the state.
If the state or the account lacks the creation time, the owner is unknown. Resources of another account, or of another
API, are ignored. A container is an orphan only if every stack and the list of containers were read completely.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from stacks_pulumi._identifiers import account_of, canonical_network, compare_instants, is_of_key, is_unique
from stacks_pulumi.account.backend import Interrupted, Managed, Stacks, StackState, Unread, normal_url
from stacks_pulumi.account.read import Belongings, said_of
from stacks_pulumi.api.allowed_ips import is_auto_added
from stacks_pulumi.api.models import Container
from stacks_pulumi.cost.live import Entry, Snapshot
from stacks_pulumi.cost.report import UNSEEN, Item, higher
from stacks_pulumi.pricing.money import FREE, Price, total
from stacks_pulumi.pricing.recognition import UNRECOGNISED

Ownership: TypeAlias = Literal["owned", "double", "orphan", "interrupted", "automatic", "unknown"]
"""
`owned`: one resource manages it. `double`: two or more resources manage it. `interrupted`: no state contains it, but a
stack was creating it. `orphan`: no state contains it. `automatic`: no state contains it, because the platform created
it. `unknown`: no readable state contains it, or a state may mean a different container with this id.
"""

_CONTAINERS: Final = frozenset({"Container", UNRECOGNISED})
_CHILDREN: Final = frozenset({"AllowedIp", "Connection", "PinnedBackup", "VpnClient"})


@dataclass(frozen=True)
class ChildRecord:
    """
    An object that belongs to a container.

    Attributes:
        kind: Its kind, for instance `AllowedIp`.
        id: The id of its Pulumi resource: `<container id>/<name>`.
        name: Its name, or its address.
        description: A human-readable description.
        inputs: The inputs, except the name, with which a program adopts it unchanged.
        created_at: When it was created; `None` if the API does not show the time, or if the time is not compared.
        removal: Method and path of the request that removes it.
        automatic: Whether the platform created it automatically, so that it needs no owner; `None` if that is not
            known.
        owners: The resources that manage it.
        ownership: Its ownership.
        creating: The interrupted creates that may have created it.
        recreated: The resources with its id that belong to a container with a different creation time.
        sure: Whether an id or a creation time proves that it is the object of its owners.
    """

    kind: str
    id: str
    name: str
    description: str
    removal: tuple[str, ...]
    created_at: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    automatic: bool | None = False
    owners: tuple[Managed, ...] = ()
    ownership: Ownership = "unknown"
    creating: tuple[Interrupted, ...] = ()
    recreated: tuple[Managed, ...] = ()
    sure: bool = True


@dataclass(frozen=True)
class ContainerRecord:
    """
    A container of the account.

    Attributes:
        container: The container in the API's list.
        item: Its kind and price.
        owners: The resources that manage it; if a creation time is missing, those that may manage it.
        ownership: Its ownership.
        creating: The interrupted creates that may have created it.
        recreated: The resources with the container's id, but with a different creation time.
        notes: Notes for the reader.
        children: Its child objects, if they were read.
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
        return self.container.name or self.container.id

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks that own it, without duplicates."""
        return tuple(dict.fromkeys(owner.stack for owner in self.owners))

    @property
    def entry(self) -> Entry:
        return Entry(self.container.id, self.name, self.container.created_at, self.item, self.stacks)


@dataclass(frozen=True)
class Missing:
    """
    A resource of a stack whose object is not in the account.

    Attributes:
        resource: The resource.
        reason: Why it is missing.
        recreated: Whether the account contains an object with the same id but a different creation time.
    """

    resource: Managed
    reason: str
    recreated: bool = False


@dataclass(frozen=True)
class Reconciliation:
    """
    An account, compared with stacks.

    Attributes:
        base_url: The address of the API.
        taken_at: When the account was read.
        containers: Its containers, sorted by name.
        missing: The resources that are in a state but not in the account.
        stacks: The stacks that it was compared with, sorted by name.
        unread: The stacks that could not be read completely.
        gaps: The parts of the account that could not be read.
        gap: Why there may be more containers; empty if these are all. `gaps` contains this reason too.
        elsewhere: Stack -> why some of its resources are in another account.
        unplaced: The stacks of `elsewhere` with a resource that may be in this account after all.
        source: Where the stacks come from.
        project: The only project whose stacks were read, so that owners in other projects are not known; `None` if the
            stacks of all projects were read.
        notes: Notes for the reader.
        key_words: The shell expression for the account's key in the suggested commands.
    """

    base_url: str
    taken_at: str
    containers: tuple[ContainerRecord, ...]
    missing: tuple[Missing, ...] = ()
    stacks: tuple[StackState, ...] = ()
    unread: tuple[Unread, ...] = ()
    gaps: tuple[str, ...] = ()
    gap: str = ""
    elsewhere: dict[str, str] = field(default_factory=dict)
    unplaced: frozenset[str] = frozenset()
    source: str = ""
    project: str | None = None
    notes: tuple[str, ...] = ()
    key_words: str = '"$STACKS_API_KEY"'

    @property
    def complete(self) -> bool:
        """Whether every stack, and all requested parts of the account, were read completely."""
        return not (self.unread or self.gaps)

    @property
    def snapshot(self) -> Snapshot:
        """The account in the form that is saved and compared."""
        return Snapshot(self.taken_at, self.base_url, tuple(one.entry for one in self.containers), self.gap)

    @property
    def not_listed(self) -> Iterable[str]:
        """The ids of the containers that are in a state but not in the account's list."""
        listed = {one.container.id for one in self.containers}
        ids = (missing.resource.id for missing in self.missing)
        return (id_ for id_ in ids if id_ not in listed)

    @property
    def lacking(self) -> set[str]:
        """The ids of the listed containers that lack a child object that a state contains."""
        ids = {missing.resource.id.partition("/") for missing in self.missing if not missing.recreated}
        listed = {one.container.id for one in self.containers}
        return {container for container, slash, _ in ids if slash and container in listed}

    @property
    def price(self) -> Price:
        """The monthly price of the account."""
        return self.price_of(self.containers)

    def price_of(self, containers: Iterable[ContainerRecord]) -> Price:
        """Return the monthly price of these containers, and of any containers that were not listed."""
        return total(one.item.price for one in containers) + (UNSEEN if self.gap else FREE)

    @functools.cached_property
    def by_stack(self) -> Mapping[str, Sequence[ContainerRecord]]:
        """The containers of each stack, by the stack's name."""
        found: dict[str, list[ContainerRecord]] = {stack.name: [] for stack in self.stacks}
        for one in self.containers:
            for stack in one.stacks:
                found.setdefault(stack, []).append(one)
        return found

    @property
    def without_stack(self) -> tuple[ContainerRecord, ...]:
        return tuple(one for one in self.containers if not one.owners)

    @property
    def counted_twice(self) -> Price:
        """The part of the price that the totals of the stacks contain more than once."""
        return total(one.item.price for one in self.containers for _ in one.stacks[1:])

    def children(self) -> Iterable[ChildRecord]:
        """The child objects of all containers, if they were read."""
        return (child for one in self.containers for child in one.children)


class ThisAccount:
    """
    Decides whether a resource of a state is in this account.

    Args:
        containers: The account's containers.
        base_url: Where the API is.
        fingerprint: Part of a digest of base URL and key, as states record it.
    """

    def __init__(self, containers: Iterable[Container], base_url: str, fingerprint: str) -> None:
        self._accounts = {account_of(container.id) for container in containers}
        self.base_url = base_url
        self._fingerprint = fingerprint

    def why_elsewhere(self, resource: Managed) -> str | None:
        """Return why a resource is not in this account; `None` if it is in this account."""
        if self.is_other_api(resource.base_url):
            return f"their provider uses the API at {resource.base_url}"
        if is_of_key(resource.origin, self._fingerprint):
            return None
        if account_of(resource.id) in self._accounts:
            return None
        if self._accounts:
            own = account_of(resource.id)
            return (
                f"their ids begin with {own}-, but the ids of this account begin with {min(self._accounts)}-"
            )
        return (
            "they were created with a different key, and this account has no containers to compare them with"
        )

    def is_certain(self, resource: Managed) -> bool:
        """Return whether a resource is certainly in another account, because its id has that account's prefix."""
        return bool(self._accounts) and account_of(resource.id) not in self._accounts

    def is_other_api(self, base_url: str | None) -> bool:
        """Return whether a provider uses a different address, which may still lead to the same API."""
        return base_url is not None and normal_url(base_url) != normal_url(self.base_url)


def reconcile(
    containers: Sequence[tuple[Container, Item]],
    stacks: Stacks,
    this: ThisAccount,
    *,
    taken_at: str,
    gap: str = "",
    live_prices: bool = False,
) -> Reconciliation:
    """
    Compare an account with stacks.

    Args:
        containers: The account's containers, each with its kind and price.
        stacks: The stacks that were read, and those that could not be read.
        this: Decides whether a resource of a state is in this account.
        taken_at: When the account was read.
        gap: Why there may be more containers; empty if these are all.
        live_prices: Whether the prices are from the platform. If so, they are not compared with the prices in states,
            which are from the catalogue.
    """
    by_id = {container.id: container for container, _ in containers}
    claims = _Claims()
    for resource in (one for state in stacks.read for one in state.managed):
        if resource.kind in _CONTAINERS:
            elsewhere = this.why_elsewhere(resource)
            claims.add(resource, by_id.get(resource.id), elsewhere, complete=not gap)
            if elsewhere is not None and not this.is_certain(resource):
                claims.unplaced.add(resource.stack)
    free = [container for container, _ in containers if container.id not in claims.owners]
    creating = _creating(stacks, this, free)
    records = [
        _record(
            container,
            item if live_prices else _higher(item, claims.owners.get(container.id, ())),
            claims,
            creating.get(container.id, []),
            complete=not (stacks.unread or stacks.project or gap),
        )
        for container, item in containers
    ]
    records.sort(key=lambda one: (one.name.casefold(), one.container.id))
    return Reconciliation(
        this.base_url,
        taken_at,
        tuple(records),
        tuple(claims.missing),
        tuple(sorted(stacks.read, key=lambda state: state.name)),
        stacks.unread,
        gaps=(gap,) if gap else (),
        gap=gap,
        elsewhere=claims.elsewhere,
        unplaced=frozenset(claims.unplaced),
        source=stacks.source,
        project=stacks.project,
        notes=stacks.notes,
    )


@dataclass
class _Claims:
    """The resources in the states, keyed by the id of the container that they manage."""

    owners: dict[str, list[Managed]] = field(default_factory=lambda: defaultdict(list))
    recreated: dict[str, list[Managed]] = field(default_factory=lambda: defaultdict(list))
    remarks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    unsure: set[str] = field(default_factory=set)
    unplaced: set[str] = field(default_factory=set)
    missing: list[Missing] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)

    def add(
        self, resource: Managed, container: Container | None, elsewhere: str | None, *, complete: bool
    ) -> None:
        """Add a resource, with the container that has its id; `complete` states whether all containers are known."""
        same = None if container is None else compare_instants(resource.created_at, container.created_at)
        if elsewhere is not None:
            self.elsewhere.setdefault(resource.stack, elsewhere)
            if container is not None and same is not False:
                # Do not report an orphan, because both addresses may lead to the same API.
                self.remarks[container.id].append(
                    f"{resource.stack} has a container with this id{' and creation time' if same else ''} at "
                    f"{resource.base_url}"
                )
        elif container is None:
            if complete and resource.kind == "Container" and not resource.in_transit:
                self.missing.append(Missing(resource, "the account has no container with this id"))
        elif same is not False:
            self.owners[container.id].append(resource)
            if same is None:
                self.unsure.add(container.id)
                self.remarks[container.id].append(
                    f"might not be the container of {resource.stack}: a creation time is not known"
                )
        else:
            self.recreated[container.id].append(resource)
            if not resource.in_transit:
                self.missing.append(_recreated(resource, container))


def _recreated(resource: Managed, container: Container) -> Missing:
    """Return the finding that a resource is missing because its container was deleted and created again."""
    return Missing(
        resource,
        f"the container with this id was created at {container.created_at}; the creation time in the state is "
        f"{resource.created_at}",
        recreated=True,
    )


def _creating(stacks: Stacks, this: ThisAccount, free: Iterable[Container]) -> dict[str, list[Interrupted]]:
    """Return the interrupted creates, keyed by the id of the container that they may have created."""
    operations: dict[str, list[Interrupted]] = defaultdict(list)
    for operation in (one for state in stacks.read for one in state.interrupted if one.kind == "Container"):
        if operation.name is not None and not this.is_other_api(operation.base_url):
            operations[operation.name.casefold()].append(operation)
    every = [operation for named in operations.values() for operation in named]
    # A container whose name cannot be read may be the result of any of these creates.
    return {
        container.id: every if container.name is None else operations.get(container.name.casefold(), [])
        for container in free
    }


def _record(
    container: Container, item: Item, claims: _Claims, creating: Sequence[Interrupted], *, complete: bool
) -> ContainerRecord:
    mine, notes = claims.owners.get(container.id, []), claims.remarks.get(container.id, [])
    ownership = _ownership(
        mine, creating, sure=container.id not in claims.unsure, complete=complete and not notes
    )
    return ContainerRecord(
        container,
        item,
        tuple(mine),
        ownership,
        tuple(creating),
        tuple(claims.recreated.get(container.id, ())),
        tuple(notes),
    )


def _higher(item: Item, owners: Sequence[Managed]) -> Item:
    """Return the highest known price of a container: the one in the account's list, or one in an owner's state."""
    for told in (owner.item for owner in owners):
        if told is not None:
            item = higher(item, told)
    return item


def with_children(
    account: Reconciliation, belongings: dict[str, Belongings], stacks: Stacks, this: ThisAccount
) -> Reconciliation:
    """Return the account with the child objects of each container and their owners."""
    managed: dict[tuple[str, str], list[Managed]] = defaultdict(list)
    for resource in (one for state in stacks.read for one in state.managed):
        if resource.kind in _CHILDREN and this.why_elsewhere(resource) is None:
            managed[resource.kind, resource.id.casefold()].append(resource)
    known: set[tuple[str, str]] = set()
    creating = [
        operation
        for state in stacks.read
        for operation in state.interrupted
        if not this.is_other_api(operation.base_url)
    ]
    containers = []
    missing = []
    for one in account.containers:
        children = []
        for child in _children(one, belongings.get(one.container.id, Belongings())):
            key = (child.kind, child.id.casefold())
            known.add(key)
            with_id = [(resource, _is_it(resource, child, one)) for resource in managed.get(key, ())]
            owners = tuple(resource for resource, same in with_id if same is not False)
            of_other = tuple(resource for resource, same in with_id if same is False)
            missing += [
                _recreated(resource, one.container) for resource in of_other if not resource.in_transit
            ]
            made = tuple(
                operation
                for operation in creating
                if operation.may_have_made(child.kind, one.container.id, child.name)
            )
            judged = replace(
                child,
                owners=owners,
                creating=() if owners else made,
                recreated=of_other,
                sure=all(same is not None for _, same in with_id),
            )
            _, _, own = child.id.rpartition("/")
            is_known = is_unique(own) or child.kind in belongings[one.container.id].known
            ownership = _ownership(
                owners,
                judged.creating,
                sure=judged.sure,
                complete=account.complete and account.project is None and is_known,
                automatic=child.automatic,
            )
            children.append(replace(judged, ownership=ownership))
        containers.append(replace(one, children=tuple(children)))
    whole = {id_: has.known for id_, has in belongings.items()}
    missing += [
        Missing(
            resource,
            "it is no longer pinned, or was deleted"
            if kind == "PinnedBackup"
            else "the account does not have it",
        )
        for (kind, id_), resources in managed.items()
        for resource in resources
        if (kind, id_) not in known
        and not resource.in_transit
        # Only if the kind was read completely, or the container is certainly not in the account.
        and kind in whole.get(resource.id.partition("/")[0], _CHILDREN if not account.gap else ())
    ]
    gaps = tuple(
        f"{one.name}: {gap}"
        for one in account.containers
        for gap in belongings.get(one.container.id, Belongings()).gaps
    )
    return replace(
        account,
        containers=tuple(containers),
        missing=(*account.missing, *missing),
        gaps=(*account.gaps, *gaps),
    )


def _ownership(
    owners: Sequence[Managed],
    creating: Sequence[Interrupted],
    *,
    sure: bool,
    complete: bool,
    automatic: bool | None = False,
) -> Ownership:
    """Return the ownership of an object; `complete` states whether every possible owner is known."""
    if not sure:
        return "unknown"
    if owners:
        return "owned" if len(owners) == 1 else "double"
    if automatic:
        return "automatic"
    if creating:
        return "interrupted"
    return "orphan" if complete and automatic is False else "unknown"


def _is_it(resource: Managed, child: ChildRecord, one: ContainerRecord) -> bool | None:
    """
    Return whether a resource manages this child, not a child of an earlier container; `None` if this is unknown.

    If the resource's state lacks the container's creation time, the result depends on the container in the same stack,
    or on the child's own id or creation time.
    """
    now = one.container.created_at
    if resource.created_at is not None:
        return compare_instants(resource.created_at, now)
    times = [owner.created_at for owner in one.owners if owner.stack == resource.stack]
    return (
        any(compare_instants(time, now) for time in times)
        or is_unique(child.id.rpartition("/")[2])
        or compare_instants(resource.own_created_at, child.created_at)
        or None
    )


def _children(one: ContainerRecord, has: Belongings) -> Iterable[ChildRecord]:
    container = one.container.id
    for entry in has.access.allowed_ips:
        if entry.ip_address is None:
            # The id in a state contains the address, so without the address it is unknown whether a stack owns the
            # entry.
            continue
        address = canonical_network(entry.ip_address) or entry.ip_address
        yield ChildRecord(
            "AllowedIp",
            f"{container}/{address}",
            address,
            f"{address} ({entry.description or 'no description'})",
            ("DELETE", "containers", container, "allowed-ips", entry.id),
            inputs=said_of(entry),
            automatic=is_auto_added(has.access, entry),
        )
    for connection in has.connections:
        target = connection.target_name or connection.target_id or "?"
        yield ChildRecord(
            "Connection",
            f"{container}/{connection.id}",
            connection.name or "",
            f"{connection.name or connection.id} to {target}",
            ("DELETE", "containers", "connections", connection.id),
            connection.created_at,
        )
    for client in has.vpn_clients:
        yield ChildRecord(
            "VpnClient",
            f"{container}/{client.name}",
            client.name,
            client.name,
            ("DELETE", "containers", container, "vpn-clients", client.name),
            automatic=client.name == "default",
        )
    for backup in has.backups:
        yield ChildRecord(
            "PinnedBackup",
            f"{container}/{backup.id}",
            str(backup.id),
            f"backup {backup.id} of {backup.created_at}",
            ("POST", "backups", str(backup.id), "unpin"),
            backup.created_at,
        )
