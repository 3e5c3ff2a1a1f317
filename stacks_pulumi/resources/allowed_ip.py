"""AllowedIp: one address or network that may reach a container from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi

from stacks_pulumi.api import models
from stacks_pulumi.config import ADOPT_MODES
from stacks_pulumi.errors import ExistsError, StacksError
from stacks_pulumi.resources import _fields, _validators
from stacks_pulumi.resources._address_list import (
    AWAITED,
    OTHERS_LEFT,
    AllowedIpList,
    entries_of,
    entry_outputs,
    matches,
)
from stacks_pulumi.resources._creation import Creation
from stacks_pulumi.resources._fields import Field, OnChange, changed, changed_outside
from stacks_pulumi.resources._handler import LOOKED_UP, ResourceHandler, lookup_options
from stacks_pulumi.resources._identity import (
    CONTAINER_CREATED_AT,
)
from stacks_pulumi.resources._literals import AdoptMode, ServiceType
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._owners import OWNERS
from stacks_pulumi.resources._resource import (
    Child,
    ParentInProgram,
    child_id,
    container_id,
    input_id,
    parent_id,
)
from stacks_pulumi.resources._running import (
    check_not_recreated,
    creation_time,
    is_own_container,
)
from stacks_pulumi.resources._session import REFUSALS, Session

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container


class AllowedIpCreation(Creation[models.AllowedIp]):
    """
    The creation of an entry: POST, then the removal of the entries that it replaces.

    For each container, only one creation runs at a time, because each one reads the list before it changes the list.
    """

    kind: ClassVar = "AllowedIp"
    # A program may name the resources by the address's position in a list: if one address is removed, the others get
    # different names.
    can_be_taken_over: ClassVar = True

    def __init__(self, session: Session, op: Operation, inputs: dict[str, Any]) -> None:
        super().__init__(session, op, inputs)
        self._list = AllowedIpList(session, op, inputs["container"])
        self._before: models.ExternalAccess | None = None
        self._replaced: list[models.AllowedIp] = []

    def under_way(self) -> contextlib.AbstractContextManager[None]:
        """Wait until no other creation runs for the container."""
        return self.session.turn(self.inputs["container"])

    def create(self) -> models.AllowedIp:
        """
        Add the entry.

        Raises:
            ExistsError: The address is in the list already.
            StacksError: External access is off, or the container has been recreated outside of this program.
        """
        container, address = self.inputs["container"], self.inputs["ip_address"]
        revoke = bool(self.inputs.get("revoke_auto_added"))
        if self.session.fresh.lacks_address(container, address, revoke=revoke):
            with contextlib.suppress(*REFUSALS):
                return self._list.put_entry((), self.inputs)[0]
        check_not_recreated(self.session, container, creation_time(self.session, container))
        self._before = access = self._list.open_access(address)
        # The API added the caller's own entry, so a program that declares the caller's address may adopt that entry.
        own = self._list.auto_added(access, {})
        taken = [entry for entry in entries_of(access.allowed_ips, address) if entry not in own]
        if taken:
            raise ExistsError(f"{address} is already in the list of {container}", existing=taken[0])
        entry, self._replaced = self._list.put_entry(access.allowed_ips, self.inputs)
        return entry

    def id_of(self, thing: models.AllowedIp) -> str:
        """Return `<container id>/<address>`."""
        return child_id(self.inputs["container"], self.inputs["ip_address"])

    def finish(self, thing: models.AllowedIp) -> dict[str, Any]:
        """Update an adopted entry to match the program, and remove the entries that must not be in the list."""
        address, before = self.inputs["ip_address"], self._before
        if self.adopted and before is not None:
            if not matches(thing, self.inputs):
                now = f"{self.inputs['service_type']}, {self.inputs['description']!r}"
                self.op.warn(f"{self.describe(thing)} receives values from the program: {now}")
            thing, self._replaced = self._list.put_entry(before.allowed_ips, self.inputs)
        unwanted = [] if before is None else self._list.unwanted(before, address, self.inputs)
        self._list.take_out([*self._replaced, *unwanted])
        awaited: dict[str, Any] = {}
        if self.inputs.get("revoke_auto_added"):
            if not unwanted:
                awaited = self._list.revoke(address)
            # One read of the list also serves the other addresses of the container.
            self.session.fresh.revoke(self.inputs["container"])
        return {**self.known(thing, None), **awaited}

    def known(self, thing: models.AllowedIp, error: Exception | None) -> dict[str, Any]:
        """Return the inputs and the entry's outputs."""
        left = {} if error is None else {OTHERS_LEFT: True}
        created_at = creation_time(self.session, self.inputs["container"])
        return {**self.inputs, **entry_outputs(thing, created_at), **left}

    def describe_failure(self, thing: models.AllowedIp, error: StacksError) -> str:
        """Return the message: which step failed, and what to do."""
        return (
            f"{self.inputs['ip_address']} can now reach {self.inputs['container']}, but an old entry could not be "
            f"removed from the list: {error.message}. `pulumi up` tries again"
        )

    def describe(self, thing: models.AllowedIp) -> str:
        """Return a description of the entry in the list."""
        return (
            f"the rule for {self.inputs['ip_address']} in the list of {self.inputs['container']} "
            f"({thing.id}, {thing.service_type}, {thing.description!r})"
        )

    def is_leftover(self, thing: models.AllowedIp) -> bool:
        """Return whether the entry matches the program and the container belongs to this stack."""
        return matches(thing, self.inputs) and is_own_container(self.session, self.inputs["container"])

    def roll_back(self, thing: models.AllowedIp) -> None:
        """Remove the entry, unless it was already in the list."""
        before = () if self._before is None else self._before.allowed_ips
        if not self._replaced and thing.id not in {entry.id for entry in before}:
            self._list.take_out([thing])


class AllowedIp(Child, module="stacks", name="AllowedIp"):
    """
    An entry in a container's list of allowed addresses (guide, "External Access & IP Restrictions").

    The container's external access must be on. The resource's id is `<container id>/<address>`.
    """

    container: pulumi.Output[str]
    """The container's id."""
    ip_address: pulumi.Output[str]
    """The address or network, in canonical form."""
    description: pulumi.Output[str]
    """The entry's description."""
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
            description: The entry's description (default "Custom IP").
            service_type: `http`, `tcp` or `both` (default).
            revoke_auto_added: After adding this entry, remove the caller's own address, which the API added when
                external access was turned on (default false).
            adopt: `never` (default) or `if_matching`: adopt an existing entry for the same address.
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
    creation: ClassVar = AllowedIpCreation
    id_form: ClassVar = "<container id>/<address>"
    fields: ClassVar = (
        Field("container", container_id, OnChange.REPLACE, required=True),
        Field("ip_address", _validators.ip_network, OnChange.REPLACE, required=True),
        Field("description", _validators.text, OnChange.UPDATE, default="Custom IP"),
        Field("service_type", _validators.one_of(("http", "tcp", "both")), OnChange.UPDATE, default="both"),
        Field("revoke_auto_added", _validators.boolean, OnChange.UPDATE, default=False),
        Field("adopt", _validators.one_of(ADOPT_MODES), OnChange.NONE),
    )
    # Every update looks for the entry, and adds a new one if the entry differs.
    outputs: ClassVar = tuple(
        _fields.Output(name, (_fields.ANY_UPDATE,)) for name in ("entry_id", "added_at", CONTAINER_CREATED_AT)
    )

    unique: ClassVar = ("container", "ip_address")

    def rules(
        self, olds: Mapping[str, Any], inputs: Mapping[str, Any], parent: ParentInProgram
    ) -> Iterable[tuple[str, str]]:
        """Refuse an address for a container whose external access is off, because the container then has no list."""
        if parent.is_closed:
            yield "container", "its external access is off: set external_access=True on the Container"

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Find the entry in the container's list; one request serves all entries of a container."""
        return AllowedIpList(session, op, parent_id(id_)).read(id_, olds)

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Add the changed entry and remove the old one, in an order that never leaves the list empty."""
        addresses = AllowedIpList(session, op, inputs["container"])
        left = OTHERS_LEFT in olds or AWAITED in olds or changed_outside(olds)
        if not left and not changed(self.fields, olds, inputs):
            return addresses.look(inputs, olds)
        return addresses.change(inputs, olds)

    def on_delete(self, session: Session, op: Operation, id_: str, olds: Mapping[str, Any]) -> None:
        """Remove the entry. If it is the last one, turn external access off, or add a placeholder first."""
        replacing = OWNERS.is_replacing(self.kind, id_, op.call.urn)
        AllowedIpList(session, op, parent_id(id_)).remove(id_, olds, replacing=replacing)
