"""What can be looked up of containers."""

from __future__ import annotations

import pulumi

from stacks_pulumi.functions import results
from stacks_pulumi.functions._ask import ask, ask_list, later
from stacks_pulumi.resources.provider import Provider

__all__ = [
    "get_container",
    "get_container_output",
    "get_credentials",
    "get_credentials_output",
    "get_logs",
    "get_logs_output",
    "get_metrics",
    "get_metrics_output",
    "get_ssh_certificate",
    "get_ssh_certificate_output",
    "list_containers",
    "list_containers_output",
    "list_templates",
    "list_templates_output",
]


def get_container(id: str, *, provider: Provider | None = None) -> results.Container:
    """
    A container (guide, "Get Container Status").

    Args:
        id: The container's id.
        provider: Whose account; the stack's own unless given.
    """
    return ask(
        provider, "get_container", results.Container, lambda client: client.containers.status(id), id=id
    )


def get_container_output(
    id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.ContainerOutput:
    """`get_container` for outputs."""
    return later(get_container, id, provider=provider)


def list_containers(*, provider: Provider | None = None) -> list[results.Container]:
    """
    All containers of the account (guide, "List Containers").

    Args:
        provider: Whose account; the stack's own unless given.
    """
    return ask_list(provider, "list_containers", results.Container, lambda client: client.containers.list())


def list_containers_output(*, provider: Provider | None = None) -> pulumi.Output[list[results.Container]]:
    """`list_containers` for outputs."""
    return later(list_containers, provider=provider)


def list_templates(*, provider: Provider | None = None) -> list[results.Template]:
    """
    All templates with their prices, as the API has them (guide, "List Available Templates").

    Args:
        provider: Whose account; the stack's own unless given.
    """
    return ask_list(
        provider, "list_templates", results.Template, lambda client: client.containers.templates()
    )


def list_templates_output(*, provider: Provider | None = None) -> pulumi.Output[list[results.Template]]:
    """`list_templates` for outputs."""
    return later(list_templates, provider=provider)


def get_credentials(container_id: str, *, provider: Provider | None = None) -> results.Credentials:
    """
    How to log in to a container (guide, "Get Container Credentials"). The answer is secret; the twin marks it.

    Args:
        container_id: The container's id.
        provider: Whose account; the stack's own unless given.
    """
    return ask(
        provider,
        "get_credentials",
        results.Credentials,
        lambda client: client.containers.credentials(container_id),
        container_id=container_id,
    )


def get_credentials_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.CredentialsOutput:
    """`get_credentials` for outputs; a secret."""
    return later(get_credentials, container_id, provider=provider, secret=True)


def get_logs(container_id: str, lines: int = 100, *, provider: Provider | None = None) -> str:
    """
    The last lines of a container's log; 500 at most (guide, "Get Container Logs").

    Args:
        container_id: The container's id.
        lines: How many lines.
        provider: Whose account; the stack's own unless given.
    """
    return ask(
        provider,
        "get_logs",
        str,
        lambda client: client.containers.logs(container_id, lines),
        container_id=container_id,
        lines=lines,
    )


def get_logs_output(
    container_id: pulumi.Input[str], lines: pulumi.Input[int] = 100, *, provider: Provider | None = None
) -> pulumi.Output[str]:
    """`get_logs` for outputs."""
    return later(get_logs, container_id, lines, provider=provider)


def get_metrics(container_id: str, *, provider: Provider | None = None) -> results.Metrics:
    """
    Measurements of a container over time (guide, "Get Container Metrics").

    Args:
        container_id: The container's id.
        provider: Whose account; the stack's own unless given.
    """
    return ask(
        provider,
        "get_metrics",
        results.Metrics,
        lambda client: client.containers.metrics(container_id),
        container_id=container_id,
    )


def get_metrics_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.MetricsOutput:
    """`get_metrics` for outputs."""
    return later(get_metrics, container_id, provider=provider)


def get_ssh_certificate(container_id: str, *, provider: Provider | None = None) -> str:
    """
    The SSH private key of a compute container, as PEM (guide, "Download SSH Certificate").

    The answer is secret; the twin marks it.

    Args:
        container_id: The container's id.
        provider: Whose account; the stack's own unless given.
    """
    return ask(
        provider,
        "get_ssh_certificate",
        str,
        lambda client: client.containers.certificate(container_id),
        container_id=container_id,
    )


def get_ssh_certificate_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> pulumi.Output[str]:
    """`get_ssh_certificate` for outputs; a secret."""
    return later(get_ssh_certificate, container_id, provider=provider, secret=True)
