"""
What belongs to each container: allowed addresses, connections, VPN clients and pinned backups.

The API lists each kind for one container at a time, so this takes one to three calls a container.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
)
from stacks_pulumi.account.states import Managed
from stacks_pulumi.api.models import AllowedIp, Backup, Connection, Container, ExternalAccess, VpnClient
from stacks_pulumi.errors import NotFoundError

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient

__all__ = ["Belongings", "address_of", "ask", "calls_for", "is_auto_added", "with_children"]

_KINDS: Final = frozenset({"AllowedIp", "Connection", "PinnedBackup", "VpnClient"})
_KIND_OF: Final = {
    "access": "AllowedIp",
    "backups": "PinnedBackup",
    "connections": "Connection",
    "vpn_clients": "VpnClient",
}
_AT_ONCE: Final = 8
_NEWEST: Final = 100
_AUTO_ADDED: Final = "your ip (auto-added)"
"""The API's description of the caller's own address, in lower case (guide, "List Allowed IPs")."""


_CLOSED: Final = ExternalAccess()


@dataclass(frozen=True)
class Belongings:
    """
    What belongs to a container.

    Attributes:
        access: Whether and for whom it is open.
        connections: The connections that start at it.
        vpn_clients: The clients, if it is a VPN.
        backups: The pinned backups among the newest 100.
        known: The kinds that were read whole: an object of these kinds that is not here does not exist.
    """

    access: ExternalAccess = _CLOSED
    connections: tuple[Connection, ...] = ()
    vpn_clients: tuple[VpnClient, ...] = ()
    backups: tuple[Backup, ...] = ()
    known: frozenset[str] = frozenset()


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
    # A list may say that external access is off; the guide does not promise it.
    access = [] if container.external_access is False else [_ACCESS]
    # A VPN runs nothing that could use the variables of a connection.
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
    Read what belongs to the containers, several calls concurrently, within the rate limit.

    Args:
        client: The API.
        containers: The containers.
        backups: Whether the account has any backups.
        progress: Called after each call, with the number of calls that are done.
        stop: Set when this ends, however it ends: what still waits for the rate limit then gives up.

    Raises:
        StacksError: Something cannot be read whole.
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
        # After an error or Ctrl-C nothing more is asked.
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
        # The container was deleted meanwhile.
        return Belongings()
    access: ExternalAccess = parts.get("access", _CLOSED)
    for listing in (access.allowed_ips, *(part for what, part in parts.items() if what != "access")):
        listing.require_complete()
    backups = parts.get("backups", ())
    known = {"AllowedIp", *(_KIND_OF[what] for what in parts)}
    if len(backups) < _NEWEST:
        known.add("PinnedBackup")
    else:
        known.discard("PinnedBackup")
    return Belongings(
        access,
        tuple(parts.get("connections", ())),
        tuple(parts.get("vpn_clients", ())),
        tuple(backup for backup in backups if backup.pinned),
        frozenset(known),
    )


def is_auto_added(entry: AllowedIp) -> bool:
    """Return whether the platform put this address into the list by itself."""
    return (entry.description or "").strip().lower() == _AUTO_ADDED


def address_of(entry: AllowedIp) -> str | None:
    """
    Return an entry's address in the provider's form, which is part of the resource's id; `None` if it is no address.

    A single address has no prefix length. Host bits are dropped: such an entry filters by its network.
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
    Return the account with what belongs to each container, and who owns it.

    Args:
        account: The account without it.
        belongings: What belongs to each container, by its id.
        stacks: The stacks.
        place: Whether a resource of a state is in this account.
    """
    managed: dict[tuple[str, str], list[Managed]] = defaultdict(list)
    for resource in (one for state in stacks.read for one in state.managed):
        if resource.kind in _KINDS and place.elsewhere(resource) is None:
            managed[resource.kind, resource.id.casefold()].append(resource)
    known: set[tuple[str, str]] = set()
    found = []
    for one in account.found:
        children = []
        for child in _children(one, belongings.get(one.container.id, Belongings())):
            key = (child.kind, child.id.casefold())
            known.add(key)
            owners = tuple(
                resource
                for resource in managed.get(key, ())
                if same_instant(resource.created_at, one.container.created_at)
            )
            children.append(
                replace(
                    child, owners=owners, ownership=_ownership(child, owners, complete=not account.unread)
                )
            )
        found.append(replace(one, children=tuple(children)))
    missing = [
        Missing(
            resource,
            "no longer pinned, or gone" if kind == "PinnedBackup" else "the account does not have it",
        )
        for (kind, id_), resources in managed.items()
        for resource in resources
        if (kind, id_) not in known and _is_certain(kind, resource, belongings)
    ]
    return replace(account, found=tuple(found), missing=(*account.missing, *missing))


def _is_certain(kind: str, resource: Managed, belongings: dict[str, Belongings]) -> bool:
    """Whether what was not listed does not exist."""
    container = belongings.get(resource.id.partition("/")[0])
    return container is None or kind in container.known


def _ownership(child: ChildRecord, owners: Sequence[Managed], *, complete: bool) -> Ownership:
    if owners:
        return "owned" if len(owners) == 1 else "double"
    if child.automatic:
        return "automatic"
    return "orphan" if complete else "unknown"


def _children(one: FoundContainer, has: Belongings) -> Iterable[ChildRecord]:
    container = one.container.id
    for entry in has.access.allowed_ips:
        address = address_of(entry) or entry.ip_address or entry.id
        yield ChildRecord(
            "AllowedIp",
            f"{container}/{address}",
            f"{address} ({entry.description or 'no description'})",
            ("DELETE", "containers", container, "allowed-ips", entry.id),
            automatic=is_auto_added(entry),
        )
    for connection in has.connections:
        target = connection.target_name or connection.target_id or "?"
        yield ChildRecord(
            "Connection",
            f"{container}/{connection.id}",
            f"{connection.name or connection.id} to {target}",
            ("DELETE", "containers", "connections", connection.id),
        )
    for client in has.vpn_clients:
        yield ChildRecord(
            "VpnClient",
            f"{container}/{client.name}",
            client.name,
            ("DELETE", "containers", container, "vpn-clients", client.name),
            automatic=client.name == "default",
        )
    for backup in has.backups:
        yield ChildRecord(
            "PinnedBackup",
            f"{container}/{backup.id}",
            f"backup {backup.id} of {backup.created_at}",
            ("POST", "backups", str(backup.id), "unpin"),
        )
