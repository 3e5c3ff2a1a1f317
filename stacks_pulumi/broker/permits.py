"""Does a request fit a permit, according to the platform and the grant's own requests?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stacks_pulumi._identifiers import canonical_network, compare_instants, may_be_of, same_name
from stacks_pulumi.api.allowed_ips import AUTO_ADDED, label_of
from stacks_pulumi.api.allowed_ips import canonical as canonical_ip
from stacks_pulumi.api.backups import age
from stacks_pulumi.api.containers import is_older
from stacks_pulumi.api.models import Backup, Container
from stacks_pulumi.api.once import is_within
from stacks_pulumi.broker.change import (
    ANY,
    CONTAINERS,
    CREATE,
    EFFECTS,
    Constraint,
    Kind,
    Known,
    Permit,
    Secret,
    canonical,
    containers_in,
)
from stacks_pulumi.broker.ledger import DAY, PARENTS, Use
from stacks_pulumi.broker.limits import identity, is_same
from stacks_pulumi.broker.upstream import RECENT, Look

_KINDS: Final[Mapping[str, Kind]] = {
    "backup_id": "Backup",
    "connection_id": "Connection",
    "ip_id": "AllowedIp",
}
"""
Path variable -> the kind of the object that it names, if a container lists such objects with their creation times.
"""
_MADE_AS: Final[Mapping[str, Kind]] = {**_KINDS, "backup_id": "Pin", "client_name": "VpnClient"}
"""Path variable -> the kind that a grant must create to own the named object. Other variables name a container."""


_ANSWERED: Final = 2.0
"""Seconds after an answer in which its object may have been created, because times are in whole seconds."""
UNDONE: Final = 5
"""The highest number of times that an object may be created again after its removal, under one permit."""
TWICE: Final = frozenset({"AllowedIp", "Connection"})
"""Kinds of which two equal objects may exist. Other objects are unique by their name or by their container."""


class GoneError(Exception):
    """
    Raised if an object of a permit no longer exists in the place that the change states. The client receives a 404.
    """


@dataclass(frozen=True)
class Ask:
    """
    A request of a client, parsed.

    Attributes:
        endpoint: The endpoint.
        ids: The variables of its path.
        body: Its body.
        query: Its query.
    """

    endpoint: str
    ids: Mapping[str, str]
    body: Mapping[str, Any]
    query: Mapping[str, str]

    @property
    def containers(self) -> tuple[str, ...]:
        """The ids of the containers in its path."""
        return containers_in(self.ids)


def meet(one: Ask | Use, other: Ask | Use, has_name: Callable[[str, str], bool] = may_be_of) -> bool:
    """
    Return whether one of two requests may change an object of the other.

    `has_name` returns whether the container with a given id may have a given name.
    """
    return _touches(one, other, has_name) or _touches(other, one, has_name)


def _touches(one: Ask | Use, other: Ask | Use, has_name: Callable[[str, str], bool]) -> bool:
    if one.endpoint == CREATE:
        # An id may be used again, and it ends with the name of its container.
        name = str(one.body.get("name"))
        if other.endpoint == CREATE:
            return same_name(name, str(other.body.get("name")))
        return any(has_name(id_, name) for kind, id_ in _about(other) if kind == "container")
    # A connection does not change its target container.
    return not (_about(one) - {("container", one.ids.get("target_id", ""))}).isdisjoint(_about(other))


def _about(one: Ask | Use) -> set[tuple[str, str]]:
    """Return the containers in the path of a request; without such containers, all ids of the path."""
    containers = {("container", id_) for id_ in containers_in(one.ids)}
    return containers or {*one.ids.items()}


@dataclass(frozen=True)
class Holdings:
    """
    The objects that a grant knows and has created.

    Attributes:
        known: For each symbol, the container that already existed.
        uses: Its requests that took effect or may have taken effect, and whose result is bound to a symbol.
        own: The requests that created the grant's own existing objects.
    """

    known: Mapping[str, Known]
    uses: Sequence[Use]
    own: Sequence[Use]


def left(permit: Permit, uses: Sequence[Use]) -> int | None:
    """Return how often a permit may still be used; `None` for any number of times."""
    mine = [use.state for use in uses if use.permit == permit.n]
    undone = min(mine.count("undone"), UNDONE)
    return None if permit.times is None else max(permit.times - len(mine) + undone, 0)


def fits(permit: Permit, ask: Ask, holdings: Holdings, look: Look) -> bool:
    """Return whether a permit allows a request. The platform is asked only if everything else fits."""
    if permit.endpoint != ask.endpoint or permit.body.keys() != ask.body.keys():
        return False
    if any(value != ANY and not same(value, ask.body[name]) for name, value in permit.body.items()):
        return False
    if not all(fits_id(name, permit.ids[name], ask, holdings, look) for name in ask.ids):
        return False
    if permit.only_address is None:
        return True
    access = look.access(ask.ids["container_id"])
    access.allowed_ips.require_complete()
    wanted = canonical_network(permit.only_address)
    return all(canonical_network(entry.ip_address) == wanted for entry in access.allowed_ips)


def fits_secret(secret: Secret, ask: Ask, holdings: Holdings, look: Look) -> bool:
    """Return whether a change's permission to read a secret allows a read."""
    if secret.endpoint != ask.endpoint or not same(secret.query, dict(ask.query)):
        return False
    try:
        return all(fits_id(name, secret.ids[name], ask, holdings, look) for name in ask.ids)
    except GoneError:
        return False


def same(one: object, other: object) -> bool:
    """Return whether two values are equal as JSON, in which 1 differs from true."""
    return canonical(one) == canonical(other)


def key_of(one: Ask | Use) -> bytes:
    """Return the path and the body of a request: two requests to one endpoint are the same if both are equal."""
    return canonical([one.ids, one.body])


def fits_id(name: str, one: Constraint, ask: Ask, holdings: Holdings, look: Look) -> bool:
    """Return whether a constraint allows the id in a request."""
    value = ask.ids[name]
    if one.is_ is not None:
        if name == "client_name":
            return one.is_ == value and _is_client(one, ask, holdings, look)
        return one.is_ == value and _is_the_same(name, one, holdings, look)
    if one.of:
        known = [
            holdings.known[symbol] for symbol in one.of if symbol in holdings.known and name in CONTAINERS
        ]
        made = [use for use in holdings.uses if use.binds in one.of]
        return is_made(name, ask.ids, made, look) or any(
            container.id == value and is_expected(container, look) for container in known
        )
    if one.new_backup_of is not None:
        return any(
            (use.endpoint, use.binds, use.state) == ("backups.trigger", one.new_backup_of, "done")
            and value == new_backup(use, look)
            for use in holdings.uses
        )
    access = look.access(ask.ids["container_id"])
    entry = next((row for row in access.allowed_ips if row.id == value), None)
    if entry is None:
        return False
    if one.caller:
        # A person may have described other entries in the same words as the caller's.
        own = access.your_ip
        is_own = own is not None and canonical_ip(entry.ip_address) == canonical_ip(own)
        return is_own or label_of(entry) == AUTO_ADDED
    return canonical_network(entry.ip_address) == canonical_network(one.address)


def new_backup(use: Use, look: Look) -> str | None:
    """
    Return the id of the backup that a request triggered: the one that the list showed when the request was answered,
    or else the first backup that is new and not scheduled.

    A later backup may be another client's, because the backup of the request may be gone.
    """
    container = look.container(use.parent or "")
    if container is None or compare_instants(container.created_at, use.before["parent_made"]) is False:
        # Another container now has this id.
        return None
    if use.object:
        return use.object
    rows = look.rows("Backup", container.id).where(
        lambda row: not _is_foreign(row, use) and look.is_asked("Backup", {}, {}, row)
    )
    first = min(rows, key=age, default=None)
    return None if first is None else str(first.id)


def is_expected(container: Known, look: Look) -> bool:
    """
    Return whether the container that now has an id is the expected one. If no container has the id, the result is true,
    because the platform itself will refuse the request.
    """
    row = look.existing(container.id)
    return row is None or is_same(row, container)


def _is_the_same(name: str, one: Constraint, holdings: Holdings, look: Look) -> bool:
    if name in CONTAINERS:
        return is_expected(Known(id=one.is_ or "", created_at=one.created_at), look)
    if one.in_ is None:
        return True
    container = holdings.known[one.in_]
    if not is_expected(container, look):
        raise GoneError
    row = look.rows(_KINDS[name], container.id).find(lambda row: str(row.id) == one.is_)
    if row is None:
        raise GoneError
    return one.created_at is None or compare_instants(made_at(row), one.created_at) is True


def _is_client(one: Constraint, ask: Ask, holdings: Holdings, look: Look) -> bool:
    """
    Return whether a VPN client is the one with the stated creation time; without a stated time, whether it is the
    grant's own. The name of a client may be used again.
    """
    row = look.rows("VpnClient", ask.ids["vpn_container_id"]).find(lambda row: row.name == one.is_)
    if one.created_at is None and is_made("client_name", ask.ids, holdings.own, look):
        return True
    is_it = None if row is None else compare_instants(row.created_at, one.created_at)
    if row is None or is_it is False:
        raise GoneError
    # Where the platform lists no creation times, there is only the name.
    return is_it is True or (one.created_at is None and row.created_at is None)


def _is_foreign(row: Any, use: Use) -> bool:
    """Return whether a listed object certainly existed before a request, or was created long after it."""
    made, spans = made_at(row), use.before["spans"]
    # The name of a VPN client may soon be used again. Its own time is known if a list has shown the client.
    is_client = use.makes == "VpnClient"
    if is_client and use.created_at is not None:
        return compare_instants(made, use.created_at) is False
    is_later = is_within(made, spans, before=DAY, after=_ANSWERED if is_client else RECENT) is False
    return str(row.id) in use.before["ids"] or is_older(made, spans[0][0]) or is_later


def identity_of(row: Any) -> str:
    """Return the unique identity of a listed object."""
    return identity(row) if isinstance(row, Container) else str(row.id)


def made_at(row: Any) -> str | None:
    """Return when a listed object was created; `None` if that is unknown."""
    made: str | None = getattr(row, "added_at", None) or getattr(row, "created_at", None)
    return made


def is_made(name: str, ids: Mapping[str, str], uses: Sequence[Use], look: Look) -> bool:
    """Return whether one of these requests created the object of a path variable, in the container of the path."""
    containers = containers_in(ids)

    def is_there(use: Use) -> bool:
        if use.makes == "Container":
            return is_expected(use.container, look)
        if containers and (use.parent not in containers or not is_expected(use.parent_container, look)):
            return False
        if use.makes == "Pin":
            return True
        # The time shows whether the answer named an older object, or a person has used the name of a VPN client again.
        row = look.rows(use.makes, use.parent or "").find(lambda row: row.id == use.object)
        return row is None or not _is_foreign(row, use)

    kind = _MADE_AS.get(name, "Container")
    return any((use.makes, use.object) == (kind, ids[name]) and is_there(use) for use in uses)


def candidates(one: Ask | Use, look: Look) -> Sequence[Any]:
    """Return the rows of the list in which a created object would appear."""
    if one.endpoint != CREATE:
        return look.rows(
            EFFECTS[one.endpoint].makes, next(one.ids[name] for name in PARENTS if name in one.ids)
        )
    # An answer to a create contains only the container's id, and the id may also end with another container's name.
    name = str(one.body.get("name"))
    named = look.containers.where(lambda row: same_name(row.name, name) or may_be_of(row.id, name))
    # A list that lags behind may still show the container that had the name before.
    return named.where(lambda row: not look.is_gone(row))


def is_about_own(ask: Ask, holdings: Holdings, look: Look) -> bool:
    """Return whether the grant owns every container of a request, including the container of its backup."""
    if "backup_id" not in ask.ids:
        return bool(ask.ids) and all(is_made(name, ask.ids, holdings.own, look) for name in ask.ids)
    return own_backup(ask, holdings, look) is not None


def own_backup(ask: Ask, holdings: Holdings, look: Look) -> Backup | None:
    """Return the backup of a request, if one of the grant's own containers lists it."""
    mine = [one for one in holdings.own if one.makes == "Container" and is_expected(one.container, look)]
    rows = (row for one in mine for row in look.rows("Backup", one.object or ""))
    return next((row for row in rows if str(row.id) == ask.ids["backup_id"]), None)
