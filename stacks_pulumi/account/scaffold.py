"""
Generates a program that takes over the objects of an account: its resources, and its text in each language.

The resources that a program declares to take over an account, in any language.

The first `up` of such a program must not change the account. So objects that the provider would change, or could not
adopt, are left out with a reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias

from stacks_pulumi import catalog
from stacks_pulumi.account.read import Belongings, address_of, is_auto_added
from stacks_pulumi.api.models import AllowedIp, Connection, Container

__all__ = ["DeclaredResource", "LeftOut", "Protect", "Reference", "ScaffoldPlan", "Value", "chosen", "plan"]

_VALID_NAME: Final = re.compile(r"(?!.*--)[A-Za-z0-9](?:[A-Za-z0-9-]{1,30})[A-Za-z0-9]")
_SETTLED: Final = frozenset({"running", "stopped", "pending"})
_PLACEHOLDER: Final = "placeholder while an entry is changed"
"""The description of an entry that the provider adds temporarily, and removes when it finds it later."""
_DEFAULT_DESCRIPTION: Final = "Custom IP"
_DATA: Final = frozenset({catalog.Category.DATABASE, catalog.Category.STORAGE})


@dataclass(frozen=True)
class Reference:
    """
    The id of a container that the program declares.

    Attributes:
        name: The container's resource name.
    """

    name: str


Value: TypeAlias = str | int | bool | Reference
Protect: TypeAlias = Literal["databases", "all", "none"]


@dataclass(frozen=True)
class DeclaredResource:
    """
    A resource of the program.

    Attributes:
        kind: Its kind, for instance `Container`.
        name: Its name in the program, unique among those of its kind.
        id: Its id, for `pulumi import`.
        inputs: Its inputs in snake case.
        protect: Whether Pulumi refuses to delete it.
    """

    kind: str
    name: str
    id: str
    inputs: Mapping[str, Value]
    protect: bool = False


@dataclass(frozen=True)
class LeftOut:
    """
    An object that the program does not declare.

    Attributes:
        what: A description of the object.
        reason: Why it is left out.
    """

    what: str
    reason: str


@dataclass(frozen=True)
class ScaffoldPlan:
    """
    The content of a program.

    Attributes:
        declared: Its resources, containers first.
        left_out: The objects of the chosen containers that it does not declare.
    """

    declared: tuple[DeclaredResource, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many resources of each kind there are."""
        return Counter(one.kind for one in self.declared)


def chosen(
    containers: Iterable[Container], include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[Container]:
    """
    Return the containers whose names match, sorted by name.

    Args:
        containers: All containers.
        include: Patterns of a shell; the name has to match one of them. Empty: all containers.
        exclude: Patterns that it must not match.
    """
    found = [
        container
        for container in containers
        if (not include or _matches(container, include)) and not _matches(container, exclude)
    ]
    return sorted(found, key=lambda container: ((container.name or "").casefold(), container.id))


def _matches(container: Container, patterns: Sequence[str]) -> bool:
    name = (container.name or container.id).casefold()
    return any(fnmatchcase(name, pattern.casefold()) for pattern in patterns)


def plan(
    containers: Sequence[Container],
    belongings: Mapping[str, Belongings],
    everything: Iterable[Container] | None = None,
    *,
    protect: Protect = "databases",
) -> ScaffoldPlan:
    """
    Return the program that takes these containers over.

    Args:
        containers: The containers.
        belongings: The child objects of each, by its id.
        everything: All containers of the account, to find the targets of connections; by default `containers`.
        protect: Which resources Pulumi refuses to delete: containers with data, every resource, or none.
    """
    maker = _Maker(list(containers if everything is None else everything), protect)
    for container in containers:
        maker.container(container, belongings.get(container.id))
    for container in containers:
        has = belongings.get(container.id)
        if has is not None and container.id in maker.names:
            maker.children(container, has)
    order = ("Container", "Connection", "AllowedIp", "VpnClient", "PinnedBackup")
    maker.declared.sort(key=lambda one: order.index(one.kind))
    return ScaffoldPlan(tuple(maker.declared), tuple(maker.left_out))


@dataclass
class _Maker:
    everything: Sequence[Container]
    protect: Protect
    names: dict[str, str] = field(default_factory=dict)
    """Container id -> its resource name."""
    declared: list[DeclaredResource] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    _taken: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._times = Counter((container.name or "").casefold() for container in self.everything)

    def container(self, container: Container, has: Belongings | None) -> None:
        """Declare a container, or record why not."""
        name, template = container.name, _template(container)
        deleted = has is not None and has.deleted
        reason = (
            "it was deleted while the account was read" if deleted else self._why_not(container, template)
        )
        if reason is not None or name is None or template is None:
            self.left_out.append(
                LeftOut(f"container {name or container.id}", reason or "the API does not say its name")
            )
            return
        inputs: dict[str, Value] = {"name": name, "template": template}
        if template != catalog.VPN_TEMPLATE and container.plan is not None:
            inputs["plan"] = container.plan
            size = catalog.PLANS.get(container.plan)
            tier = catalog.added_tier(size, container.storage_mb)
            if tier and not catalog.is_database(template) and not catalog.is_micro(template, container.plan):
                inputs["additional_storage_tier"] = tier
        if has is not None and has.access.enabled:
            inputs["external_access"] = True
        inputs["adopt"] = "if_matching"
        known = catalog.TEMPLATES.get(template)
        # A template that is not in the catalogue may hold data too.
        has_data = known is None or known.category in _DATA
        self.names[container.id] = self._declare("Container", name, container.id, inputs, has_data=has_data)

    def children(self, container: Container, has: Belongings) -> None:
        """Declare the child objects of a container."""
        self._connections(container, has.connections)
        self._allowed_ips(container, has.access.allowed_ips)
        own = Reference(self.names[container.id])
        for gap in has.gaps:
            self._leave_out(f"what cannot be read of {container.name}", gap)
        for client in has.vpn_clients:
            what = f"VPN client {client.name} of {container.name}"
            if client.name == "default":
                self._leave_out(what, "the platform made it with the container")
            elif container.status != "running":
                self._leave_out(what, f"its container has to run, and is {container.status}")
            elif not client.name.strip() or client.name in {".", ".."}:
                self._leave_out(what, "its name cannot be used")
            else:
                inputs: dict[str, Value] = {"container": own, "name": client.name, "adopt": "if_matching"}
                self._declare(
                    "VpnClient", f"{container.name}-{client.name}", f"{container.id}/{client.name}", inputs
                )
        for backup in has.backups:
            what = f"backup {backup.id} of {container.name}"
            if backup.status not in {None, "completed"}:
                self._leave_out(what, f"it is {backup.status}")
                continue
            # Removing the resource from the program must not unpin a backup that a user pinned.
            pinned: dict[str, Value] = {"container": own, "backup_id": backup.id, "on_delete": "keep"}
            self._declare(
                "PinnedBackup", f"{container.name}-{backup.id}", f"{container.id}/{backup.id}", pinned
            )

    def _why_not(self, container: Container, template: str | None) -> str | None:
        if self._times[(container.name or "").casefold()] > 1:
            return "another container's name differs only in upper and lower case, which the provider ignores"
        return _why_not(container, template)

    def _connections(self, container: Container, connections: Iterable[Connection]) -> None:
        for connection in connections:
            what = f"connection {connection.name or connection.id} of {container.name}"
            target = self._target(connection)
            if target is None or not (connection.name or "").strip() or connection.name is None:
                self._leave_out(what, "the API does not say its name, or which container it leads to")
                continue
            stopped = next((one for one in (container, target) if one.status != "running"), None)
            if stopped is not None:
                self._leave_out(
                    what, f"both its containers have to run, and {stopped.name} is {stopped.status}"
                )
                continue
            leads_to = self.names.get(target.id)
            inputs: dict[str, Value] = {
                "source": Reference(self.names[container.id]),
                "target": target.id if leads_to is None else Reference(leads_to),
                "name": connection.name,
                "adopt": "if_matching",
            }
            self._declare(
                "Connection", f"{container.name}-to-{target.name}", f"{container.id}/{connection.id}", inputs
            )

    def _target(self, connection: Connection) -> Container | None:
        if connection.target_id is not None:
            return next((one for one in self.everything if one.id == connection.target_id), None)
        name = (connection.target_name or "").casefold()
        return (
            next((one for one in self.everything if (one.name or "").casefold() == name), None)
            if name
            else None
        )

    def _allowed_ips(self, container: Container, entries: Sequence[AllowedIp]) -> None:
        times = Counter(address_of(entry) for entry in entries)
        placeholder = any(entry.description == _PLACEHOLDER for entry in entries)
        for entry in entries:
            address = address_of(entry)
            what = f"allowed address {entry.ip_address} of {container.name}"
            if is_auto_added(entry):
                self._leave_out(what, "the platform added it when external access was turned on")
            elif address is None:
                self._leave_out(what, "it is not an address")
            elif times[address] > 1:
                self._leave_out(
                    what, "it is in the list more than once, and adopting it would remove one entry"
                )
            elif placeholder:
                self._leave_out(
                    what, f'the list has a leftover entry "{_PLACEHOLDER}", which adopting would remove'
                )
            elif entry.service_type not in {None, "http", "tcp", "both"}:
                self._leave_out(what, f"its service type {entry.service_type!r} is not known here")
            elif entry.description is not None and entry.description and not entry.description.strip():
                self._leave_out(what, "its description is blank, and adopting it would change that")
            else:
                self._declare_allowed_ip(container, entry, address)

    def _declare_allowed_ip(self, container: Container, entry: AllowedIp, address: str) -> None:
        inputs: dict[str, Value] = {"container": Reference(self.names[container.id]), "ip_address": address}
        if entry.description and entry.description != _DEFAULT_DESCRIPTION:
            inputs["description"] = entry.description
        if entry.service_type and entry.service_type != "both":
            inputs["service_type"] = entry.service_type
        inputs["adopt"] = "if_matching"
        self._declare("AllowedIp", f"{container.name}-{address}", f"{container.id}/{address}", inputs)

    def _declare(
        self, kind: str, wish: str, id_: str, inputs: Mapping[str, Value], *, has_data: bool = False
    ) -> str:
        name = self._unique(kind, wish)
        protect = self.protect == "all" or (self.protect == "databases" and has_data)
        self.declared.append(DeclaredResource(kind, name, id_, inputs, protect))
        return name

    def _unique(self, kind: str, wish: str) -> str:
        """Return a name that is valid in every language and URN, and unique among the resources of the kind."""
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", wish).strip("-")[:80] or kind.lower()
        name, number = base, 2
        while (kind, name.casefold()) in self._taken:
            name, number = f"{base}-{number}", number + 1
        self._taken.add((kind, name.casefold()))
        return name

    def _leave_out(self, what: str, reason: str) -> None:
        self.left_out.append(LeftOut(what, reason))


def _template(container: Container) -> str | None:
    """Return the template for a program; the list may contain only a type instead of it."""
    told = container.template
    if told is None or told in catalog.TEMPLATES:
        return told
    return f"stacks-{told}" if f"stacks-{told}" in catalog.TEMPLATES else told


def _why_not(container: Container, template: str | None) -> str | None:
    if template is None or not template.strip():
        return "the API does not say its template"
    if container.status == "error":
        return "it is in status error, and adopting it would start it: start or delete it first"
    if container.status not in _SETTLED:
        return f"it is {container.status}: try again when it is running or stopped"
    if container.name is not None and not _VALID_NAME.fullmatch(container.name):
        return "the API does not accept its name for a new container"
    return None
