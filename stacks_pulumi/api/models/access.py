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
        id: The id with which it is removed.
        ip_address: An IPv4 or IPv6 address or network, as the API spells it.
        description: A description for people.
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
        enabled: Whether external access is on.
        url: Host name, without a scheme.
        subdomain: The random part of `url`. Disabling access removes it.
        your_ip: The caller's address as the API sees it. Enabling access adds it to the allowed addresses.
        allowed_ips: The addresses that may connect. Only `allowed_ips.list` returns them; empty elsewhere.
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
