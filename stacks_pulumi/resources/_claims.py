"""
Which resource of the program has what, as far as this operation of the engine knows.

Where something that exists is taken over, one thing can come to have two owners, and the engine deletes it under one of
them: a resource that is renamed without an alias is two to the engine, the new one and the old one that it deletes
afterwards; two resources may bear one name; and a replacement (`up --replace`) may come upon what it replaces. So
whatever is made, taken over or found unchanged is claimed, and what is claimed otherwise is neither taken over nor
deleted.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Final

from stacks_pulumi.errors import ExistsError

__all__ = ["CLAIMS", "Claims"]

Key = tuple[str, str]


class Claims:
    """Who has what: the URN of a resource by kind and id. A process lives for one operation, and so do they."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._declared: set[str] = set()
        self._owners: dict[Key, str] = {}
        self._births: dict[Key, str | None] = {}
        self._making: dict[Key, str] = {}

    def declare(self, urn: str) -> None:
        """The program has that resource: the engine checks its inputs."""
        with self._lock:
            self._declared.add(urn)

    def keep(self, kind: str, id_: str, urn: str) -> None:
        """The state says that the resource has it: its own, if the program has the resource still."""
        with self._lock:
            if urn in self._declared:
                self._owners.setdefault((kind, id_), urn)

    def claim(self, kind: str, id_: str, urn: str, birth: str | None) -> None:
        """It was made or taken over for that resource; `birth` is of this creation alone, and goes into the state."""
        with self._lock:
            self._owners[kind, id_] = urn
            self._births[kind, id_] = birth

    def owner(self, kind: str, id_: str, urn: str) -> str | None:
        """The name of another resource that has it, or `None`."""
        with self._lock:
            owner = self._owners.get((kind, id_), urn)
        return None if owner == urn else _name(owner)

    def born_again(self, kind: str, id_: str, birth: str | None) -> bool:
        """Whether it was made or taken over since: what is to be deleted is the old half of a replacement."""
        with self._lock:
            return self._births.get((kind, id_), birth) != birth

    def release(self, kind: str, id_: str, urn: str) -> None:
        """It is gone; nobody has it any more."""
        with self._lock:
            if self._owners.get((kind, id_)) == urn:
                del self._owners[kind, id_]
                self._births.pop((kind, id_), None)

    @contextlib.contextmanager
    def making(self, kind: str, names: Iterable[str], urn: str) -> Iterator[None]:
        """
        While something is made of which there can be one: two that are made at once may not see each other.

        Raises:
            ExistsError: Another resource is about to make it.
        """
        keys = [(kind, name) for name in names]
        with self._lock:
            for key in keys:
                other = self._making.get(key, urn)
                if other != urn:
                    msg = f"{key[1]} is what {_name(other)!r} in this program makes too: give one of them another name"
                    raise ExistsError(msg)
            self._making.update(dict.fromkeys(keys, urn))
        try:
            yield
        finally:
            with self._lock:
                for key in keys:
                    self._making.pop(key, None)


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


CLAIMS: Final = Claims()
"""Those of this process."""
