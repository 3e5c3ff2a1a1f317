"""What can be looked up of connections."""

from __future__ import annotations

import pulumi

from stacks_pulumi.functions import results
from stacks_pulumi.functions._ask import ask, later
from stacks_pulumi.resources.provider import Provider

__all__ = [
    "list_available_targets",
    "list_available_targets_output",
    "list_connections",
    "list_connections_output",
]


def list_available_targets(container_id: str, *, provider: Provider | None = None) -> results.Targets:
    """
    What a container can be connected to (guide, "List Available Targets").

    Args:
        container_id: The container's id.
        provider: Whose account; the stack's own unless given.
    """
    return ask(
        provider,
        "list_available_targets",
        results.Targets,
        lambda client: client.connections.targets(container_id),
        container_id=container_id,
    )


def list_available_targets_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.TargetsOutput:
    """`list_available_targets` for outputs."""
    return later(list_available_targets, container_id, provider=provider)


def list_connections(container_id: str, *, provider: Provider | None = None) -> results.Connections:
    """
    The connections from and to a container (guide, "List Connections"). The answer is secret; the twin marks it.

    Args:
        container_id: The container's id.
        provider: Whose account; the stack's own unless given.
    """
    return ask(
        provider,
        "list_connections",
        results.Connections,
        lambda client: client.connections.list(container_id),
        container_id=container_id,
    )


def list_connections_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.ConnectionsOutput:
    """`list_connections` for outputs; a secret."""
    return later(list_connections, container_id, provider=provider, secret=True)
