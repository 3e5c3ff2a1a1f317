"""
Connections between containers, and the targets that a container can be connected to.
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
    A connection (guide, "Create Connection" and "List Connections"). `repr` omits fields that may contain a password.

    Attributes:
        id: The id with which it is deleted.
        name: Its name.
        connection_type: The kind of the target, for instance `postgresql`.
        source_id: Id of the container that gets the variables. Only in the response to a create request.
        target_id: Id of the target container. Only in the response to a create request.
        source_name: Name of the source.
        target_name: Name of the target. Only in the list.
        target_type: Template of the target. Only in the list.
        target_status: Status of the target. Only in the list.
        environment_variables: The variables that the source gets, passwords masked. Only in the response to a create
            request.
        connection_string: Address with user and password. The API masks the password as `****`.
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
        """Return what rich and `repr` show: no variables and no connection string."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__ if name not in _HIDDEN)
        return [(name, value) for name, value in fields if value is not None]


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """
    A container's connections in both directions (guide, "List Connections").

    Attributes:
        outgoing: Connections whose source is the container.
        incoming: Connections whose target is the container.
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
    The targets that a container can be connected to, by kind (guide, "List Available Targets").

    Attributes:
        databases: Databases.
        caches: Caches.
        load_balancers: Load balancers.
        applications: Applications.
        all: All targets, including those of other kinds.
    """

    databases: Listing[Target] = Listing()
    caches: Listing[Target] = Listing()
    load_balancers: Listing[Target] = Listing()
    applications: Listing[Target] = Listing()
    all: Listing[Target] = Listing()
