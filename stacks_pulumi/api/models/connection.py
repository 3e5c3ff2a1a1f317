"""
Connections between containers, and what can be connected to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from stacks_pulumi.api.models._listing import Listing
from stacks_pulumi.api.models._model import Id, Model

__all__ = ["Connection", "Connections", "Target", "Targets"]

_HIDDEN = frozenset({"environment_variables", "connection_string"})


class Connection(Model, frozen=True, kw_only=True):
    """
    A connection (guide, "Create Connection" and "List Connections"). `repr` leaves out what may hold a password.

    Attributes:
        id: What deleting it takes.
        name: Its name.
        connection_type: What is at the other end, for instance `postgresql`.
        source_id: Id of the container that gets the variables. Only in the response to a create request.
        target_id: Id of the container that is connected to. Only in the response to a create request.
        source_name: Name of the source.
        target_name: Name of the target. Only in the list.
        target_type: Template of the target. Only in the list.
        target_status: Status of the target. Only in the list.
        environment_variables: What is set in the source. Only in the response to a create request, passwords masked.
        connection_string: Address with user and password, which the API masks as `****`.
        created_at: ISO 8601, UTC.
    """

    id: Id
    name: str | None = None
    connection_type: str | None = None
    source_id: str | None = None
    target_id: str | None = None
    source_name: str | None = None
    target_name: str | None = None
    target_type: str | None = None
    target_status: str | None = None
    environment_variables: dict[str, str] | None = None
    connection_string: str | None = None
    created_at: str | None = None

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "id": ("connection_id",),
        "name": ("connection_name",),
        "connection_type": ("type",),
        "source_id": ("source_container", "source_container_id"),
        "target_id": ("target_container", "target_container_id"),
    }

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Connection({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich shows, and `repr`: no variable and no connection string."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__ if name not in _HIDDEN)
        return [(name, value) for name, value in fields if value is not None]


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """
    Both directions of a container's connections (guide, "List Connections").

    Attributes:
        outgoing: It is the source of these.
        incoming: It is the target of these.
    """

    outgoing: Listing[Connection] = Listing()
    incoming: Listing[Connection] = Listing()


class Target(Model, frozen=True, kw_only=True):
    """
    A container that can be connected to (guide, "List Available Targets").

    Attributes:
        id: Its id.
        name: Its name.
        type: Its template.
        suggested: Whether the API suggests it.
    """

    id: Id
    name: str | None = None
    type: str | None = None
    suggested: bool | None = None

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {"id": ("container_id",), "type": ("template",)}


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a container can be connected to, by kind (guide, "List Available Targets").

    Attributes:
        databases: Databases.
        caches: Caches.
        load_balancers: Load balancers.
        applications: Applications.
        all: All of them, those of no kind above included.
    """

    databases: Listing[Target] = Listing()
    caches: Listing[Target] = Listing()
    load_balancers: Listing[Target] = Listing()
    applications: Listing[Target] = Listing()
    all: Listing[Target] = Listing()
