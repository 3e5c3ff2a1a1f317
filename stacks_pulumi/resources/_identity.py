"""
Is it ours: the same object, in the same account, owned by which resource, declared only once?

A container's id contains its name. So a container that was deleted and created again with the same name has the same
id. A container is therefore identified by its id and its creation time.
"""

from __future__ import annotations

import contextlib
import enum
import secrets
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import pulumi
from pulumi.runtime import get_root_resource
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

from stacks_pulumi._identifiers import account_of, is_instant, name_of, same_instant
from stacks_pulumi._pulumi_cli import pulumi_home
from stacks_pulumi.api import models
from stacks_pulumi.config import NAMESPACE
from stacks_pulumi.errors import ConfigError, NotFoundError, StacksError, WaitCancelledError
from stacks_pulumi.resources import _fields
from stacks_pulumi.resources._session import Session
from stacks_pulumi.resources.provider import shown_alone

# --- the same container? ---

CONTAINER_CREATED_AT: Final = "container_created_at"
"""The output in which a child resource records the creation time of its container."""

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
    `find_container` or `creation_time`, which ask the container's status if the list has no time.

    Returns:
        `SAME` if both times are there and equal to the second, `UNCERTAIN` if they differ, `UNKNOWN` if one is missing.
    """
    if not is_instant(stored_created_at) or not is_instant(created_at):
        return Identity.UNKNOWN
    return Identity.SAME if same_instant(stored_created_at, created_at) else Identity.UNCERTAIN


def identify(stored: Mapping[str, Any], container: models.Container) -> Identity:
    """
    Compare the container in the state with the one that the API returned for its id.

    Args:
        stored: The resource's outputs in the state: `created_at` and `template`.
        container: The container that has the id now.
    """
    identity = same_container(stored.get("created_at"), container.created_at)
    if identity is not Identity.UNCERTAIN:
        return identity
    template = stored.get("template")
    return Identity.UNCERTAIN if not template or container.made_from(template) else Identity.OTHER


def find_container(
    session: Session, id_: str, *, shared: bool = False, max_age: float = 0.0
) -> models.Container | None:
    """
    Return the container with an id; `None` only if it certainly does not exist.

    If the list does not have the container, it is requested by its id as well: a list that is empty by mistake must not
    make the engine remove a container from the state while it is billed.

    Args:
        session: The account.
        id_: The container's id.
        shared: Use the list that all reads of this operation share.
        max_age: Otherwise, the greatest age of the list in seconds. A caller that acts on the status needs a new list.
    """
    feed = session.client.feed
    listed = session.reads.get("containers", ask=feed.snapshot) if shared else feed.snapshot(max_age)
    found = next((container for container in listed if container.id == id_), None)
    if found is not None:
        return found
    try:
        return session.client.containers.status(id_)
    except NotFoundError:
        return None


def creation_time(session: Session, id_: str) -> str | None:
    """
    Return a container's creation time from a recent list; `None` if no list shows it.

    A container that this operation has created needs no recent list. A list that cannot be read is not an error here,
    because the outputs of an existing object must not be lost.
    """
    created_at = session.created.created_at(id_)
    if created_at is not None:
        return created_at
    feed = session.client.feed
    try:
        # After a creation this sends no request: the wait for the new container has just read a list.
        container = feed.find(id_, max_age=60.0) or feed.find(id_, max_age=RECENT)
    except WaitCancelledError:
        raise
    except StacksError:
        return None
    return None if container is None else container.created_at


def rebinds(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether the program asks to adopt the container that has the id now."""
    return news.get("adopt") == "if_matching" and olds.get(IDENTITY_CONFLICT) is not None


def other_container(id_: str, container: models.Container) -> str:
    """Return the description of a container that only has the id of ours."""
    return f"the id {id_} belongs to another container now ({container.template}, created at {container.created_at})"


def uncertain(id_: str, stored: Mapping[str, Any], container: models.Container) -> str:
    """Return the description of a container that may be ours or another one."""
    return (
        f"the container {id_} was created at {container.created_at}, and the one in the state at "
        f"{stored.get('created_at')}: it may be another stack's container with the same name"
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


def check_account(session: Session, id_: str, origin: str | None) -> None:
    """
    Check that a resource is in the account of the API key.

    With the key of another account, or another base URL, every resource seems to be deleted. A refresh would then
    remove it from the state, while it is still billed and reachable. An id begins with the account's part
    (`usr-abc12345-web`), which is the same for all containers of an account. If the key is the one of the last change,
    no request is sent.

    Args:
        session: The account of the key.
        id_: The resource's id, which begins with that of its container.
        origin: The resource's origin; `None` in states of version 0.1.

    Raises:
        ConfigError: The resource is in another account, or that cannot be ruled out.
        StacksError: The request to the API failed.
    """
    if origin is not None and origin.partition("-")[0] == session.fingerprint:
        return
    listed = session.reads.get("containers", ask=session.client.feed.snapshot)
    accounts = {account_of(container.id) for container in listed}
    if account_of(id_) in accounts:
        return
    if accounts:
        msg = (
            f"{id_} is not in the account of this API key, whose containers are {min(accounts)}-...: configure the key "
            "of the account that has it. (To create a new one in this account, give the resource another "
            "name in the program)"
        )
        raise ConfigError(msg, code="other-account")
    if origin is not None:
        msg = (
            f"{id_} was created with another API key, and the account of this key has no containers, so it is probably "
            "another account: configure the key of the account that has it. If this is that account and everything in "
            "it was deleted, remove the resource from the state with `pulumi state delete`"
        )
        raise ConfigError(msg, code="other-account")


# --- which resource owns an object? ---

Key = tuple[str, str]


@dataclass(frozen=True)
class Owner:
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
    half of a replacement is always deleted, whatever its URN is, and an object that another resource has adopted is
    not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[Key, Owner] = {}
        self._names: dict[Key, str] = {}
        self._declared: set[str] = set()
        self._undecided: set[str] = set()

    def clear(self) -> None:
        """Forget everything: the run of the engine has ended."""
        with self._lock:
            self._owners.clear()
            self._names.clear()
            self._declared.clear()
            self._undecided.clear()

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
            self._names = {key: owner for key, owner in self._names.items() if owner != urn}
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
                created = known is not None and known.created
                self._owners[kind, id_] = replace(owner, created=created)

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
        """
        Return whether a delete of this object is the first half of a replacement.

        Usually `diff` has recorded that, whatever the URN of the delete is. For `pulumi up --replace` the engine does
        not call `diff`: it checks the inputs, and then deletes the resource that it has just checked.
        """
        with self._lock:
            owner = self._owners.get((kind, id_))
            return urn in self._undecided or (owner is not None and owner.replacing)

    def release(self, kind: str, id_: str, token: str | None) -> None:
        """Record that the object was deleted."""
        with self._lock:
            owner = self._owners.get((kind, id_))
            if owner is not None and owner.token == token:
                del self._owners[kind, id_]


OWNERSHIP: Final = Ownership()
"""The register of this process."""


_KEPT: Final = 3 * 3600.0
"""Seconds for which a file is valid: a later engine may have the same port."""


def record_adoption(engine: str, kind: str, id_: str, token: str | None) -> None:
    """
    Record that the object was adopted, for all provider processes of one engine, which its address identifies.

    Each explicit provider has a separate process with a separate register of owners. If a program moves a container to
    another provider and resource in one `up`, without an alias, one process adopts the container and the other would
    delete it. No-op without an engine, because then no other process exists.
    """
    file = _file(engine)
    if file is None:
        return
    # If the folder cannot be written, only the protection between processes is lost; the adoption goes on.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for other in file.parent.iterdir():
            if _is_old(other):
                other.unlink(missing_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{kind} {token} {id_}\n")


def adopted_elsewhere(engine: str, kind: str, id_: str, token: str | None) -> bool:
    """Return whether a resource with another token has adopted the object in this operation."""
    file = _file(engine)
    if file is None:
        return False
    try:
        if _is_old(file):
            return False
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    entries = [line.split(" ", maxsplit=2) for line in lines]
    tokens = [entry[1] for entry in entries if len(entry) == 3 and (entry[0], entry[2]) == (kind, id_)]
    return bool(tokens) and tokens[-1] != str(token)


def _is_old(file: Path) -> bool:
    return time.time() - file.stat().st_mtime > _KEPT


def _file(engine: str) -> Path | None:
    if not engine:
        return None
    return pulumi_home() / "stacks-adoptions" / engine.rpartition(":")[2]


# --- does the program declare an object twice? ---

_PACKAGE: Final = "pulumi-python"

# One entry for each run: with the Automation API one process runs several programs, each with its own root.
_runs: Final[
    weakref.WeakKeyDictionary[pulumi.Resource, dict[tuple[pulumi.ProviderResource | None, str, str], str]]
] = weakref.WeakKeyDictionary()


def provider_in_options(opts: pulumi.ResourceOptions | None, type_: str) -> pulumi.ProviderResource | None:
    """Return the explicit provider of a resource with these options: from the options or from the parent."""
    if opts is None:
        return None
    if isinstance(opts.provider, pulumi.ProviderResource):
        return opts.provider
    given: Any = opts.providers or {}
    providers = given.values() if isinstance(given, Mapping) else given
    for provider in providers:
        if provider.package == _PACKAGE:
            return cast("pulumi.ProviderResource", provider)
    return None if opts.parent is None else opts.parent.get_provider(type_)


def has_name_pattern(provider: pulumi.ProviderResource | None) -> bool:
    """Return whether a pattern applies to default names; then only the provider knows them."""
    if provider is None:
        return pulumi.Config(NAMESPACE).get("namePattern") is not None
    return getattr(provider, "name_pattern", None) is not None


def declare_container_name(
    name: pulumi.Input[str], resource_name: str, provider: pulumi.ProviderResource | None
) -> pulumi.Input[str]:
    """
    Record a container's name, and refuse a second resource with the same one.

    The provider's `check` compares names too, but the engine does not call it for resources outside of `--target`.

    Args:
        name: The container's name.
        resource_name: The resource's name in the program.
        provider: Its explicit provider; `None` for the stack's own account.

    Returns:
        The name, to be used as the input.

    Raises:
        ConfigError: Another resource of this run has the name. If the name is an output, the error is raised when its
            value is known.
    """
    declared = _declared()
    if declared is None:
        return name

    def declare(known: str) -> str:
        key = (provider, "Container", known.lower())
        # Two resources may have the same resource name if their parents differ.
        if key in declared:
            msg = (
                f'two resources use the container name "{known}": {declared[key]!r} and {resource_name!r}. '
                "Give one of them another name, or remove it"
            )
            raise shown_alone(ConfigError(msg, code="declared-twice"))
        declared[key] = resource_name
        return known

    if isinstance(name, str):
        return declare(name)
    output: pulumi.Output[str] = pulumi.Output.from_input(name)
    return output.apply(declare)


def declare_child(
    kind: str,
    container: pulumi.Input[str],
    own: pulumi.Input[Any],
    resource_name: str,
    provider: pulumi.ProviderResource | None,
) -> pulumi.Input[str]:
    """
    Record which object of a container a resource manages, and refuse a second resource for the same object.

    Args:
        kind: The resource's kind, for instance `AllowedIp`.
        container: Its container's id.
        own: The object's identity in the container: an address, a name or a number.
        resource_name: The resource's name in the program.
        provider: Its explicit provider; `None` for the stack's own account.

    Returns:
        The container's id, to be used as the input.

    Raises:
        ConfigError: Another resource of this run manages the object. For outputs, the error is raised when their values
            are known.
    """
    declared = _declared()
    if declared is None:
        return container

    def declare(known: Any) -> pulumi.Output[str]:
        # At preview, the combined output is unknown if one of the two is.
        if isinstance(known, tuple) and all(isinstance(value, str | int | float) for value in known):
            unique = f"{known[0]}/{_canonical(known[1])}"
            key = (provider, kind, unique.lower())
            if key in declared:
                both = f"{declared[key]!r} and {resource_name!r}"
                msg = (
                    f"two resources declare the same {kind} ({unique}): {both}. Change or remove one of them"
                )
                raise shown_alone(ConfigError(msg, code="declared-twice"))
            declared[key] = resource_name
        # An unknown name must not make the container unknown.
        return pulumi.Output.from_input(container)

    both: pulumi.Output[tuple[Any, Any]] = pulumi.Output.from_input((container, own))
    return both.apply(declare, run_with_unknowns=True)


def _canonical(own: Any) -> str:
    try:
        return _fields.ip_network(own)
    except ValueError:
        return f"{own:g}" if isinstance(own, float) else str(own)


def _declared() -> dict[tuple[pulumi.ProviderResource | None, str, str], str] | None:
    """Return the declarations of this run; `None` if declarations are not compared in it."""
    root = get_root_resource()
    # Tests with mocks declare the same names repeatedly under one root.
    if root is None or isinstance(get_monitor(), MockMonitor):
        return None
    return _runs.setdefault(root, {})
