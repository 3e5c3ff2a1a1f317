"""
Typed views of the STACKS resources.

A view is created from the plain properties that the engine passes to a policy: the checked inputs with the provider's
defaults, or the outputs of an existing resource, which have the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Final

from stacks_pulumi import catalog
from stacks_pulumi.pricing.money import Price, describe, price, total
from stacks_pulumi.pricing.recognition import UNKNOWN, UNRECOGNISED, Unknown, boolean, snake_case, text, whole

__all__ = [
    "UNPRICED",
    "AllowedIpView",
    "ChildView",
    "ContainerView",
    "PinnedBackupView",
    "ResourceView",
    "StackView",
    "UnrecognisedView",
    "VpnClientView",
]

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
    ) -> ResourceView:
        """Return a view of a resource with these properties, in camelCase or snake_case."""
        return cls(urn, name, protect)


@dataclass(frozen=True)
class UnrecognisedView(ResourceView):
    """A resource with the STACKS type prefix, whose kind this version does not know."""

    KIND = UNRECOGNISED


@dataclass(frozen=True)
class ContainerView(ResourceView):
    """
    A Container.

    Attributes:
        container_name: Its name in the account.
        template: Template id.
        plan: Plan name; `None` for a `stacks-vpn` container, which has no plan.
        tier: Additional storage tier; `None` for none.
        external_access: Whether it is reachable from outside; `None` if the program does not set it.
        id: Its id in the account, if it is known.
    """

    KIND = "Container"

    container_name: str | Unknown | None = None
    template: str | Unknown | None = None
    plan: str | Unknown | None = None
    tier: int | Unknown | None = None
    external_access: bool | Unknown | None = None
    id: str | Unknown | None = None

    @classmethod
    def of(
        cls,
        urn: str,
        name: str,
        properties: Mapping[str, Any],
        *,
        protect: bool = False,
        made_from: frozenset[str] = frozenset(),
    ) -> ContainerView:
        """Return a view of a container with these properties."""
        properties = snake_case(properties)
        return cls(
            urn,
            name,
            protect,
            container_name=text(properties, "name"),
            template=text(properties, "template"),
            plan=text(properties, "plan"),
            tier=whole(properties, "additional_storage_tier"),
            external_access=boolean(properties, "external_access"),
            # The host name inside the account's network is the id.
            id=text(properties, "internal_host") or text(properties, "id"),
        )

    @property
    def price(self) -> Price:
        """The monthly price; a range if a property is unknown."""
        return price(self.template, self.plan, self.tier)

    @property
    def kind(self) -> str:
        """Template, plan and storage, only with words of the catalogue."""
        return describe(self.template, self.plan, self.tier)

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

    Attributes:
        container: The id of its container.
        made_from: The URNs of the containers that `container` depends on. They are known before the id is.
    """

    container: str | Unknown | None = None
    made_from: frozenset[str] = frozenset()

    def belongs_to(self, container: ContainerView) -> bool:
        """Whether it certainly belongs to this container: it has its id, or its unknown id depends on no other one."""
        if isinstance(self.container, str) and isinstance(container.id, str):
            return self.container == container.id
        return self.made_from == {container.urn}

    def may_belong_to(self, container: ContainerView) -> bool:
        """Whether it may belong to this container."""
        if isinstance(self.container, str) and isinstance(container.id, str):
            return self.container == container.id
        return container.urn in self.made_from or not self.made_from


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

    ip_address: str | Unknown | None = None
    service_type: str | Unknown | None = None
    revoke_auto_added: bool | Unknown | None = None

    @classmethod
    def of(
        cls,
        urn: str,
        name: str,
        properties: Mapping[str, Any],
        *,
        protect: bool = False,
        made_from: frozenset[str] = frozenset(),
    ) -> AllowedIpView:
        """Return a view of an allowed address with these properties."""
        properties = snake_case(properties)
        return cls(
            urn,
            name,
            protect,
            text(properties, "container"),
            made_from,
            ip_address=text(properties, "ip_address"),
            service_type=text(properties, "service_type"),
            revoke_auto_added=boolean(properties, "revoke_auto_added"),
        )


@dataclass(frozen=True)
class PinnedBackupView(ChildView):
    """A PinnedBackup."""

    KIND = "PinnedBackup"

    @classmethod
    def of(
        cls,
        urn: str,
        name: str,
        properties: Mapping[str, Any],
        *,
        protect: bool = False,
        made_from: frozenset[str] = frozenset(),
    ) -> PinnedBackupView:
        """Return a view of a backup with these properties."""
        return cls(urn, name, protect, text(properties, "container"), made_from)


@dataclass(frozen=True)
class VpnClientView(ResourceView):
    """A VpnClient."""

    KIND = "VpnClient"


@dataclass(frozen=True)
class StackView:
    """
    All STACKS resources of a stack.

    Attributes:
        containers: The containers.
        pinned_backups: The pinned backups.
        vpn_clients: The VPN clients.
        allowed_ips: The allowed addresses.
        unrecognised: The STACKS resources whose kind is unknown.
    """

    containers: tuple[ContainerView, ...] = ()
    pinned_backups: tuple[PinnedBackupView, ...] = ()
    vpn_clients: tuple[VpnClientView, ...] = ()
    allowed_ips: tuple[AllowedIpView, ...] = ()
    unrecognised: tuple[UnrecognisedView, ...] = ()

    @property
    def price(self) -> Price:
        """The monthly price of all resources together; a range if a property is unknown."""
        return total(
            (*(container.price for container in self.containers), *(UNPRICED for _ in self.unrecognised))
        )
