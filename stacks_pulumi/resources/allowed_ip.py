"""
AllowedIp: one address or network that may reach a container from outside, and the container's list of them.

Two rules of the API complicate changes. The list is never empty while external access is on: the API does not remove
the last entry, and between two steps a client must not lose its access. And when external access is turned on, the API
adds the caller's own address, which the program did not request.

An entry is identified by its address. A change of its description or service type also changes its id, because the API
can only add another entry. If the API has an address in the list twice, both entries count as one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pulumi

from stacks_pulumi import _identifiers
from stacks_pulumi._identifiers import is_before, same_instant
from stacks_pulumi.api import models
from stacks_pulumi.api.allowed_ips import canonical
from stacks_pulumi.config import ADOPT_MODES
from stacks_pulumi.errors import BadRequestError, ConflictError, ExistsError, NotFoundError, StacksError
from stacks_pulumi.resources import _fields
from stacks_pulumi.resources._creation import Creation
from stacks_pulumi.resources._fields import (
    AdoptMode,
    Field,
    OnChange,
    ParentInProgram,
    ServiceType,
    found_changed,
)
from stacks_pulumi.resources._handler import LOOKED_UP, ResourceHandler, lookup_options
from stacks_pulumi.resources._identity import CONTAINER_CREATED_AT, OWNERSHIP, creation_time, find_container
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._resource import Child, child_id, container_id, input_id, own_name, parent_id
from stacks_pulumi.resources._running import check_not_recreated, is_own_container
from stacks_pulumi.resources._session import REFUSALS, Session

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container


PLACEHOLDER: Final = {
    # An address reserved for documentation (RFC 5737), which no client has.
    "ip_address": "192.0.2.1",
    "description": _identifiers.PLACEHOLDER,
    "service_type": "http",
}
_REFUSED: Final = (BadRequestError, ConflictError)


@dataclass(frozen=True)
class AllowedIpList:
    """
    The list of one container, for one run of the engine.

    Attributes:
        session: The account.
        op: The operation.
        container: The container's id.
    """

    session: Session
    op: Operation
    container: str

    def read(self, address: str, olds: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the entry's outputs; `None` if the entry or the container is deleted, or external access is off."""
        try:
            access = self.session.reads.get("allowed_ips", self.container, ask=self._access)
        except NotFoundError:
            return None
        entries = entries_of(access.allowed_ips, address)
        if not entries:
            access.allowed_ips.require_complete()
            return None
        container = find_container(self.session, self.container, shared=True)
        if container is None or not _is_ours(entries, olds, container.created_at):
            return None
        # A second, different entry for the same address is drift.
        entry = next((entry for entry in entries if not matches(entry, olds)), entries[0])
        # Turning external access off and on adds the caller's address again; the next update removes it.
        revoke = bool(olds.get("revoke_auto_added"))
        undone = ["revoke_auto_added"] if revoke and unwanted(access.allowed_ips, address, olds) else []
        return {
            **{name: value for name, value in olds.items() if name == "adopt"},
            "container": self.container,
            "ip_address": address,
            "description": entry.description or "Custom IP",
            "service_type": entry.service_type or "both",
            "revoke_auto_added": revoke,
            **entry_outputs(entry, container.created_at),
            **found_changed(undone),
        }

    def change(self, inputs: Mapping[str, Any], olds: Mapping[str, Any]) -> dict[str, Any]:
        """Change the entry's description or service type. The API can do that only by adding another entry."""
        address = inputs["ip_address"]
        with self.session.turn(self.container):
            created_at = creation_time(self.session, self.container)
            entries = self.open_access(address).allowed_ips
            present = entries_of(entries, address)
            if present and not _is_ours(present, olds, created_at) and inputs.get("adopt") != "if_matching":
                msg = (
                    f"{_foreign(self.container, address, olds, created_at)}. It was not changed: run `pulumi refresh` "
                    'and then `pulumi up`, or write adopt="if_matching" to adopt that entry'
                )
                raise StacksError(msg, code="identity-unclear")
            entry, replaced = self.put_entry(entries, inputs)
            self.take_out([*replaced, *unwanted(entries, address, inputs)])
        return {**inputs, **entry_outputs(entry, created_at)}

    def remove(self, address: str, olds: Mapping[str, Any], *, replacing: bool) -> None:
        """
        Remove the address.

        The API does not remove the last entry. Before a replacement, a placeholder is added, so that external access
        and its host name stay. Otherwise external access is turned off.
        """
        with self.session.turn(self.container), contextlib.suppress(NotFoundError):
            access = self._access()
            going = entries_of(access.allowed_ips, address)
            if access.enabled is False:
                return
            if not going:
                access.allowed_ips.require_complete()
                return
            created_at = creation_time(self.session, self.container)
            if not _is_ours(going, olds, created_at):
                self.op.warn(f"{_foreign(self.container, address, olds, created_at)}: it is left alone")
                return
            going += unwanted(access.allowed_ips, address, olds)
            if _only(going, access):
                self._make_room(access, address, going, replacing=replacing)
                return
            try:
                self.take_out(going)
            except _REFUSED:
                # Another client has removed the other entries, or the API has another reason.
                if not _only(going, self._access()):
                    raise
                self._make_room(access, address, going, replacing=replacing)

    # --- steps ---

    def _access(self) -> models.ExternalAccess:
        return self.session.client.allowed_ips.list(self.container)

    def open_access(self, address: str) -> models.ExternalAccess:
        """Return the container's access, which must be on to add an address."""
        access = self._access()
        if access.enabled is False:
            msg = (
                f"external access of {self.container} is off, so {address} cannot be added to its list: set "
                "external_access=True on the Container (if it is set already, `pulumi up --refresh` turns external "
                "access on again), or remove this AllowedIp"
            )
            raise StacksError(msg, code="external-access-off")
        return access

    def _put(self, entry: Mapping[str, Any], before: Sequence[models.AllowedIp]) -> models.AllowedIp:
        return self.session.client.allowed_ips.add(
            self.container,
            ip_address=entry["ip_address"],
            description=entry["description"],
            service_type=entry["service_type"],
            before=before,
        )

    def put_entry(
        self, entries: Sequence[models.AllowedIp], inputs: Mapping[str, Any]
    ) -> tuple[models.AllowedIp, list[models.AllowedIp]]:
        """Add an entry that matches the inputs; return it, and the entries to remove, which it replaces."""
        olds = entries_of(entries, inputs["ip_address"])
        right = next((entry for entry in olds if matches(entry, inputs)), None)
        if right is not None:
            return right, [entry for entry in olds if entry.id != right.id]
        self.op.progress(f"allowing {inputs['ip_address']}")
        if not olds:
            return self._put(inputs, entries), []
        try:
            new = self._put(inputs, entries)
        except _REFUSED:
            return self._replace_entry(entries, olds[0], inputs)
        # An API that changes the entry in place returns the same id.
        return new, [entry for entry in olds if entry.id != new.id]

    def _replace_entry(
        self, entries: Sequence[models.AllowedIp], old: models.AllowedIp, inputs: Mapping[str, Any]
    ) -> tuple[models.AllowedIp, list[models.AllowedIp]]:
        """Do the same if the API refuses an address twice: remove the old entry, then add the new one."""
        placeholder: list[models.AllowedIp] = []
        try:
            self.take_out([old])
        except _REFUSED:
            # It is the only entry. A reserved address is added, so that the list is not empty for a moment.
            placeholder = [self._put(PLACEHOLDER, entries)]
            self.take_out([old])
        left = models.Listing([*(entry for entry in entries if entry.id != old.id), *placeholder])
        try:
            return self._put(inputs, left), placeholder
        except StacksError:
            before = {
                "description": old.description or "Custom IP",
                "service_type": old.service_type or "both",
            }
            with self.op.shielded():
                try:
                    self._put({**inputs, **before}, left)
                    self.take_out(placeholder)
                except StacksError as error:
                    self.op.report(
                        f"{inputs['ip_address']} can no longer reach {self.container}: changing its entry failed, and "
                        f"adding the old entry back failed too ({error.reason}). `pulumi up` adds it again"
                    )
            raise

    def take_out(self, entries: Iterable[models.AllowedIp]) -> None:
        """Remove entries; no error for one that is gone."""
        for entry in entries:
            self.op.progress(f"removing {entry.ip_address}")
            with contextlib.suppress(NotFoundError):
                self.session.client.allowed_ips.remove(self.container, entry.id)

    def _make_room(
        self,
        access: models.ExternalAccess,
        address: str,
        going: Sequence[models.AllowedIp],
        *,
        replacing: bool,
    ) -> None:
        """Remove the last entries."""
        if not replacing:
            self._close(access, address)
            return
        self._put(PLACEHOLDER, access.allowed_ips)
        self.take_out([entry for entry in going if entry.description != PLACEHOLDER["description"]])

    def _close(self, access: models.ExternalAccess, address: str) -> None:
        self.session.client.containers.external_access(self.container, enabled=False)
        # In a `destroy` the container is usually deleted next; in an `up` it stays, and the user must be told.
        say = self.op.inform if OWNERSHIP.owner("Container", self.container) is None else self.op.warn
        say(
            f"{address} was the last address that could reach {self.container}, and the API keeps the last one in its "
            f"list: external access was turned off instead, and with it {access.url or access.subdomain}. If the "
            "Container says external_access=True, remove that too, or a later `pulumi up --refresh` turns it on again"
        )


def entries_of(entries: Iterable[models.AllowedIp], address: str) -> list[models.AllowedIp]:
    """Return the entries for an address."""
    return [entry for entry in entries if canonical(entry.ip_address) == canonical(address)]


def matches(entry: models.AllowedIp, inputs: Mapping[str, Any]) -> bool:
    """Return whether an entry has the description and the service type of the inputs."""
    wanted = (inputs.get("description"), inputs.get("service_type"))
    return (entry.description or "Custom IP", entry.service_type or "both") == wanted


def unwanted(
    entries: Iterable[models.AllowedIp], address: str, inputs: Mapping[str, Any]
) -> list[models.AllowedIp]:
    """Return the entries to remove: the caller's own address, if the program revokes it, and leftover placeholders."""
    revoke = bool(inputs.get("revoke_auto_added"))
    return [
        entry
        for entry in entries
        if canonical(entry.ip_address) != canonical(address)
        and ((revoke and entry.is_auto_added) or entry.description == PLACEHOLDER["description"])
    ]


def _only(entries: Iterable[models.AllowedIp], access: models.ExternalAccess) -> bool:
    """Return whether the list has no other entries."""
    return {entry.id for entry in access.allowed_ips} <= {entry.id for entry in entries}


def _is_ours(
    entries: Iterable[models.AllowedIp], olds: Mapping[str, Any], container_created_at: str | None
) -> bool:
    """
    Return whether the entries for an address are the ones in the state.

    A later container with the same id has another list. It is a later one if its creation time differs from the one in
    the state, or if the entry in the state is older than the container. If the list still has the entry's own id, which
    is unique, it is the same list.
    """
    if any(entry.id == olds.get("entry_id") for entry in entries):
        return True
    if is_before(olds.get("added_at"), container_created_at):
        return False
    return same_instant(olds.get(CONTAINER_CREATED_AT), container_created_at)


def _foreign(container: str, address: str, olds: Mapping[str, Any], created_at: str | None) -> str:
    return (
        f"the container {container} was created at {created_at}, after the rule for {address} in the state "
        f"(added at {olds.get('added_at')}): the rule for that address is another one"
    )


def entry_outputs(entry: models.AllowedIp, container_created_at: str | None) -> dict[str, Any]:
    """Return the outputs that are not inputs."""
    said = {
        "entry_id": entry.id,
        "added_at": entry.added_at,
        CONTAINER_CREATED_AT: container_created_at,
    }
    return {name: value for name, value in said.items() if value is not None}


class AllowedIpCreation(Creation[models.AllowedIp]):
    """
    The creation of an entry: POST, then the removal of the entries that it replaces.

    For each container, only one creation runs at a time, because each reads the list before it changes it.
    """

    kind: ClassVar = "AllowedIp"
    # A program may name the resources by an address's position in a list: if one is removed, the others move.
    can_be_taken_over: ClassVar = True

    def __init__(self, session: Session, op: Operation, inputs: dict[str, Any]) -> None:
        super().__init__(session, op, inputs)
        self._list = AllowedIpList(session, op, inputs["container"])
        self._before: Sequence[models.AllowedIp] = ()
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
        if self.session.created.lacks_address(container, address, revoke=revoke):
            with contextlib.suppress(*REFUSALS):
                return self._list.put_entry((), self.inputs)[0]
        check_not_recreated(container, creation_time(self.session, container))
        self._before = self._list.open_access(address).allowed_ips
        # The API added the caller's own entry, so a program that declares that address may take it over.
        taken = [entry for entry in entries_of(self._before, address) if not entry.is_auto_added]
        if taken:
            msg = f"{address} is in the list of {self.inputs['container']} already"
            raise ExistsError(msg, existing=taken[0])
        entry, self._replaced = self._list.put_entry(self._before, self.inputs)
        return entry

    def id_of(self, thing: models.AllowedIp) -> str:
        """Return `<container id>/<address>`."""
        return child_id(self.inputs["container"], self.inputs["ip_address"])

    def finish(self, thing: models.AllowedIp) -> dict[str, Any]:
        """Update an adopted entry to match the program, and remove the entries that must not be in the list."""
        if self.adopted:
            thing, self._replaced = self._list.put_entry(self._before, self.inputs)
        self._list.take_out(
            [*self._replaced, *unwanted(self._before, self.inputs["ip_address"], self.inputs)]
        )
        if self.inputs.get("revoke_auto_added"):
            # One read of the list serves the other addresses of the container.
            self.session.created.revoke(self.inputs["container"])
        return self.known(thing, None)

    def known(self, thing: models.AllowedIp, error: Exception | None) -> dict[str, Any]:
        """Return the inputs and the entry."""
        return {**self.inputs, **entry_outputs(thing, creation_time(self.session, self.inputs["container"]))}

    def describe_failure(self, thing: models.AllowedIp, error: StacksError) -> str:
        """Return the message: which step failed, and what to do."""
        return (
            f"{self.inputs['ip_address']} may reach {self.inputs['container']} now, but an entry that should be gone "
            f"is still in the list: {error.message}. `pulumi up` tries again"
        )

    def describe(self, thing: models.AllowedIp) -> str:
        """Return a description of the entry as it is in the list."""
        return (
            f"the rule for {self.inputs['ip_address']} in the list of {self.inputs['container']} "
            f"({thing.id}, {thing.service_type}, {thing.description!r})"
        )

    def was_lost(self, thing: models.AllowedIp) -> bool:
        """Return whether the entry matches the program and the container belongs to this stack."""
        return matches(thing, self.inputs) and is_own_container(self.session, self.inputs["container"])

    def roll_back(self, thing: models.AllowedIp) -> None:
        """Remove the entry, unless it was in the list before."""
        if not self._replaced and thing.id not in {entry.id for entry in self._before}:
            self._list.take_out([thing])


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
        Field("ip_address", _fields.ip_network, OnChange.REPLACE, required=True),
        Field("description", _fields.text, OnChange.UPDATE, default="Custom IP"),
        Field("service_type", _fields.one_of(("http", "tcp", "both")), OnChange.UPDATE, default="both"),
        Field("revoke_auto_added", _fields.boolean, OnChange.UPDATE, default=False),
        Field("adopt", _fields.one_of(ADOPT_MODES), OnChange.NONE),
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
