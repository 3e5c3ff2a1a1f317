"""
Is it ours: is it there, the same object, in the same account, owned by which resource?

A container's id contains its name. So a container that was deleted and created again with the same name has the same
id. A container is therefore identified by its id and its creation time.
"""

from __future__ import annotations

import contextlib
import enum
import math
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from stacks_pulumi._clock import sleep_with_pulse
from stacks_pulumi._identifiers import (
    MOST_HOURS,
    QUARTER,
    account_of,
    compare_instants,
    is_before,
    name_of,
    quarters_of,
    same_name,
    seconds_of,
)
from stacks_pulumi.api import models
from stacks_pulumi.api._pages import UNSHOWN
from stacks_pulumi.api.containers import is_older
from stacks_pulumi.errors import ConfigError, ErrorCode, NotFoundError, StacksError
from stacks_pulumi.platform_file import Operation
from stacks_pulumi.resources._session import MAX_AGE, Session, check_operation
from stacks_pulumi.resources._stored import shown_time

# --- the same container? ---

CONTAINER_CREATED_AT: Final = "container_created_at"
"""The output in which a child resource records the creation time of its container."""

REQUESTED_AT: Final = "requested_at"
"""
The output with the time of the create request, by the API's clock. Only a container has it whose creation time no list
has shown yet.
"""

FORMER_TIMES: Final = "former_created_at"
"""The output with the earlier creation times of a container, on a platform where a start changes them."""

SPELLING: Final = "spelling"
"""
The output with the platform's spelling of name, template and plan. It exists only where that is not the program's.
"""

IDENTITY_CONFLICT: Final = "identity_conflict"
"""The output in which a refresh records that it cannot tell whether the object with the id is still the stack's."""

RECENT: Final = 2.0
"""Seconds for which one list serves the identity checks of the operations that the engine starts together."""


class Identity(enum.Enum):
    """How a container at the API relates to the one in the state."""

    SAME = "same"
    """It is the same container: no difference was found."""
    OTHER = "other"
    """It is another container: created at another time and from another template."""
    UNCERTAIN = "uncertain"
    """It was created at another time from the same template. It may be either: the guide does not say that a resize or
    a restore keeps the creation time."""
    UNKNOWN = "unknown"
    """One of the two creation times is missing, so they show nothing. It never counts as equal."""


def same_container(stored_created_at: str | None, created_at: str | None) -> Identity:
    """
    Compare two creation times of containers with one id.

    Children use it too: they record the time of their container (`CONTAINER_CREATED_AT`), and get the present one from
    `find_container` or `_running.creation_time`, which ask the container's status if the list has no time.

    Returns:
        `SAME` if both times are there and equal to the second, `UNCERTAIN` if they differ, `UNKNOWN` if one is missing.
    """
    same = compare_instants(stored_created_at, created_at)
    return Identity.UNKNOWN if same is None else Identity.SAME if same else Identity.UNCERTAIN


def identify(stored: Mapping[str, Any], container: models.Container) -> Identity:
    """
    Compare the container in the state with the one that the API returned for its id.

    Args:
        stored: The resource's outputs in the state: `created_at` and `template`.
        container: The container that has the id now.
    """
    identity = same_container(stored.get("created_at"), container.created_at)
    if identity is Identity.UNKNOWN and not _may_be_of_request(container, stored):
        identity = Identity.UNCERTAIN
    if identity is not Identity.UNCERTAIN:
        return identity
    template, spelling = stored.get("template"), stored.get(SPELLING) or {}
    may_be = (
        not template
        or container.is_from(template) is not False
        or container.template == spelling.get("template")
    )
    return Identity.UNCERTAIN if may_be else Identity.OTHER


class UnseenError(StacksError):
    """What is there cannot be told: it stays in the state, and nothing is changed."""

    code: ErrorCode = "outcome-unknown"


def find_container(
    session: Session,
    id_: str,
    *,
    stored: Mapping[str, Any] | None = None,
    shared: bool = False,
    max_age: float = 0.0,
    is_changed: Callable[[models.Container], bool] = lambda _row: False,
) -> models.Container | None:
    """
    Return the container with an id; `None` only if it certainly does not exist.

    There are two witnesses: the list and the container's own address. It is gone if both say so, or if its own address
    says so twice where the list has a gap. If they disagree, both are asked again until the platform's lag has passed.
    If no look has seen it since its creation, it may not be visible yet.

    Args:
        session: The account.
        id_: The container's id.
        stored: Its outputs in the state, if the caller has them.
        shared: Use the answers that all reads of this operation share.
        max_age: Otherwise, the greatest age of the list in seconds. A caller that acts on the status needs a new list.
        is_changed: Whether a row of the list differs from the state. Then the container's own address decides.

    Raises:
        UnseenError: The list shows it, and its own address does not, for longer than the platform's lag.
    """
    feed, client, state = session.client.feed, session.client, stored or {}
    clock, reads, known = session.clock, session.reads, state.get("created_at")
    began, looks = clock.now(), 0

    while True:
        looks += 1
        if shared and looks == 1:
            listed = reads.get("containers", ask=feed.snapshot)
        else:
            listed = feed.snapshot(max_age if looks == 1 else 0.0)
        row = next((one for one in listed if one.id == id_), None)
        is_plain = row is not None and None not in {row.created_at, row.status}
        if row is not None and is_plain and not is_before(row.created_at, known) and not is_changed(row):
            return row
        age = 0.0 if looks > 1 else MAX_AGE if shared else RECENT
        alone = reads.get("status", id_, ask=lambda: client.containers.find(id_), max_age=age)
        if alone is not None:
            return alone if row is None else alone.merge(row)
        if row is None and (listed.gap or "").startswith(UNSHOWN):
            # A part of the platform is out, and may answer 404 for what it has.
            listed.require_complete()
        if row is None and REQUESTED_AT in state and (named := _by_name(state, listed)) is not None:
            return named
        if row is None and _is_not_visible_yet(session, state, began + client.containers.visible):
            sleep_with_pulse(_PAUSE, clock, check_operation)
        elif row is None and (listed.gap is None or looks > 1):
            return None
        elif row is not None and clock.now() - began >= client.platform.lag:
            msg = f"the container {id_} is listed, and its own address says that it does not exist: try again later"
            raise UnseenError(msg)
        else:
            sleep_with_pulse(client.platform.pause, clock, check_operation)


_PAUSE: Final = 5.0
_LATEST: Final = 3600.0
"""Seconds after a create request: it has made no container later than that, also if it waited and was repeated."""


def _by_name(stored: Mapping[str, Any], listed: Iterable[models.Container]) -> models.Container | None:
    """Return the container that a create request of ours made, if its answer had an id that no list shows."""
    return next(
        (
            row
            for row in listed
            if same_name(row.name, str(stored.get("name")))
            and row.is_from(str(stored.get("template"))) is not False
            and _may_be_of_request(row, stored)
        ),
        None,
    )


def _may_be_of_request(container: models.Container, stored: Mapping[str, Any]) -> bool:
    """Return whether a create request of ours may have made a container, by the time of the request in the state."""
    requested, created = seconds_of(stored.get(REQUESTED_AT)), seconds_of(container.created_at)
    is_later = requested is not None and created is not None and created > requested + _LATEST
    return not is_later and not is_older(container, requested)


def _is_not_visible_yet(session: Session, stored: Mapping[str, Any], until: float) -> bool:
    """Return whether a container that was never seen may have been created a moment ago; wait until then for it."""
    requested, now = seconds_of(stored.get(REQUESTED_AT)), session.client.containers.server_now()
    if requested is None or now is None or session.clock.now() >= until:
        return False
    # The request's time is by the clock of creation times, which may be in another time zone than that of the dates.
    passed, visible = now - requested, session.client.containers.visible
    return passed % QUARTER < visible and abs(passed) <= MOST_HOURS


# --- may its creation time have changed? ---

_ANY: Final = ""
"""In the register of started containers: one that is not known."""
_STARTING: Final = 30.0
"""Seconds after our request in which a container starts (guide: 10 to 30 seconds)."""
_TOLERANCE: Final = 5.0


def is_still(
    session: Session, id_: str, stored: Mapping[str, Any], container: models.Container
) -> str | None:
    """Return why a container with another creation time is still the one in the state; `None` if nothing shows that."""
    known = stored.get("created_at")
    if reason := OWNERSHIP.why_it_moved(id_, known, container.created_at):
        return reason
    before, now = seconds_of(known), seconds_of(container.created_at)
    if before is None or now is None:
        return None
    if _has_our_subdomain(session, id_, stored):
        return "it has the random subdomain that is in the state"
    moved = now - before
    quarters = quarters_of(moved)
    together = OWNERSHIP.moved_together(id_, moved if quarters is None else quarters)
    if quarters is not None and together:
        return f"the times of all known containers moved by {quarters / 60:.0f} minutes"
    # What another client has created again, and then started, has such an object as well, but another address.
    ip = container.ip_address
    is_elsewhere = ip is not None and stored.get("ip_address", ip) != ip
    if not is_elsewhere and _has_older_child(session, id_, known, container.created_at):
        return "it has a connection, an address or a backup that is older, so it was not created again"
    return None


def _has_our_subdomain(session: Session, id_: str, stored: Mapping[str, Any]) -> bool:
    """Return whether a container has the random subdomain in the state, which one that was created again has not."""
    if not stored.get("subdomain"):
        return False
    with contextlib.suppress(NotFoundError):
        access = session.reads.get("allowed_ips", id_, ask=lambda: session.client.allowed_ips.list(id_))
        return bool(access.enabled) and access.subdomain == stored["subdomain"]
    return False


def still_same_container(
    session: Session, id_: str, stored_created_at: str | None, created_at: str | None
) -> Identity:
    """
    Compare the creation time of a container that a child recorded with the present one.

    Returns:
        As `same_container`, but `SAME` if the times differ and something shows that it is one container nevertheless.
    """
    identity = same_container(stored_created_at, created_at)
    if identity is Identity.UNCERTAIN and (
        OWNERSHIP.why_it_moved(id_, stored_created_at, created_at)
        or _has_older_child(session, id_, stored_created_at, created_at)
    ):
        return Identity.SAME
    return identity


def _has_older_child(session: Session, id_: str, stored: str | None, now: str | None) -> bool:
    """Return whether something that a deletion of the container removes was made between the two times."""
    if not is_before(stored, now):
        return False
    client, reads = session.client, session.reads
    times: list[str | None] = []
    with contextlib.suppress(NotFoundError):
        connections = reads.get("connections", id_, ask=lambda: client.connections.list(id_))
        times += [row.created_at for row in (*connections.outgoing, *connections.incoming)]
        access = reads.get("allowed_ips", id_, ask=lambda: client.allowed_ips.list(id_))
        times += [row.added_at for row in access.allowed_ips]
        times += [row.created_at for row in client.backups.list(id_)]
    # A restart follows a connection at once, so no tolerance: in a new container, nothing is older than it is.
    return any(
        not is_before(time, stored) and (seconds_of(time) or math.inf) < (seconds_of(now) or 0.0)
        for time in times
    )


def other_container(id_: str, container: models.Container) -> str:
    """Return the description of a container that only has the id of ours."""
    return f"the id {id_} belongs to another container now ({container.template}, created at {container.created_at})"


def uncertain(id_: str, stored: Mapping[str, Any], container: models.Container) -> str:
    """Return the description of a container that may be ours or another one."""
    known = stored.get("created_at") or stored.get(REQUESTED_AT)
    return (
        f"the container {id_} was created at {container.created_at}, and the one in the state at "
        f"{shown_time(known)}: it may be another stack's container with the same name"
    )


# --- the same account? ---

ORIGIN: Final = "origin"
"""
The output that identifies the key of the last change, and the creation. It has two parts: a part of a digest of key and
base URL, from which the key cannot be recovered, and a random number for each creation.
"""


def new_origin(session: Session) -> str:
    """Return the origin for an object that is being created or adopted."""
    return f"{session.fingerprint}-{secrets.token_hex(4)}"


def renewed_origin(session: Session, origin: str | None) -> str:
    """Return the origin for an object that is being changed: the token stays, the key may be another one."""
    return new_origin(session) if origin is None else f"{session.fingerprint}-{token_of(origin)}"


def token_of(origin: str | None) -> str | None:
    """Return the part of an origin that is unique to one creation or adoption."""
    return None if origin is None else origin.rpartition("-")[2]


def is_of_key(origin: str | None, fingerprint: str) -> bool:
    """Return whether the key with this fingerprint changed a resource last, so that it is in the key's account."""
    return origin is not None and origin.partition("-")[0] == fingerprint


def check_account(session: Session, id_: str, origin: str | None) -> None:
    """
    Check that a resource is in the account of the API key.

    With the key of another account, or another base URL, every resource seems to be deleted. A refresh would then
    remove it from the state, while it is still billed and reachable. An id begins with the account's part
    (`usr-abc12345-web`), which is the same for all containers of an account. An id of another form has no such part:
    only the container itself shows its account. If the key is the one of the last change, no request is sent.

    Args:
        session: The account of the key.
        id_: The resource's id, which begins with that of its container.
        origin: The resource's origin; `None` in states of version 0.1.

    Raises:
        ConfigError: The resource is in another account, or that cannot be ruled out.
        StacksError: The request to the API failed.
    """
    if is_of_key(origin, session.fingerprint):
        return
    listed = session.reads.get("containers", ask=session.client.feed.snapshot)
    accounts = {account_of(container.id) for container in listed if container.id.startswith("usr-")}
    container = id_.partition("/")[0]
    is_shown = not id_.startswith("usr-") and session.client.containers.find(container) is not None
    if is_shown or account_of(id_) in accounts:
        return
    if accounts:
        msg = (
            f"{id_} is not in the account of this API key, whose containers are {min(accounts)}-...: configure the key "
            "of the account that has it. (To create a new one in this account, give the resource another "
            "name in the program)"
        )
        raise ConfigError(msg, code="other-account")
    shown = "does not show it" if listed else "has no containers"
    msg = (
        f"{id_} was created with another API key, and the account of this key {shown}, so it is probably another "
        "account: configure the key of the account that has it. If this is that account and everything in it was "
        "deleted, remove the resource from the state with `pulumi state delete`"
    )
    raise ConfigError(msg, code="other-account")


# --- which resource owns an object? ---

Key = tuple[str, str]


class Owner(msgspec.Struct, frozen=True):
    """
    The resource that manages an object.

    Attributes:
        urn: Its URN in the program.
        token: The token of its creation or adoption; `None` in states of version 0.1.
        created_at: The creation time of the object in the state, for a container.
        replacing: Whether the engine replaces the object in this operation.
        created: Whether this operation has created the object.
    """

    urn: str
    token: str | None
    created_at: str | None = None
    replacing: bool = False
    created: bool = False

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return name_of(self.urn)

    def why_it_keeps(self, urn: str) -> str:
        """Return why the object is kept when the resource with this URN, its former owner, is deleted."""
        if self.urn == urn:
            return (
                "the new half of this replacement has adopted it. To recreate it, set "
                "opts=pulumi.ResourceOptions(delete_before_replace=True)"
            )
        return f"{self.name!r} in this program manages it now"


class Ownership:
    """
    Owners by kind and id, and the unique names that the program declares, for one run of the engine.

    A token identifies the owner, not a URN. Each creation or adoption generates a random token, which is stored in the
    resource's output `origin`. `diff` registers the token of every resource that the program still has; `create`
    registers its new token. A delete is carried out unless another token has been registered for the object. So the old
    half of a replacement is always deleted, whatever its URN is; what another resource has adopted is not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[Key, Owner] = {}
        self._names: dict[Key, str] = {}
        self._keys: dict[str, list[Key]] = {}
        self._declared: set[str] = set()
        self._undecided: set[str] = set()
        self._started: dict[str, list[float]] = {}
        self._moved: dict[str, float] = {}
        self._moves: Counter[float] = Counter()
        self._times: dict[str, list[str]] = {}
        self._of_children: dict[str, str | None] = {}
        self.backups: dict[str, str] = {}  # number -> container, of those that were compared with the state

    def clear(self) -> None:
        """Forget everything: the run of the engine has ended."""
        with self._lock:
            for known in vars(self).values():
                if known is not self._lock:
                    known.clear()

    def start(self, session: Session, operation: Operation, *ids: str) -> None:
        """
        Record that a request of this operation may start containers, after which their creation times may differ.

        Args:
            session: The account.
            operation: What the request does.
            ids: The containers; none if it is not known which one, as with the number of a backup.
        """
        client = session.client
        changing, now = client.platform.facts.containers.created_at_changes, client.containers.server_now()
        with self._lock:
            for id_ in ids or (_ANY,):
                times = self._started.setdefault(id_, [])
                if now is not None and (changing is None or operation in changing):
                    times.append(now)

    def has_started(self, id_: str) -> bool:
        """Return whether a request of this operation may have started the container."""
        with self._lock:
            return not self._started.keys().isdisjoint((id_, _ANY))

    def know_times(self, id_: str, outs: Mapping[str, Any], *others: str | None) -> None:
        """Record that one container of ours has, or had, the creation times in its outputs, and these others."""
        times = (*outs.get(FORMER_TIMES, ()), outs.get("created_at"), *others)
        with self._lock:
            self._times.setdefault(id_, []).extend(time for time in times if time is not None)

    def know_container(self, id_: str, created_at: str | None) -> None:
        """Record when a container was created, by a child's state; `None` if this operation replaces the container."""
        with self._lock:
            if self._of_children.get(id_, "") is not None:
                self._of_children[id_] = created_at

    def container_time(self, id_: str) -> str | None:
        """Return when our container with this id was created, by its own state or else by that of a child."""
        owner = self.owner("Container", id_)
        with self._lock:
            return self._of_children.get(id_) if owner is None else owner.created_at

    def why_it_moved(self, id_: str, stored: str | None, created_at: str | None) -> str | None:
        """Return why a container may have this creation time now and the stored one before; `None` if unknown."""
        seconds = seconds_of(created_at)
        with self._lock:
            started = [*self._started.get(id_, ()), *self._started.get(_ANY, ())]
            known = tuple(self._times.get(id_, ()))
        if seconds is not None and any(-_TOLERANCE <= seconds - start <= _STARTING for start in started):
            return "this operation has started it, and its creation time may change with a start"
        if all(any(compare_instants(time, other) for other in known) for time in (stored, created_at)):
            return "its creation time has changed before"
        return None

    def moved_together(self, id_: str, seconds: float) -> bool:
        """Record by how much a container's creation time moved; return whether that is so for all known ones."""
        with self._lock:
            self._moves.subtract([self._moved[id_]] if id_ in self._moved else ())
            self._moved[id_] = seconds
            self._moves[seconds] += 1
            return self._moves[seconds] == len(self._moved)

    def declare(self, urn: str, kind: str, names: Iterable[str]) -> str | None:
        """
        Record that the program has a resource with these unique names.

        Args:
            urn: The resource.
            kind: Its kind, with its account.
            names: Names that must be unique in the account; compared without case, because the API may ignore case.

        Returns:
            The name of another resource of the program that declares one of them, or `None`.
        """
        keys = [(kind, name.lower()) for name in names]
        with self._lock:
            self._declared.add(urn)
            self._undecided.add(urn)
            other = next((self._names[key] for key in keys if self._names.get(key, urn) != urn), None)
            if other is not None:
                return name_of(other)
            # If a resource no longer has a name, another resource may use it.
            for key in self._keys.get(urn, ()):
                self._names.pop(key, None)
            self._keys[urn] = keys
            self._names.update(dict.fromkeys(keys, urn))
        return None

    def keep(self, kind: str, id_: str, owner: Owner) -> None:
        """Record the owner of an object according to the state, if the program still has that resource."""
        with self._lock:
            # For `up --refresh`, the engine also calls `diff` for resources that the program no longer has.
            if owner.urn not in self._declared:
                return
            self._undecided.discard(owner.urn)
            known = self._owners.get((kind, id_))
            if known is None or known.token == owner.token:
                is_created = owner.created or (known is not None and known.created)
                self._owners[kind, id_] = msgspec.structs.replace(owner, created=is_created)

    def claim(self, kind: str, id_: str, owner: Owner) -> None:
        """Record that the object was created for, or adopted by, a resource."""
        with self._lock:
            self._undecided.discard(owner.urn)
            self._owners[kind, id_] = owner

    def owner(self, kind: str, id_: str) -> Owner | None:
        """Return the owner of an object, if this operation has seen one."""
        with self._lock:
            return self._owners.get((kind, id_))

    def has_created(self, kind: str, id_: object) -> bool:
        """Return whether this operation has created the object; the children of an earlier one are then deleted."""
        owner = self.owner(kind, id_) if isinstance(id_, str) else None
        return owner is not None and owner.created

    def taken_from(self, kind: str, id_: str, token: str | None) -> Owner | None:
        """Return the owner of an object if it is not the resource with this token."""
        owner = self.owner(kind, id_)
        return None if owner is None or owner.token == token else owner

    def is_replacing(self, kind: str, id_: str, urn: str) -> bool:
        """Return whether a delete of this object is the first half of a replacement."""
        # Usually `diff` has recorded that, whatever the URN of the delete is. For `pulumi up --replace` the engine does
        # not call `diff`: it checks the inputs, and then deletes the resource that it has just checked.
        with self._lock:
            owner = self._owners.get((kind, id_))
            return urn in self._undecided or (owner is not None and owner.replacing)

    def release(self, kind: str, id_: str, token: str | None) -> None:
        """Record that the object was deleted."""
        with self._lock:
            if (owner := self._owners.get((kind, id_))) is not None and owner.token == token:
                del self._owners[kind, id_]


OWNERSHIP: Final = Ownership()
"""The register of this process."""
