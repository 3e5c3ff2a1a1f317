"""What can be looked up of a VPN container."""

from __future__ import annotations

import pulumi

from stacks_pulumi.functions import results
from stacks_pulumi.functions._ask import ask, ask_list, later
from stacks_pulumi.resources.provider import Provider

__all__ = [
    "get_vpn_config",
    "get_vpn_config_output",
    "list_vpn_clients",
    "list_vpn_clients_output",
]


def list_vpn_clients(container_id: str, *, provider: Provider | None = None) -> list[results.VpnClient]:
    """
    The clients of a VPN container (guide, "List VPN Clients").

    Args:
        container_id: The container's id.
        provider: Whose account; the stack's own unless given.
    """
    return ask_list(
        provider,
        "list_vpn_clients",
        results.VpnClient,
        lambda client: client.vpn_clients.list(container_id),
        container_id=container_id,
    )


def list_vpn_clients_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> pulumi.Output[list[results.VpnClient]]:
    """`list_vpn_clients` for outputs."""
    return later(list_vpn_clients, container_id, provider=provider)


def get_vpn_config(container_id: str, client: str = "default", *, provider: Provider | None = None) -> str:
    """
    The WireGuard configuration of a VPN client, with its private key (guide, "Download VPN Config").

    The answer is secret; the twin marks it.

    Args:
        container_id: The container's id.
        client: The client's name.
        provider: Whose account; the stack's own unless given.
    """
    return ask(
        provider,
        "get_vpn_config",
        str,
        lambda api: api.vpn_clients.config(container_id, client),
        container_id=container_id,
        client=client,
    )


def get_vpn_config_output(
    container_id: pulumi.Input[str],
    client: pulumi.Input[str] = "default",
    *,
    provider: Provider | None = None,
) -> pulumi.Output[str]:
    """`get_vpn_config` for outputs; a secret."""
    return later(get_vpn_config, container_id, client, provider=provider, secret=True)
