"""
Data functions: they return data of the account that the program does not manage.

Each function has two forms. `get_container(id)` needs a plain id and returns a plain result. The `_output` form,
`get_container_output(id)`, also takes an output, such as the id of a container that does not exist yet, and returns
an output; in the preview of a new stack it sends no request. An answer is cached for five seconds. If the result is
secret, the `_output` form returns a secret output; the plain form returns plain text that the caller has to protect.
The errors are those in `stacks_pulumi.errors`. If a program does not catch one, it ends with one line and no
traceback.

- `questions`: Which call of the client answers a function, and how long is the answer kept?
- `results`: What does a function return?
"""

from __future__ import annotations

import pulumi

from stacks_pulumi.functions import results
from stacks_pulumi.functions.questions import ask, later
from stacks_pulumi.resources.provider import Provider

__all__ = [
    "get_backup_stats",
    "get_backup_stats_output",
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
    "get_vpn_config",
    "get_vpn_config_output",
    "list_allowed_ips",
    "list_allowed_ips_output",
    "list_available_targets",
    "list_available_targets_output",
    "list_backups",
    "list_backups_output",
    "list_connections",
    "list_connections_output",
    "list_containers",
    "list_containers_output",
    "list_templates",
    "list_templates_output",
    "list_vpn_clients",
    "list_vpn_clients_output",
]


def get_container(id: str, *, provider: Provider | None = None) -> results.Container:
    """
    Return a container (guide, "Get Container Status").

    Args:
        id: The container's id.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "get_container", id=id)


def get_container_output(
    id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.ContainerOutput:
    """`get_container` for outputs."""
    return later(get_container, id, provider=provider)


def list_containers(*, provider: Provider | None = None) -> list[results.Container]:
    """
    Return all containers of the account (guide, "List Containers").

    Args:
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "list_containers")


def list_containers_output(*, provider: Provider | None = None) -> pulumi.Output[list[results.Container]]:
    """`list_containers` for outputs."""
    return later(list_containers, provider=provider)


def list_templates(*, provider: Provider | None = None) -> list[results.Template]:
    """
    Return all templates with the API's prices (guide, "List Available Templates").

    Args:
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "list_templates")


def list_templates_output(*, provider: Provider | None = None) -> pulumi.Output[list[results.Template]]:
    """`list_templates` for outputs."""
    return later(list_templates, provider=provider)


def get_credentials(container_id: str, *, provider: Provider | None = None) -> results.Credentials:
    """
    Return the credentials of a container (guide, "Get Container Credentials").

    The answer is secret; the output form marks it as secret.

    Args:
        container_id: The container's id.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "get_credentials", container_id=container_id)


def get_credentials_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.CredentialsOutput:
    """`get_credentials` for outputs; a secret."""
    return later(get_credentials, container_id, provider=provider)


def get_logs(container_id: str, lines: int = 100, *, provider: Provider | None = None) -> str:
    """
    Return the last lines of a container's log; 500 at most (guide, "Get Container Logs").

    Args:
        container_id: The container's id.
        lines: How many lines.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "get_logs", container_id=container_id, lines=lines)


def get_logs_output(
    container_id: pulumi.Input[str], lines: pulumi.Input[int] = 100, *, provider: Provider | None = None
) -> pulumi.Output[str]:
    """`get_logs` for outputs."""
    return later(get_logs, container_id, lines, provider=provider)


def get_metrics(container_id: str, *, provider: Provider | None = None) -> results.Metrics:
    """
    Return measurements of a container over time (guide, "Get Container Metrics").

    Args:
        container_id: The container's id.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "get_metrics", container_id=container_id)


def get_metrics_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.MetricsOutput:
    """`get_metrics` for outputs."""
    return later(get_metrics, container_id, provider=provider)


def get_ssh_certificate(container_id: str, *, provider: Provider | None = None) -> str:
    """
    Return the SSH private key of a compute container, as PEM (guide, "Download SSH Certificate").

    The answer is secret; the output form marks it as secret.

    Args:
        container_id: The container's id.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "get_ssh_certificate", container_id=container_id)


def get_ssh_certificate_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> pulumi.Output[str]:
    """`get_ssh_certificate` for outputs; a secret."""
    return later(get_ssh_certificate, container_id, provider=provider)


def list_allowed_ips(container_id: str, *, provider: Provider | None = None) -> results.ExternalAccess:
    """
    Return the addresses that may reach a container from outside (guide, "List Allowed IPs").

    Args:
        container_id: The container's id.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "list_allowed_ips", container_id=container_id)


def list_allowed_ips_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.ExternalAccessOutput:
    """`list_allowed_ips` for outputs."""
    return later(list_allowed_ips, container_id, provider=provider)


def list_available_targets(container_id: str, *, provider: Provider | None = None) -> results.Targets:
    """
    Return the targets that a container can be connected to (guide, "List Available Targets").

    Args:
        container_id: The container's id.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "list_available_targets", container_id=container_id)


def list_available_targets_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.TargetsOutput:
    """`list_available_targets` for outputs."""
    return later(list_available_targets, container_id, provider=provider)


def list_connections(container_id: str, *, provider: Provider | None = None) -> results.Connections:
    """
    Return the connections from and to a container (guide, "List Connections").

    The answer is secret; the output form marks it as secret.

    Args:
        container_id: The container's id.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "list_connections", container_id=container_id)


def list_connections_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.ConnectionsOutput:
    """`list_connections` for outputs; a secret."""
    return later(list_connections, container_id, provider=provider)


def list_backups(
    container_id: str, limit: int = 50, *, provider: Provider | None = None
) -> list[results.Backup]:
    """
    Return the newest backups of a container; 100 at most (guide, "List Backups").

    Args:
        container_id: The container's id.
        limit: How many backups at most.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "list_backups", container_id=container_id, limit=limit)


def list_backups_output(
    container_id: pulumi.Input[str], limit: pulumi.Input[int] = 50, *, provider: Provider | None = None
) -> pulumi.Output[list[results.Backup]]:
    """`list_backups` for outputs."""
    return later(list_backups, container_id, limit, provider=provider)


def get_backup_stats(*, provider: Provider | None = None) -> results.BackupStats:
    """
    Return statistics of all backups of the account (guide, "Backup Statistics").

    Args:
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "get_backup_stats")


def get_backup_stats_output(*, provider: Provider | None = None) -> results.BackupStatsOutput:
    """`get_backup_stats` for outputs."""
    return later(get_backup_stats, provider=provider)


def list_vpn_clients(container_id: str, *, provider: Provider | None = None) -> list[results.VpnClient]:
    """
    Return the clients of a VPN container (guide, "List VPN Clients").

    Args:
        container_id: The container's id.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "list_vpn_clients", container_id=container_id)


def list_vpn_clients_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> pulumi.Output[list[results.VpnClient]]:
    """`list_vpn_clients` for outputs."""
    return later(list_vpn_clients, container_id, provider=provider)


def get_vpn_config(container_id: str, client: str = "default", *, provider: Provider | None = None) -> str:
    """
    Return the WireGuard configuration of a VPN client, with its private key (guide, "Download VPN Config").

    The answer is secret; the output form marks it as secret.

    Args:
        container_id: The container's id.
        client: The client's name.
        provider: The provider of the account; by default the stack's.
    """
    return ask(provider, "get_vpn_config", container_id=container_id, client=client)


def get_vpn_config_output(
    container_id: pulumi.Input[str],
    client: pulumi.Input[str] = "default",
    *,
    provider: Provider | None = None,
) -> pulumi.Output[str]:
    """`get_vpn_config` for outputs; a secret."""
    return later(get_vpn_config, container_id, client, provider=provider)
