"""
Resources as a rule sees them: typed, frozen, and honest about what is not known.

A view is made from the plain properties that the engine hands to a policy: the checked inputs, with the defaults
that the provider filled in, or (for a resource that exists) its outputs, which have the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stacks_pulumi import catalog
from stacks_pulumi.cost import tokens
from stacks_pulumi.cost.money import Price, total
from stacks_pulumi.cost.pricing import describe, price
from stacks_pulumi.cost.values import UNKNOWN, Unknown, boolean, text, whole

__all__ = ["AllowedIpView", "ContainerView", "PinnedBackupView", "ResourceView", "StackView", "VpnClientView"]


@dataclass(frozen=True)
class ResourceView:
    """
    What every resource has.

    Attributes:
        urn: The URN.
        name: The resource's name in the program.
        protect: Whether the engine refuses to delete it.
    """

    TYPE: ClassVar[str]

    urn: str
    name: str
    protect: bool = False

    @classmethod
    def of(cls, urn: str, name: str, properties: Mapping[str, Any], *, protect: bool = False) -> ResourceView:
        """A view of a resource with these properties."""
        return cls(urn, name, protect)


@dataclass(frozen=True)
class ContainerView(ResourceView):
    """
    A Container.

    Attributes:
        container_name: What it is called in the account.
        template: Template id.
        plan: Plan name; `None` for a `stacks-vpn` container, which has none.
        tier: Additional storage tier; `None` for none.
        external_access: Whether it is reachable from outside; `None` if the program does not say.
        id: Its id in the account, where that is known.
    """

    TYPE = tokens.CONTAINER

    container_name: str | Unknown | None = None
    template: str | Unknown | None = None
    plan: str | Unknown | None = None
    tier: int | Unknown | None = None
    external_access: bool | Unknown | None = None
    id: str | Unknown | None = None

    @classmethod
    def of(
        cls, urn: str, name: str, properties: Mapping[str, Any], *, protect: bool = False
    ) -> ContainerView:
        """A view of a container with these properties."""
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
        """What it costs in a month; a range where something is not known."""
        return price(self.template, self.plan, self.tier)

    @property
    def kind(self) -> str:
        """Template, plan and storage, in words of the catalogue only."""
        return describe(self.template, self.plan, self.tier)

    @property
    def database(self) -> bool | Unknown:
        """Whether it is a database; False for a template that the catalogue does not know."""
        if isinstance(self.template, Unknown):
            return UNKNOWN
        return self.template is not None and catalog.is_database(self.template)


@dataclass(frozen=True)
class AllowedIpView(ResourceView):
    """
    An AllowedIp.

    Attributes:
        ip_address: An address or a network.
        service_type: `http`, `tcp` or `both`.
    """

    TYPE = tokens.ALLOWED_IP

    ip_address: str | Unknown | None = None
    service_type: str | Unknown | None = None

    @classmethod
    def of(
        cls, urn: str, name: str, properties: Mapping[str, Any], *, protect: bool = False
    ) -> AllowedIpView:
        """A view of an allowed address with these properties."""
        address, service = text(properties, "ip_address"), text(properties, "service_type")
        return cls(urn, name, protect, ip_address=address, service_type=service)


@dataclass(frozen=True)
class PinnedBackupView(ResourceView):
    """
    A PinnedBackup.

    Attributes:
        container: The id of its container.
        made_from: The URNs of the resources that `container` came from: known while the id is not.
    """

    TYPE = tokens.PINNED_BACKUP

    container: str | Unknown | None = None
    made_from: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, urn: str, name: str, properties: Mapping[str, Any], *, protect: bool = False
    ) -> PinnedBackupView:
        """A view of a backup with these properties."""
        return cls(urn, name, protect, container=text(properties, "container"))


@dataclass(frozen=True)
class VpnClientView(ResourceView):
    """A VpnClient."""

    TYPE = tokens.VPN_CLIENT


@dataclass(frozen=True)
class StackView:
    """
    All of our resources in a stack.

    Attributes:
        containers: The containers.
        pinned_backups: The pinned backups.
        vpn_clients: The VPN clients.
    """

    containers: tuple[ContainerView, ...] = ()
    pinned_backups: tuple[PinnedBackupView, ...] = ()
    vpn_clients: tuple[VpnClientView, ...] = ()

    @property
    def price(self) -> Price:
        """What all containers together cost in a month; a range where something is not known."""
        return total(container.price for container in self.containers)
