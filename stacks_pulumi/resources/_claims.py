"""
Which resource of the program has what, as far as this operation of the engine knows.

A resource that is renamed in the program without an alias is two to the engine: it creates the new one, which takes
over what is there, and then deletes the old one, which is the same thing. And two resources of one name would both own
it. Who made it or took it over last is whose it is.
"""

from __future__ import annotations

import threading

__all__ = ["Claims"]


class Claims:
    """Who has what: the URN of a resource by kind and id. A process lives for one operation, and so do they."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[tuple[str, str], str] = {}

    def claim(self, kind: str, id_: str, urn: str) -> None:
        """It belongs to that resource from now on."""
        with self._lock:
            self._owners[kind, id_] = urn

    def other_owner(self, kind: str, id_: str, urn: str) -> str | None:
        """The name of another resource that has it, or `None`."""
        with self._lock:
            owner = self._owners.get((kind, id_), urn)
        return None if owner == urn else owner.rpartition("::")[2]

    def release(self, kind: str, id_: str, urn: str) -> None:
        """It is gone; nobody has it any more."""
        with self._lock:
            if self._owners.get((kind, id_)) == urn:
                del self._owners[kind, id_]
