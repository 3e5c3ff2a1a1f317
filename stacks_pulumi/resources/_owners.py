"""
Registers of object owners, of declared names, of the creation times of the children's containers, and of backups.

Each register is used for one run of the engine.
"""

from __future__ import annotations

import threading
from typing import Final

import msgspec

from stacks_pulumi._identifiers import name_of

Key = tuple[str, str]


class Owner(msgspec.Struct, frozen=True):
    """
    The resource that manages an object.

    Attributes:
        urn: Its URN in the program.
        token: The token of its creation or adoption; `None` in states of version 0.1.
        created_at: The creation time in the state, if the object is a container.
        replacing: Whether the engine replaces the object in this operation.
        created: Whether this operation has created the object.
        unchanged: Whether the program requests no change of the object.
    """

    urn: str
    token: str | None
    created_at: str | None = None
    replacing: bool = False
    created: bool = False
    unchanged: bool = False

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return name_of(self.urn)

    def why_it_keeps(self, urn: str) -> str:
        """Return why the object is kept when its former owner, the resource with this URN, is deleted."""
        if self.urn == urn:
            return (
                "the new resource of this replacement has adopted it. To recreate it, set "
                "opts=pulumi.ResourceOptions(delete_before_replace=True)"
            )
        return f"{self.name!r} in this program manages it now"


class Owners:
    """
    The owner of each object.

    The owner is identified by a token, not by its URN. Each creation or adoption generates a random token, which is
    stored in the resource's output `origin`. `diff` registers the token of every resource that the program still has;
    `create` registers the new token. A delete is carried out unless a different token has been registered for the
    object. So the old object of a replacement is always deleted, whatever the URN is. An object that another resource
    has adopted is not deleted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[Key, Owner] = {}
        self._declared: set[str] = set()
        self._undecided: set[str] = set()

    def clear(self) -> None:
        with self._lock:
            self._owners.clear()
            self._declared.clear()
            self._undecided.clear()

    def declare(self, urn: str) -> None:
        """Record that the program has a resource, because the engine has sent it to `check`."""
        with self._lock:
            self._declared.add(urn)
            self._undecided.add(urn)

    def keep(self, kind: str, id_: str, owner: Owner) -> None:
        """Record the owner that the state names for an object, if the program still declares the resource."""
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
        """Return the owner of an object; `None` if none is registered in this operation."""
        with self._lock:
            return self._owners.get((kind, id_))

    def has_created(self, kind: str, id_: object) -> bool:
        """
        Return whether this operation has created the object. If so, the children of an earlier object with this id no
        longer exist.
        """
        owner = self.owner(kind, id_) if isinstance(id_, str) else None
        return owner is not None and owner.created

    def taken_from(self, kind: str, id_: str, token: str | None) -> Owner | None:
        """Return the owner of an object; `None` if the owner is the resource with this token."""
        owner = self.owner(kind, id_)
        return None if owner is None or owner.token == token else owner

    def is_replacing(self, kind: str, id_: str, urn: str) -> bool:
        """Return whether a delete of this object is the first step of a replacement."""
        # Usually `diff` has recorded the replacement, whatever the URN of the delete is. For `pulumi up --replace`
        # the engine does not call `diff`: it checks the inputs, and then deletes the resource that it has just
        # checked.
        with self._lock:
            owner = self._owners.get((kind, id_))
            return urn in self._undecided or (owner is not None and owner.replacing)

    def release(self, kind: str, id_: str, token: str | None) -> None:
        """Record that the object was deleted."""
        with self._lock:
            if (owner := self._owners.get((kind, id_))) is not None and owner.token == token:
                del self._owners[kind, id_]


class DeclaredNames:
    """The unique name that each resource of a program declares."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._urns: dict[Key, str] = {}
        self._names: dict[str, Key] = {}

    def clear(self) -> None:
        with self._lock:
            self._urns.clear()
            self._names.clear()

    def declare(self, urn: str, kind: str, name: str) -> str | None:
        """
        Record that a resource has this name. Return a different resource that already has it, or `None`.

        Within an account, the names of each kind are unique. The comparison ignores case, because the API may ignore
        it too.
        """
        key = (kind, name.lower())
        with self._lock:
            other = self._urns.get(key, urn)
            if other != urn:
                return name_of(other)
            # If a resource no longer has a name, another resource may use it.
            self._urns.pop(self._names.get(urn, key), None)
            self._names[urn], self._urns[key] = key, urn
        return None


class ParentTimes:
    """The creation times of the containers of child resources, from the states of the children."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, str | None] = {}

    def clear(self) -> None:
        with self._lock:
            self._times.clear()

    def add(self, id_: str, created_at: str | None) -> None:
        """Record when a container was created; `created_at` is `None` if this operation replaces the container."""
        with self._lock:
            if self._times.get(id_, "") is not None:
                self._times[id_] = created_at

    def of(self, id_: str) -> str | None:
        """
        Return the creation time of our container with this id, from its own state or else from the state of a child.
        """
        owner = OWNERS.owner("Container", id_)
        with self._lock:
            return self._times.get(id_) if owner is None else owner.created_at


OWNERS: Final = Owners()
NAMES: Final = DeclaredNames()
PARENT_TIMES: Final = ParentTimes()
BACKUPS: Final[dict[str, str]] = {}
"""
The registers of this process. For each backup that `diff` has seen, `BACKUPS` maps its number to its container's id.
"""


def forget() -> None:
    """Forget everything, because the run of the engine has ended."""
    for register in (OWNERS, NAMES, PARENT_TIMES, BACKUPS):
        register.clear()
