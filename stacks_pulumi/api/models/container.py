"""
Containers, and the templates that they are made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from stacks_pulumi.api.models._model import Amount, Id, Model

__all__ = ["ENDING_STATUSES", "SETTLED_STATUSES", "Container", "Template"]

SETTLED_STATUSES: Final = frozenset({"running", "stopped", "error"})
"""A container keeps such a status until a request changes it. The guide does not list the statuses in between."""


ENDING_STATUSES: Final = frozenset({"deleting", "deleted"})
"""The status of a container that is being deleted or is deleted."""


class Container(Model, frozen=True, kw_only=True):
    """
    A container (guide, "List Containers", "Get Container Status" and "Create Container").

    Attributes:
        id: For instance `usr-abc12345-web`; also its host name inside the network.
        name: The name in the create request.
        status: `pending`, `running`, `stopped`, `error`; the guide does not list all.
        template: Template id. The list calls it `type`.
        plan: Plan name.
        cpu: Virtual CPUs.
        memory_mb: Memory in MB.
        storage_mb: Storage in MB, additional storage included.
        ip_address: Address inside the network.
        port: Public port.
        ssh_user: User name for SSH.
        ssh_host: Host name for SSH from outside.
        ssh_port: Port for SSH from outside.
        has_ssh_access: Whether SSH access is possible.
        has_web_ui: Whether it has a web interface.
        vpc_network: The network of the container.
        version: Version of the software inside.
        version_major: The major part of the version.
        image_tag: The image that it runs.
        created_at: ISO 8601, UTC.
        updated_at: ISO 8601, UTC.
        raw_status: The status text of the container runtime, for instance `Up 2 hours (healthy)`.
        external_access: Whether it is open to the public.
        error_message: Why its status is `error`.
    """

    id: Id
    name: str | None = None
    status: str | None = None
    template: str | None = None
    plan: str | None = None
    cpu: Amount | None = None
    memory_mb: int | None = None
    storage_mb: int | None = None
    ip_address: str | None = None
    port: int | None = None
    ssh_user: str | None = None
    ssh_host: str | None = None
    ssh_port: int | None = None
    has_ssh_access: bool | None = None
    has_web_ui: bool | None = None
    vpc_network: str | None = None
    version: str | None = None
    version_major: str | None = None
    image_tag: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    raw_status: str | None = None
    external_access: bool | None = None
    error_message: str | None = None

    SYNONYMS: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "status": {
            "exited": "stopped",
            "failed": "error",
            **dict.fromkeys(("removing", "destroying", "terminating"), "deleting"),
            **dict.fromkeys(("removed", "destroyed", "terminated"), "deleted"),
        }
    }

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "id": ("container_id",),
        "template": ("type",),
        "cpu": ("cpu_allocated",),
        "memory_mb": ("memory_allocated",),
        "storage_mb": ("storage_allocated", "storage"),
        "ssh_host": ("public_host",),
        "raw_status": ("raw_docker_status",),
        "external_access": ("external_access_enabled",),
    }

    @property
    def internal_host(self) -> str:
        """The host name inside the network: its id (guide, "Get Container Credentials")."""
        return self.id

    @property
    def settled(self) -> bool:
        """Whether its status does not change without a request."""
        return self.status in SETTLED_STATUSES

    def made_from(self, template: str) -> bool:
        """
        Whether the container may have been created from that template.

        The list contains only a `type`, and the guide does not say whether that includes the size: `nginx-micro` may
        be listed as `nginx`, and `stacks-vpn` as `vpn`.
        """
        return self.template in {
            None,
            template,
            template.removesuffix("-micro"),
            template.removeprefix("stacks-"),
        }


class Template(Model, frozen=True, kw_only=True):
    """
    A kind of container (guide, "List Available Templates"; the guide does not list the fields).

    Attributes:
        id: The id for create requests.
        name: The name for people.
        description: One line.
        category: What the template is for.
        plan: The plan that it is listed under.
        monthly_usd: Price per month in US dollars.
        raw: The whole entry, unchanged.
    """

    id: Id
    name: str | None = None
    description: str | None = None
    category: str | None = None
    plan: str | None = None
    monthly_usd: Amount | None = None
    raw: dict[str, Any] | None = None

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "id": ("template_id", "template"),
        "name": ("title", "display_name"),
        "category": ("type",),
        "plan": ("tier",),
        "monthly_usd": ("monthly_price", "price_monthly", "price_per_month", "price"),
    }
