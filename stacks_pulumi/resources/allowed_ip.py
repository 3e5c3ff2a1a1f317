"""AllowedIp: one address or network that may reach a container from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi

from stacks_pulumi.config import ADOPT_MODES
from stacks_pulumi.resources import _checks
from stacks_pulumi.resources._allowed_ip_list import AllowedIpCreation, AllowedIpList
from stacks_pulumi.resources._fields import Field, OnChange
from stacks_pulumi.resources._handler import ResourceHandler
from stacks_pulumi.resources._literals import AdoptMode, ServiceType
from stacks_pulumi.resources._lookup import LOOKED_UP, lookup_options
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._ownership import OWNERSHIP
from stacks_pulumi.resources._parent import ParentInProgram
from stacks_pulumi.resources._references import (
    child_id,
    container_id,
    input_id,
    own_name,
    parent_id,
)
from stacks_pulumi.resources._resource import Child
from stacks_pulumi.resources._session import Session

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container

__all__ = ["AllowedIp", "AllowedIpHandler"]


class AllowedIp(Child, module="stacks", name="AllowedIp"):
    """
    An entry in a container's list of addresses that may connect (guide, "External Access & IP Restrictions").

    The container's external access must be on. The resource's id is `<container id>/<address>`.
    """

    _unique: ClassVar = ("container", "ip_address")

    container: pulumi.Output[str]
    """The container's id."""
    ip_address: pulumi.Output[str]
    """The address or network, in canonical form."""
    description: pulumi.Output[str]
    """A description for people."""
    service_type: pulumi.Output[str]
    """`http`, `tcp` or `both`."""
    revoke_auto_added: pulumi.Output[bool]
    """Whether the caller's own address is kept out of the list."""
    entry_id: pulumi.Output[str]
    """The entry's id at the API; it changes with the description and the service type."""
    added_at: pulumi.Output[str | None]
    """When it was added, ISO 8601."""

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        container: Container | pulumi.Input[str],
        ip_address: pulumi.Input[str],
        description: pulumi.Input[str] | None = None,
        service_type: ServiceType | None = None,
        revoke_auto_added: pulumi.Input[bool] | None = None,
        adopt: AdoptMode | None = None,
    ) -> None:
        """
        Declare an allowed address.

        Args:
            resource_name: Name in the program.
            opts: Pulumi's options.
            container: The container, with external access on.
            ip_address: IPv4 or IPv6, an address or a network in CIDR notation.
            description: For people (default "Custom IP").
            service_type: `http`, `tcp` or `both` (default).
            revoke_auto_added: After this entry was added, remove the address that the API added when external access
                was turned on: the caller's own, for instance a CI runner's (default false).
            adopt: `never` (default) or `if_matching`: adopt an entry for the same address that exists already.
        """
        super().__init__(
            resource_name,
            {
                "container": input_id(container),
                "ip_address": ip_address,
                "description": description,
                "service_type": service_type,
                "revoke_auto_added": revoke_auto_added,
                "adopt": adopt,
                "entry_id": None,
                "added_at": None,
            },
            opts,
            container=container,
        )

    @staticmethod
    def get(
        resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> AllowedIp:
        """
        Look up an entry that this program does not manage.

        Args:
            resource_name: Name in the program.
            id: `<container id>/<address>`.
            opts: Pulumi's options.
        """
        return AllowedIp(resource_name, lookup_options(id, opts), container=LOOKED_UP, ip_address=LOOKED_UP)


class AllowedIpHandler(ResourceHandler):
    """Check, create, read, diff, update and delete an allowed address."""

    kind: ClassVar = "AllowedIp"
    id_form: ClassVar = "<container id>/<address>"
    fields: ClassVar = (
        Field("container", container_id, OnChange.REPLACE, required=True),
        Field("ip_address", _checks.ip_network, OnChange.REPLACE, required=True),
        Field("description", _checks.text, OnChange.UPDATE, default="Custom IP"),
        Field("service_type", _checks.one_of(("http", "tcp", "both")), OnChange.UPDATE, default="both"),
        Field("revoke_auto_added", _checks.boolean, OnChange.UPDATE, default=False),
        Field("adopt", _checks.one_of(ADOPT_MODES), OnChange.NONE),
    )

    def unique_names(self, inputs: Mapping[str, Any]) -> Mapping[str, str]:
        """An address may be only once in a container's list."""
        return {"ip_address": child_id(inputs["container"], inputs["ip_address"])}

    def parent_rules(
        self, parent: ParentInProgram, olds: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> Iterable[tuple[str, str]]:
        """Refuse an address for a container whose external access is off, because then it has no list."""
        if parent.is_closed:
            yield "container", "its external access is off: set external_access=True on the Container"

    def creation(self, session: Session, op: Operation, inputs: dict[str, Any]) -> AllowedIpCreation:
        """Add the address, and remove the caller's if the program requests that."""
        return AllowedIpCreation(session, op, inputs)

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Find the entry in the container's list; one request serves all entries of a container."""
        return AllowedIpList(session, op, parent_id(id_)).read(own_name(id_), olds)

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Add the changed entry and remove the old one, in an order that never leaves the list empty."""
        return AllowedIpList(session, op, inputs["container"]).change(inputs, olds)

    def on_delete(self, session: Session, op: Operation, id_: str, olds: Mapping[str, Any]) -> None:
        """Remove the entry. The last one cannot be removed: turn external access off, or add a placeholder."""
        replacing = OWNERSHIP.is_replacing(self.kind, id_, op.call.urn)
        AllowedIpList(session, op, parent_id(id_)).remove(own_name(id_), olds, replacing=replacing)
