"""
The containers that this operation of the engine has created, and what they can hold.

A container that was created a moment ago holds nothing but what the API itself adds, so the look before a child is
created is left out. A container is known by its id and creation time: if the newest list shows another one under the
id, or none, the look comes as always.

A process of the host serves one operation of the engine. Each explicit provider has a process of its own: for a child
whose provider is not its container's, the look comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from stacks_pulumi.api import models
from stacks_pulumi.api.allowed_ips import canonical
from stacks_pulumi.api.wait import CREATED
from stacks_pulumi.errors import BadRequestError, ConflictError, ExistsError

__all__ = ["REFUSALS", "CreatedContainers"]

REFUSALS: Final = (BadRequestError, ConflictError, ExistsError)
"""How the API refuses a request without carrying it out. After one the look comes, and then the request again."""


@dataclass(frozen=True)
class _Created:
    created_at: str
    auto_added: str | None = None
    """The address that the API has added; empty once it is revoked, `None` if it is not known."""
    backed_up: bool = False


class CreatedContainers:
    """
    The register of one account.

    Args:
        seen: Returns the container with an id from the newest list, without a call.
    """

    def __init__(self, seen: Callable[[str], models.Container | None]) -> None:
        self._seen = seen
        self._lock = threading.Lock()
        self._containers: dict[str, _Created] = {}

    def add(self, id_: str) -> None:
        """Record that this operation has created the container. Without a listed creation time it is not recorded."""
        found = self._seen(id_)
        with self._lock:
            self._containers.pop(id_, None)
            if found is not None and found.created_at is not None:
                self._containers[id_] = _Created(found.created_at)

    def add_access(self, id_: str, access: models.ExternalAccess) -> None:
        """Record the answer to turning external access on: the API has put the caller's address into the list."""
        # After an unknown outcome it is a list that answers, and what is in it may be from another client.
        if access.enabled and access.your_ip and not access.allowed_ips:
            with self._lock:
                created = self._containers.get(id_)
                if created is not None:
                    self._containers[id_] = replace(created, auto_added=canonical(access.your_ip))

    def revoke(self, id_: str) -> None:
        """Record that the address which the API had added is no longer in the list."""
        with self._lock:
            created = self._containers.get(id_)
            if created is not None and created.auto_added is not None:
                self._containers[id_] = replace(created, auto_added="")

    def remove(self, id_: str) -> None:
        """Forget a container that is deleted."""
        with self._lock:
            self._containers.pop(id_, None)

    def created_at(self, id_: str) -> str | None:
        """Return the container's creation time; `None` unless this operation has created it."""
        created, _ = self._find(id_)
        return None if created is None else created.created_at

    def are_running(self, *ids: str) -> bool:
        """Return whether this operation has created all of these containers, and the newest list shows them running."""
        found = [self._find(id_)[1] for id_ in ids]
        return all(container is not None and container.status in CREATED.target for container in found)

    def lacks_address(self, id_: str, address: str, *, revoke: bool) -> bool:
        """
        Return whether the list of allowed addresses certainly needs no look before an address is added.

        Args:
            id_: The container's id.
            address: The address.
            revoke: Whether the address that the API has added is to be revoked then.
        """
        created, _ = self._find(id_)
        if created is None or created.auto_added is None:
            return False
        return not created.auto_added if revoke else created.auto_added != canonical(address)

    def take_first_backup(self, id_: str) -> bool:
        """Return whether the container has no manual backup yet; true once."""
        created, _ = self._find(id_)
        with self._lock:
            if created is None or created.backed_up or self._containers.get(id_) is not created:
                return False
            self._containers[id_] = replace(created, backed_up=True)
            return True

    def _find(self, id_: str) -> tuple[_Created | None, models.Container | None]:
        with self._lock:
            created = self._containers.get(id_)
        if created is None:
            return None, None
        found = self._seen(id_)
        # Both times are from lists, which spell them alike.
        if found is None or found.created_at != created.created_at:
            return None, None
        return created, found
