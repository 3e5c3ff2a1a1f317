"""
Clients of a VPN container.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stacks_pulumi.api.models._model import Id, Model

__all__ = ["VpnClient"]


class VpnClient(Model, frozen=True, kw_only=True):
    """
    A client of a VPN container (guide, "VPN Management"; the guide does not list the fields).

    Attributes:
        name: Its name. Requests for its configuration and its removal use the name.
        ip_address: Its address inside the VPN.
        public_key: Its WireGuard public key.
        created_at: ISO 8601, UTC.
    """

    name: Id
    ip_address: str | None = None
    public_key: str | None = None
    created_at: str | None = None

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "name": ("client_name", "client"),
        "ip_address": ("ip", "address", "vpn_ip"),
    }

    @property
    def id(self) -> str:
        """Its name: clients have no other id."""
        return self.name
