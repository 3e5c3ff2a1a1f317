"""
Reads the account: one list, single requests for containers that seem to be missing, and the child objects.

The child objects of each container: allowed addresses, connections, VPN clients and pinned backups.

The API lists each kind for only one container per call, so this takes one to three calls per container.
"""

from __future__ import annotations

import ipaddress
import math
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import same_instant
from stacks_pulumi.account.backend import Stacks
from stacks_pulumi.account.reconcile import (
    ChildRecord,
    FoundContainer,
    Missing,
    Ownership,
    Place,
    Reconciliation,
    recreated,
)
from stacks_pulumi.account.states import Managed
from stacks_pulumi.api.models import (
    ENDING_STATUSES,
    AllowedIp,
    Backup,
    Connection,
    Container,
    ExternalAccess,
    VpnClient,
)
from stacks_pulumi.cost import live
from stacks_pulumi.errors import NotFoundError, UnreadableAnswerError, WaitCancelledError
from stacks_pulumi.pricing.money import count

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient

__all__ = [
    "Belongings",
    "Progress",
    "address_of",
    "ask",
    "belongings",
    "calls_for",
    "confirm_missing",
    "connected",
    "is_auto_added",
    "with_children",
]

_KINDS: Final = frozenset({"AllowedIp", "Connection", "PinnedBackup", "VpnClient"})
_KIND_OF: Final = {
    "access": "AllowedIp",
    "backups": "PinnedBackup",
    "connections": "Connection",
    "vpn_clients": "VpnClient",
}
_WORDS: Final = {
    "access": "allowed addresses",
    "backups": "backups",
    "connections": "connections",
    "vpn_clients": "VPN clients",
}
_AT_ONCE: Final = 8
_NEWEST: Final = 100
_AUTO_ADDED: Final = "your ip (auto-added)"
"""The API's description of the caller's own address, in lower case (guide, "List Allowed IPs")."""


_CLOSED: Final = ExternalAccess()


@dataclass(frozen=True)
class Belongings:
    """
    The child objects of a container.

    Attributes:
        access: Its external access and the allowed addresses.
        connections: The connections whose source it is.
        vpn_clients: The clients, if it is a VPN.
        backups: The pinned backups among the newest 100.
        known: The kinds that were read completely: an object of these kinds that is not here does not exist.
        gaps: What could not be read, and why.
    """

    access: ExternalAccess = _CLOSED
    connections: tuple[Connection, ...] = ()
    vpn_clients: tuple[VpnClient, ...] = ()
    backups: tuple[Backup, ...] = ()
    known: frozenset[str] = frozenset()
    gaps: tuple[str, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether the container was deleted while its child objects were read."""
        return not (self.known or self.gaps)


_Ask = tuple[str, Callable[["StacksClient", str], Any]]

_ACCESS: Final[_Ask] = ("access", lambda client, id_: client.allowed_ips.list(id_))
_CONNECTIONS: Final[_Ask] = ("connections", lambda client, id_: client.connections.list(id_).outgoing)
_CLIENTS: Final[_Ask] = ("vpn_clients", lambda client, id_: client.vpn_clients.list(id_))
_BACKUPS: Final[_Ask] = ("backups", lambda client, id_: client.backups.list(id_, limit=_NEWEST))


def calls_for(container: Container, *, backups: bool = True) -> list[_Ask]:
    """
    Return the API calls for a container.

    Args:
        container: The container.
        backups: Whether the account has any backups.
    """
    # The list may report that external access is off, but the guide does not guarantee it.
    access = [] if container.external_access is False else [_ACCESS]
    # A VPN container runs no program that could use the variables of a connection.
    network = _CLIENTS if container.template == catalog.VPN_TEMPLATE else _CONNECTIONS
    return [*access, network, *([_BACKUPS] if backups else [])]


def ask(
    client: StacksClient,
    containers: Sequence[Container],
    *,
    backups: bool = True,
    progress: Callable[[int], None] = lambda _done: None,
    stop: threading.Event | None = None,
) -> dict[str, Belongings]:
    """
    Read the child objects of the containers with concurrent calls, within the rate limit.

    Args:
        client: The API.
        containers: The containers.
        backups: Whether the account has any backups.
        progress: Called after each call, with the number of calls that are done.
        stop: Set when this function ends, with or without an error. It ends all waits for the rate limit.

    Raises:
        StacksError: A list cannot be read completely.
    """
    calls = [
        (container.id, what, get)
        for container in containers
        for what, get in calls_for(container, backups=backups)
    ]
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        results = pool.map(lambda call: _one(client, call[0], call[2]), calls)
        for number, ((id_, what, _), result) in enumerate(zip(calls, results, strict=True), start=1):
            found[id_][what] = result
            progress(number)
    finally:
        # After an error or Ctrl-C no further call is made.
        if stop is not None:
            stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
    return {container.id: _belongings(found[container.id]) for container in containers}


def _one(client: StacksClient, id_: str, get: Callable[[StacksClient, str], Any]) -> Any:
    try:
        return get(client, id_)
    except NotFoundError:
        return None


def _belongings(parts: dict[str, Any]) -> Belongings:
    if any(part is None for part in parts.values()):
        # The container was deleted during the calls.
        return Belongings()
    access: ExternalAccess = parts.get("access", _CLOSED)
    backups = parts.get("backups", ())
    known = {"AllowedIp", "PinnedBackup", *(_KIND_OF[what] for what in parts)}
    if len(backups) >= _NEWEST:
        known.discard("PinnedBackup")
    # One unreadable row does not hide the rest of an account: it is reported, and no resource that may be in that row
    # is reported as missing.
    gaps = {
        what: listing.gap
        for what, listing in {**parts, "access": access.allowed_ips}.items()
        if listing.gap is not None
    }
    if any(entry.ip_address is None for entry in access.allowed_ips):
        gaps.setdefault("access", "one has no address that can be read")
    if any(backup.pinned is None for backup in backups):
        gaps.setdefault("backups", "whether one is pinned cannot be read")
    known -= {_KIND_OF[what] for what in gaps}
    return Belongings(
        access,
        tuple(parts.get("connections", ())),
        tuple(parts.get("vpn_clients", ())),
        tuple(backup for backup in backups if backup.pinned),
        frozenset(known),
        tuple(f"the list of {_WORDS[what]} is incomplete ({gap})" for what, gap in gaps.items()),
    )


def is_auto_added(entry: AllowedIp) -> bool:
    """Return whether the platform added this address automatically."""
    return (entry.description or "").strip().lower() == _AUTO_ADDED


def address_of(entry: AllowedIp) -> str | None:
    """
    Return an entry's address in the provider's form, as in the resource's id; `None` if it is not a valid address.

    A single address has no prefix length. Host bits are removed, because such an entry allows its whole network.
    """
    try:
        network = ipaddress.ip_network(entry.ip_address or "", strict=False)
    except ValueError:
        return None
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if alone else str(network)


def with_children(
    account: Reconciliation, belongings: dict[str, Belongings], stacks: Stacks, place: Place
) -> Reconciliation:
    """
    Return the account with the child objects of each container and their owners.

    Args:
        account: The account without child objects.
        belongings: The child objects of each container, by its id.
        stacks: The stacks.
        place: Whether a resource of a state is in this account.
    """
    managed: dict[tuple[str, str], list[Managed]] = defaultdict(list)
    for resource in (one for state in stacks.read for one in state.managed):
        if resource.kind in _KINDS and place.elsewhere(resource) is None:
            managed[resource.kind, resource.id.casefold()].append(resource)
    known: set[tuple[str, str]] = set()
    creating = [
        operation
        for state in stacks.read
        for operation in state.interrupted
        if not place.other_api(operation.base_url)
    ]
    found = []
    missing = []
    for one in account.found:
        children = []
        for child in _children(one, belongings.get(one.container.id, Belongings())):
            key = (child.kind, child.id.casefold())
            known.add(key)
            with_id = managed.get(key, ())
            owners = tuple(
                resource
                for resource in with_id
                if same_instant(resource.created_at, one.container.created_at)
            )
            of_other = tuple(resource for resource in with_id if resource not in owners)
            missing += [
                recreated(resource, one.container) for resource in of_other if not resource.in_transit
            ]
            made = tuple(
                operation
                for operation in creating
                if operation.may_have_made(child.kind, one.container.id, child.name)
            )
            judged = replace(child, owners=owners, creating=() if owners else made, recreated=of_other)
            children.append(replace(judged, ownership=_ownership(judged, complete=not account.unread)))
        found.append(replace(one, children=tuple(children)))
    missing += [
        Missing(
            resource,
            "no longer pinned, or gone" if kind == "PinnedBackup" else "the account does not have it",
        )
        for (kind, id_), resources in managed.items()
        for resource in resources
        if (kind, id_) not in known and not resource.in_transit and _is_certain(kind, resource, belongings)
    ]
    gaps = tuple(
        f"{one.name}: {gap}"
        for one in account.found
        for gap in belongings.get(one.container.id, Belongings()).gaps
    )
    return replace(account, found=tuple(found), missing=(*account.missing, *missing), gaps=gaps)


def _is_certain(kind: str, resource: Managed, belongings: dict[str, Belongings]) -> bool:
    """Whether a resource that was not listed certainly does not exist."""
    container = belongings.get(resource.id.partition("/")[0])
    return container is None or kind in container.known


def _ownership(child: ChildRecord, *, complete: bool) -> Ownership:
    if child.owners:
        return "owned" if len(child.owners) == 1 else "double"
    if child.automatic:
        return "automatic"
    if child.creating:
        return "interrupted"
    return "orphan" if complete else "unknown"


def _children(one: FoundContainer, has: Belongings) -> Iterable[ChildRecord]:
    container = one.container.id
    for entry in has.access.allowed_ips:
        if entry.ip_address is None:
            # Its id in a state contains the address, so it is unknown whether a stack owns it.
            continue
        address = address_of(entry) or entry.ip_address
        yield ChildRecord(
            "AllowedIp",
            f"{container}/{address}",
            address,
            f"{address} ({entry.description or 'no description'})",
            ("DELETE", "containers", container, "allowed-ips", entry.id),
            automatic=is_auto_added(entry),
        )
    for connection in has.connections:
        target = connection.target_name or connection.target_id or "?"
        yield ChildRecord(
            "Connection",
            f"{container}/{connection.id}",
            connection.name or "",
            f"{connection.name or connection.id} to {target}",
            ("DELETE", "containers", "connections", connection.id),
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
        )


_CONFIRMED: Final = 3
"""How many missing containers are requested one by one: with the list that is at most five calls."""
_FEW: Final = 60
"""Up to this number, calls take only seconds, so no progress is shown."""
_STEP: Final = 0.1
_PATIENCE: Final = 15.0


@contextmanager
def connected() -> Iterator[tuple[StacksClient, threading.Event]]:
    """
    Connect to the account in the environment.

    Yields:
        The client, and an event that ends every wait for the rate limit once it is set.

    Raises:
        ConfigError: There is no key, or a value is malformed.
    """
    stop = threading.Event()

    def on_limit(_seconds: float, _queued: int) -> None:
        if stop.is_set():
            raise WaitCancelledError("interrupted", subject="the rate limit")

    with live.connect(on_limit) as client:
        yield client, stop


def confirm_missing(client: StacksClient, account: Reconciliation) -> None:
    """
    Request some of the containers that are in a state but not in the list.

    Raises:
        UnreadableAnswerError: One of them exists, so the list cannot be trusted.
    """
    listed = {one.container.id for one in account.found}
    absent = dict.fromkeys(
        missing.resource.id for missing in account.missing if missing.resource.id not in listed
    )
    for id_ in list(absent)[:_CONFIRMED]:
        try:
            seen = client.containers.status(id_)
        except NotFoundError:
            continue
        if seen.status not in ENDING_STATUSES:
            msg = f"the API's list leaves out {id_}, which exists (it may be new): run the command again"
            raise UnreadableAnswerError(msg, status=200)


def belongings(
    client: StacksClient,
    containers: Sequence[Container],
    stop: threading.Event,
    write: Callable[[str], object] | None = None,
) -> dict[str, Belongings]:
    """
    Read the child objects of the containers. Before that, print how long it will take.

    Args:
        client: The API.
        containers: The containers.
        stop: Ends every wait for the rate limit once it is set.
        write: Prints the progress; by default to standard error.

    Raises:
        StacksError: A list cannot be read completely.
    """
    if not containers:
        return {}
    # In an account without backups, this one call saves one call per container.
    has_backups = client.backups.stats().total_backups != 0
    calls = sum(len(calls_for(container, backups=has_backups)) for container in containers)
    progress = Progress(calls, client.requests_per_minute, write or sys.stderr.write)
    progress.announce(len(containers))
    return ask(client, containers, backups=has_backups, progress=progress.done, stop=stop)


class Progress:
    """
    Prints lines with the progress.

    Args:
        calls: The total number of calls.
        per_minute: How many calls per minute the rate limit allows.
        write: Prints a line.
        now: Returns the time in seconds.
    """

    def __init__(
        self,
        calls: int,
        per_minute: int,
        write: Callable[[str], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._per_minute = max(per_minute, 1)
        self._write = write
        self._now = now
        self._next = _STEP
        self._last = now()

    def announce(self, containers: int) -> None:
        """Print how many calls there will be and how long they will take."""
        # The calls of the first minute are sent immediately.
        minutes = math.ceil(self._calls / self._per_minute) - 1
        takes = "seconds" if minutes < 1 else f"about {count(minutes, 'minute')}"
        self._write(
            f"reading what belongs to {count(containers, 'container')}: {count(self._calls, 'call')}, {takes} at "
            f"{self._per_minute} calls a minute\n"
        )

    def done(self, calls: int) -> None:
        """Print how many calls are done: after each tenth of them, and every 15 seconds."""
        if self._calls <= _FEW:
            return
        share, now = calls / self._calls, self._now()
        if calls < self._calls and share < self._next and now - self._last < _PATIENCE:
            return
        self._next = max(self._next, (math.floor(share / _STEP) + 1) * _STEP)
        self._last = now
        self._write(f"{calls} of {count(self._calls, 'call')} done\n")
