"""
Who may reach a container from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stacks_pulumi.api.models._listing import Listing
from stacks_pulumi.api.models._model import Id, Model

__all__ = ["AllowedIp", "ExternalAccess"]


class AllowedIp(Model, frozen=True, kw_only=True):
    """
    An address that may connect (guide, "List Allowed IPs").

    Attributes:
        id: What removing it takes.
        ip_address: An IPv4 or IPv6 address or network, as the API spells it.
        description: For people.
        service_type: `http`, `tcp` or `both`.
        added_at: ISO 8601, UTC.
    """

    id: Id
    ip_address: str | None = None
    description: str | None = None
    service_type: str | None = None
    added_at: str | None = None

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "id": ("ip_id",),
        "ip_address": ("ip", "address", "cidr"),
        "added_at": ("created_at",),
    }


class ExternalAccess(Model, frozen=True, kw_only=True):
    """
    Whether and where a container is open to the public (guide, "External Access & IP Restrictions").

    Attributes:
        enabled: Whether it is.
        url: Host name, without a scheme.
        subdomain: The random part of it; gone once access is disabled.
        your_ip: The address that the API sees us at; enabling access puts it on the list.
        allowed_ips: Who may connect. Only `allowed_ips.list` tells; empty elsewhere.
    """

    enabled: bool | None = None
    url: str | None = None
    subdomain: str | None = None
    your_ip: str | None = None
    allowed_ips: Listing[AllowedIp] = Listing()

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "enabled": ("external_access_enabled", "external_access"),
        "your_ip": ("your_current_ip", "current_ip"),
    }
