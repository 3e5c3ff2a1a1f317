"""What can be looked up of backups."""

from __future__ import annotations

import pulumi

from stacks_pulumi.functions import results
from stacks_pulumi.functions._ask import ask, ask_list, later
from stacks_pulumi.resources.provider import Provider

__all__ = [
    "get_backup_stats",
    "get_backup_stats_output",
    "list_backups",
    "list_backups_output",
]


def list_backups(
    container_id: str, limit: int = 50, *, provider: Provider | None = None
) -> list[results.Backup]:
    """
    The newest backups of a container; 100 at most (guide, "List Backups").

    Args:
        container_id: The container's id.
        limit: How many.
        provider: Whose account; the stack's own unless given.
    """
    return ask_list(
        provider,
        "list_backups",
        results.Backup,
        lambda client: client.backups.list(container_id, limit=limit),
        container_id=container_id,
        limit=limit,
    )


def list_backups_output(
    container_id: pulumi.Input[str], limit: pulumi.Input[int] = 50, *, provider: Provider | None = None
) -> pulumi.Output[list[results.Backup]]:
    """`list_backups` for outputs."""
    return later(list_backups, container_id, limit, provider=provider)


def get_backup_stats(*, provider: Provider | None = None) -> results.BackupStats:
    """
    Numbers on all backups of the account (guide, "Backup Statistics").

    Args:
        provider: Whose account; the stack's own unless given.
    """
    return ask(provider, "get_backup_stats", results.BackupStats, lambda client: client.backups.stats())


def get_backup_stats_output(*, provider: Provider | None = None) -> results.BackupStatsOutput:
    """`get_backup_stats` for outputs."""
    return later(get_backup_stats, provider=provider)
