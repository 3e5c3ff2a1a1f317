"""Who may reach a container from outside."""

from __future__ import annotations

import pulumi

from stacks_pulumi.functions import results
from stacks_pulumi.functions._ask import ask, later
from stacks_pulumi.resources.provider import Provider

__all__ = [
    "list_allowed_ips",
    "list_allowed_ips_output",
]


def list_allowed_ips(container_id: str, *, provider: Provider | None = None) -> results.ExternalAccess:
    """
    Who may reach a container from outside (guide, "List Allowed IPs").

    Args:
        container_id: The container's id.
        provider: Whose account; the stack's own unless given.
    """
    return ask(
        provider,
        "list_allowed_ips",
        results.ExternalAccess,
        lambda client: client.allowed_ips.list(container_id),
        container_id=container_id,
    )


def list_allowed_ips_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.ExternalAccessOutput:
    """`list_allowed_ips` for outputs."""
    return later(list_allowed_ips, container_id, provider=provider)
