"""
What does a policy see of a resource? A typed view of its properties.

The properties are those that the engine passes to a policy: the checked inputs with the provider's defaults, or the
outputs of an existing resource, which have the same names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from stacks_pulumi import catalog
from stacks_pulumi.pricing.money import Price, billed, describe, total
from stacks_pulumi.pricing.recognition import (
    ADOPTS,
    UNKNOWN,
    UNRECOGNISED,
    Unknown,
    boolean,
    is_unknown,
    snake_case,
    text,
    whole,
)

if TYPE_CHECKING:
    from typing_extensions import Self


_GUIDES_ID: Final = re.compile(r"usr-[0-9a-f]+-")


def is_id_of(
    value: str | Unknown | None, made_from: Collection[str], urn: str, id_: str | Unknown | None
) -> bool:
    """
    Return whether an input is exactly the id of one container (`x.id`; in YAML, `${x.id}`), and not computed from it.

    A program can compute the id of any container from another container's id. So an unknown value is accepted only if
    the container's id is not known either, and if the value depends only on this container. In Python, a computed id
    depends on no resource (`resources/_resource.py`).
    """
    if isinstance(value, str) or isinstance(id_, str):
        return value == id_
    return isinstance(value, Unknown) and set(made_from) == {urn}


UNPRICED: Final = Price(Decimal(0), None, ("kind",))
"""The price of a resource of unknown kind: it has no upper bound."""


@dataclass(frozen=True)
class ResourceView:
    """
    The base class of all views.

    Attributes:
        urn: The URN.
        name: The resource's name in the program.
        protect: Whether the engine refuses to delete it.
    """

    KIND: ClassVar[str]
    READS: ClassVar[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {}
    """Attribute -> the function that reads it from properties in snake_case."""

    urn: str
    name: str
    protect: bool = False

    @classmethod
    def of(
        cls,
        urn: str,
        name: str,
        properties: Mapping[str, Any],
        *,
        protect: bool = False,
        made_from: frozenset[str] = frozenset(),
    ) -> Self:
        """Return a view of a resource with these properties, in camelCase or snake_case."""
        properties = snake_case(properties)
        values = {attribute: read(properties) for attribute, read in cls.READS.items()}
        if issubclass(cls, ChildView):
            values["made_from"] = made_from
        return cls(urn, name, protect, **values)


@dataclass(frozen=True)
class UnrecognisedView(ResourceView):
    """A resource that has the STACKS type prefix, but no kind that this version knows."""

    KIND = UNRECOGNISED


def _existing_size(properties: Mapping[str, Any]) -> int | Unknown | None:
    """Return the total storage in MB; `None` if the container does not exist yet and will have the declared storage."""
    return None if is_unknown(properties.get("storage_mb")) else whole(properties, "storage_mb")


@dataclass(frozen=True)
class ContainerView(ResourceView):
    """
    A Container.

    Attributes:
        container_name: Its name in the account.
        template: Template id.
        plan: Plan name; `None` for a `stacks-vpn` container, which has no plan.
        tier: Additional storage tier; `None` for none.
        external_access: Whether it is reachable from outside; `None` if the program does not set it, which leaves it
            unchanged.
        open_unmanaged: Whether it is reachable from outside, although the program does not set external access.
        adopt: `if_matching` if its creation may adopt an existing container.
        adopts: The id of the existing container that its creation adopts.
        storage_mb: Its total storage in MB, if the state is known.
        id: Its id in the account, if it is known.
    """

    KIND = "Container"
    READS: ClassVar = {
        "container_name": partial(text, name="name"),
        "template": partial(text, name="template"),
        "plan": partial(text, name="plan"),
        "tier": partial(whole, name="additional_storage_tier"),
        "external_access": partial(boolean, name="external_access"),
        "open_unmanaged": partial(boolean, name="open_unmanaged"),
        "adopt": partial(text, name="adopt"),
        "adopts": partial(text, name=ADOPTS),
        "storage_mb": _existing_size,
        # The host name inside the account's network is the id.
        "id": lambda properties: text(properties, "internal_host") or text(properties, "id"),
    }

    container_name: str | Unknown | None = None
    template: str | Unknown | None = None
    plan: str | Unknown | None = None
    tier: int | Unknown | None = None
    external_access: bool | Unknown | None = None
    open_unmanaged: bool | Unknown | None = None
    adopt: str | Unknown | None = None
    adopts: str | Unknown | None = None
    storage_mb: int | Unknown | None = None
    id: str | Unknown | None = None

    @property
    def price(self) -> Price:
        """The monthly price; a range if a property is unknown."""
        return billed(self.template, self.plan, self.tier, self.storage_mb)[0]

    @property
    def kind(self) -> str:
        """Template, plan and storage, in words of the catalogue."""
        _, tier = billed(self.template, self.plan, self.tier, self.storage_mb)
        return describe(self.template, self.plan, tier)

    @property
    def database(self) -> bool | Unknown:
        """Whether it is a database; false for a template that is not in the catalogue."""
        if isinstance(self.template, Unknown):
            return UNKNOWN
        return self.template is not None and catalog.is_database(self.template)


@dataclass(frozen=True)
class ChildView(ResourceView):
    """
    A resource that belongs to a container.

    Class attributes:
        PARENT: The property with the container's id.

    Attributes:
        container: The id of its container.
        made_from: The URNs of the resources that `container` depends on. They are known before the id is.
    """

    PARENT: ClassVar = "container"
    READS: ClassVar = {"container": partial(text, name=PARENT)}

    container: str | Unknown | None = None
    made_from: frozenset[str] = frozenset()

    def belongs_to(self, container: ContainerView) -> bool:
        """Return whether its container is exactly this one."""
        if isinstance(self.container, str) and not isinstance(container.id, str):
            # A preview does not show the id of a container that it changes.
            return self.made_from == {container.urn} and self.may_name(container)
        return is_id_of(self.container, self.made_from, container.urn, container.id)

    def may_belong_to(self, container: ContainerView) -> bool:
        """Return whether its container is this one, or has an id that is computed from this one's id."""
        return self.belongs_to(container) or container.urn in self.made_from

    def may_name(self, container: ContainerView) -> bool:
        """
        Return whether the container's id in this resource fits the name of a container whose own id is unknown.

        An id in the guide's format ends with the container's name, and names are unique in an account. An id in a
        different format does not show a name.
        """
        name = container.container_name
        if not isinstance(self.container, str) or not isinstance(name, str):
            return True
        form = _GUIDES_ID.match(self.container)
        return form is None or self.container[form.end() :].lower() == name.lower()

    def is_of(self, stack: StackView) -> bool:
        """Return whether its container is one of this stack's containers."""
        return any(self.belongs_to(container) for container in (*stack.containers, *stack.exempt))


@dataclass(frozen=True)
class AllowedIpView(ChildView):
    """
    An AllowedIp.

    Attributes:
        ip_address: An address or a network.
        service_type: `http`, `tcp` or `both`.
        revoke_auto_added: Whether it removes the address that the API adds automatically.
    """

    KIND = "AllowedIp"
    READS: ClassVar = {
        **ChildView.READS,
        "ip_address": partial(text, name="ip_address"),
        "service_type": partial(text, name="service_type"),
        "revoke_auto_added": partial(boolean, name="revoke_auto_added"),
    }

    ip_address: str | Unknown | None = None
    service_type: str | Unknown | None = None
    revoke_auto_added: bool | Unknown | None = None


@dataclass(frozen=True)
class PinnedBackupView(ChildView):
    """A PinnedBackup."""

    KIND = "PinnedBackup"


@dataclass(frozen=True)
class VpnClientView(ChildView):
    """A VpnClient."""

    KIND = "VpnClient"


@dataclass(frozen=True)
class SshCertificateView(ChildView):
    """An SshCertificate."""

    KIND = "SshCertificate"


@dataclass(frozen=True)
class ConnectionView(ChildView):
    """A Connection; `container` is its target, to which it gives the source access."""

    KIND = "Connection"
    PARENT = "target"
    READS: ClassVar = {"container": partial(text, name=PARENT)}


@dataclass(frozen=True)
class BackupRestoreView(ResourceView):
    """A BackupRestore. A policy cannot tell from a backup's number which container it belongs to."""

    KIND = "BackupRestore"


@dataclass(frozen=True)
class StackView:
    """
    All STACKS resources of a stack.

    Attributes:
        containers: The containers.
        pinned_backups: The pinned backups.
        vpn_clients: The VPN clients.
        allowed_ips: The allowed addresses.
        connections: The connections.
        ssh_certificates: The SSH certificates.
        exempt: The containers that the rule does not check.
        unrecognised: The STACKS resources whose kind is unknown.
    """

    containers: tuple[ContainerView, ...] = ()
    pinned_backups: tuple[PinnedBackupView, ...] = ()
    vpn_clients: tuple[VpnClientView, ...] = ()
    allowed_ips: tuple[AllowedIpView, ...] = ()
    unrecognised: tuple[UnrecognisedView, ...] = ()
    connections: tuple[ConnectionView, ...] = ()
    ssh_certificates: tuple[SshCertificateView, ...] = ()
    exempt: tuple[ContainerView, ...] = ()

    @property
    def accesses(self) -> tuple[ChildView, ...]:
        """The children that give access to a container."""
        return (*self.allowed_ips, *self.vpn_clients, *self.connections, *self.ssh_certificates)

    @property
    def price(self) -> Price:
        """The monthly price of all resources together; a range if a property is unknown."""
        return total(
            (*(container.price for container in self.containers), *(UNPRICED for _ in self.unrecognised))
        )
