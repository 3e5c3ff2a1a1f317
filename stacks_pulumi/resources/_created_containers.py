"""
The containers that this operation of the engine has created, and which children they can have.

Before a child is created, the provider lists the container's children, to find one that exists already. A container
that was created a moment ago has only the children that the API itself adds, so this list request is skipped. A
container is identified by its id and creation time: if the newest list does not have it, the request is sent as usual.

A host process serves one operation of the engine, and each explicit provider has a separate process. So if a child has
another provider than its container, the request is sent.
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
"""Errors for a request that the API did not carry out. After one, list the children and send the request again."""


@dataclass(frozen=True)
class _Created:
    created_at: str
    auto_added: str | None = None
    """The address that the API has added; empty after it was revoked, `None` if it is not known."""
    backed_up: bool = False


class CreatedContainers:
    """
    The register of one account.

    Args:
        seen: Returns the container with an id from the newest list, without a request.
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
        """Record the response to turning external access on: the API has added the caller's address to the list."""
        # After an unknown outcome, `access` is from a list, whose entries another client may have added.
        if access.enabled and access.your_ip and not access.allowed_ips:
            with self._lock:
                created = self._containers.get(id_)
                if created is not None:
                    self._containers[id_] = replace(created, auto_added=canonical(access.your_ip))

    def revoke(self, id_: str) -> None:
        """Record that the address that the API had added was removed from the list."""
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
        Return whether an address can be added without reading the list of allowed addresses first.

        Args:
            id_: The container's id.
            address: The address.
            revoke: Whether the address that the API has added will then be revoked.
        """
        created, _ = self._find(id_)
        if created is None or created.auto_added is None:
            return False
        return not created.auto_added if revoke else created.auto_added != canonical(address)

    def take_first_backup(self, id_: str) -> bool:
        """Return whether the container has no manual backup yet; true only for the first call."""
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
        # Both times are from lists, which write them in the same format.
        if found is None or found.created_at != created.created_at:
            return None, None
        return created, found
