"""
What does the account contain, and how many calls does it take to read it?

The account contains containers and their child objects: allowed addresses, connections, VPN clients and pinned backups.
One list shows all containers. The API lists the child objects of one kind and one container per call, so one to three
calls are needed per container. If an object seems to be missing, its list is read a second time.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.account.progress import progress
from stacks_pulumi.api import StacksClient, allowed_ips, backups, connections, vpn_clients
from stacks_pulumi.api._call import Call
from stacks_pulumi.api.models import (
    AllowedIp,
    Backup,
    Connection,
    Connections,
    Container,
    ExternalAccess,
    Listing,
    VpnClient,
)
from stacks_pulumi.api.once import look_twice
from stacks_pulumi.errors import NotFoundError, WaitCancelledError
from stacks_pulumi.pricing.money import count

_AT_ONCE: Final = 8
_NEWEST: Final = 100

_CLOSED: Final = ExternalAccess()
_NONE: Final = Connections()


@dataclass(frozen=True)
class Belongings:
    """
    The child objects of a container.

    Attributes:
        access: Its external access and the allowed addresses.
        connections: The connections that start at the container.
        incoming: The connections that lead to the container.
        vpn_clients: The VPN clients, if the container is a VPN.
        backups: The pinned backups among the newest 100.
        known: The kinds that were read completely. If an object of such a kind is not in these lists, it does not
            exist.
        gaps: The parts that could not be read, and why.
    """

    access: ExternalAccess = _CLOSED
    connections: tuple[Connection, ...] = ()
    incoming: tuple[Connection, ...] = ()
    vpn_clients: tuple[VpnClient, ...] = ()
    backups: tuple[Backup, ...] = ()
    known: frozenset[str] = frozenset()
    gaps: tuple[str, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether the container was deleted while its child objects were read."""
        return not (self.known or self.gaps)

    def joined(self, later: Belongings) -> Belongings:
        """Return the objects of this read and of a later read, because each read may miss an existing object."""
        if later.deleted:
            return later
        entries = _joined(self.access.allowed_ips, later.access.allowed_ips)
        return Belongings(
            msgspec.structs.replace(later.access, allowed_ips=Listing(entries)),
            _joined(self.connections, later.connections),
            _joined(self.incoming, later.incoming),
            _joined(self.vpn_clients, later.vpn_clients),
            _joined(self.backups, later.backups),
            self.known & later.known,
            tuple(dict.fromkeys(self.gaps + later.gaps)),
        )


def _joined(rows: Sequence[Any], later: Sequence[Any]) -> tuple[Any, ...]:
    return tuple({row.id: row for row in (*rows, *later)}.values())


_LISTS: Final[Mapping[str, tuple[str, Callable[[str], Call[Any]]]]] = {
    "AllowedIp": ("allowed addresses", allowed_ips.list_call),
    "Connection": ("connections", connections.list_call),
    "VpnClient": ("VPN clients", vpn_clients.list_call),
    "PinnedBackup": ("backups", partial(backups.list_call, limit=_NEWEST)),
}
"""Kind of child objects -> its display name, and the request that lists it."""


def belongings(
    client: StacksClient,
    containers: Sequence[Container],
    *,
    everything: Sequence[Container] = (),
) -> dict[str, Belongings]:
    """
    Print the expected time, and then read the child objects of the containers.

    Raises:
        StacksError: A list cannot be read completely.
    """
    if not containers:
        return {}
    # In an account without backups, this one call saves one call per container.
    has_backups = client.backups.stats().total_backups != 0
    calls = sum(len(kinds_of(container, backups=has_backups)) for container in containers)
    per_minute = max(client.requests_per_minute, 1)
    # The calls that the rate limit allows in one minute are sent immediately.
    minutes = math.ceil(calls / per_minute) - 1
    takes = "seconds" if minutes < 1 else f"about {count(minutes, 'minute')}"
    sys.stderr.write(
        f"reading what belongs to {count(len(containers), 'container')} takes {takes}: {count(calls, 'call')}, with a "
        f"limit of {per_minute} a minute\n"
    )
    return ask(
        client,
        containers,
        everything=everything,
        backups=has_backups,
        done=progress(calls, "call", "done"),
    )


def read_twice(
    client: StacksClient,
    containers: Sequence[Container],
    has: dict[str, Belongings],
    lacking: Callable[[dict[str, Belongings]], Collection[str]],
) -> dict[str, Belongings]:
    """
    Return the child objects. If a container seems to lack one, the container's lists are read again after a pause.

    Raises:
        StacksError: A list cannot be read.
    """
    readings: list[dict[str, Belongings]] = []

    def look() -> bool | None:
        if readings:
            concerned = [container for container in containers if container.id in lacking(has)]
            again = ask(client, concerned, everything=containers)
            readings.append({**has, **{id_: has[id_].joined(found) for id_, found in again.items()}})
        else:
            readings.append(has)
        return None if lacking(readings[-1]) else True

    look_twice(look, SYSTEM_CLOCK, client.platform.pause)
    return readings[-1]


def kinds_of(container: Container, *, backups: bool = True) -> list[str]:
    """Return the kinds of child objects that a container may have."""
    # Do not rely on the list of containers here: the guide does not guarantee that it shows external access.
    access = [] if container.external_access is False else ["AllowedIp"]
    # A VPN container runs no program that could use the variables of a connection.
    network = "VpnClient" if container.template == catalog.VPN_TEMPLATE else "Connection"
    return [*access, network, *(["PinnedBackup"] if backups else [])]


def ask(
    client: StacksClient,
    containers: Sequence[Container],
    *,
    everything: Sequence[Container] = (),
    backups: bool = True,
    kind: str | None = None,
    done: Callable[[int], None] = lambda _number: None,
) -> dict[str, Belongings]:
    """
    Read the child objects of the containers with concurrent calls, within the rate limit.

    Args:
        client: The API.
        containers: The containers.
        everything: All containers of the account, if `containers` are only some of them. A connection that starts at
            one of the others is left out, and is not a gap.
        backups: Whether the account has any backups.
        kind: The only kind to read; by default all kinds are read.
        done: Called after each call, with the number of finished calls.

    Raises:
        StacksError: A list cannot be read completely.
    """
    calls = [
        (container.id, one)
        for container in containers
        for one in kinds_of(container, backups=backups)
        if kind in {None, one}
    ]
    listings: dict[str, dict[str, Any]] = defaultdict(dict)
    failed = threading.Event()
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        results = pool.map(lambda call: _listing(client, failed, *call), calls)
        for number, ((id_, one), result) in enumerate(zip(calls, results, strict=True), start=1):
            listings[id_][one] = result
            done(number)
    except BaseException:
        failed.set()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    has = {container.id: _belongings(listings[container.id]) for container in containers}
    return _with_sources(containers, has, everything)


def _with_sources(
    containers: Sequence[Container], has: dict[str, Belongings], everything: Sequence[Container]
) -> dict[str, Belongings]:
    """Add to each source the connections that the platform lists only at their targets."""
    outgoing = {row.id for one in has.values() for row in one.connections}
    by_name = {one.name.casefold(): one.id for one in (*everything, *containers) if one.name}
    others = {one.id for one in everything} - has.keys()
    for target in containers:
        for row in has[target.id].incoming:
            if row.id in outgoing:
                continue
            source = row.source_id or by_name.get((row.source_name or "").casefold())
            if source in others:
                continue
            if source not in has:
                gap = f"the source of connection {row.id} is not known"
                has[target.id] = replace(has[target.id], gaps=(*has[target.id].gaps, gap))
                has = {id_: replace(one, known=one.known - {"Connection"}) for id_, one in has.items()}
            else:
                row = msgspec.structs.replace(row, target_id=target.id, target_name=target.name)  # noqa: PLW2901  (the same connection, seen from its source)
                has[source] = replace(has[source], connections=(*has[source].connections, row))
    return has


def _listing(client: StacksClient, failed: threading.Event, id_: str, kind: str) -> Any:
    """Return a list of child objects; `None` if there is no such container."""

    def check() -> None:
        # After an error or Ctrl-C, make no further call.
        if failed.is_set():
            raise WaitCancelledError("interrupted", subject="the rate limit")

    _, call = _LISTS[kind]
    try:
        # All handlers send calls in the same way, so `client.backups` can send a call for any kind of list.
        return client.backups.send(msgspec.structs.replace(call(id_), pulse=check))
    except NotFoundError:
        return None


def _belongings(listings: dict[str, Any]) -> Belongings:
    if any(listing is None for listing in listings.values()):
        # The container was deleted during the calls.
        return Belongings()
    access: ExternalAccess = listings.get("AllowedIp", _CLOSED)
    connections: Connections = listings.get("Connection", _NONE)
    backups = listings.get("PinnedBackup", ())
    known = {"AllowedIp", "PinnedBackup", *listings}
    if len(backups) >= _NEWEST:
        known.discard("PinnedBackup")
    # One unreadable row does not hide the rest of an account. It is reported as a gap, and no resource that may be in
    # that row is reported as missing.
    rows: list[tuple[str, Listing[Any]]] = [
        ("AllowedIp", access.allowed_ips),
        ("Connection", connections.incoming),
        ("Connection", connections.outgoing),
        *((kind, listing) for kind, listing in listings.items() if isinstance(listing, Listing)),
    ]
    gaps = {kind: listing.gap for kind, listing in rows if listing.gap is not None}
    if any(backup.pinned is None for backup in backups):
        gaps.setdefault("PinnedBackup", "it does not show whether a backup is pinned")
    return Belongings(
        access,
        tuple(connections.outgoing),
        tuple(connections.incoming),
        tuple(listings.get("VpnClient", ())),
        tuple(backup for backup in backups if backup.pinned),
        frozenset(known - gaps.keys()),
        tuple(f"the list of {_LISTS[kind][0]} is incomplete ({gap})" for kind, gap in gaps.items()),
    )


_DEFAULTS: Final = {"description": "Custom IP", "service_type": "both"}


def said_of(entry: AllowedIp) -> dict[str, str]:
    """Return the inputs, without defaults, with which a program adopts an allowed address unchanged."""
    inputs = {"description": entry.description, "service_type": entry.service_type}
    return {name: value for name, value in inputs.items() if value and value != _DEFAULTS[name]}
