"""
Backups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stacks_pulumi.api.models._model import Model

__all__ = ["Backup", "BackupStats"]


class Backup(Model, frozen=True, kw_only=True):
    """
    A backup of a container (guide, "List Backups").

    Attributes:
        id: A number that grows with every backup of the platform.
        container_id: The container that was backed up.
        container_name: The name of that container.
        backup_type: `scheduled` or `manual`.
        status: `in_progress`, `completed` or `failed`; the guide does not list all.
        snapshot_id: The platform's name for the backup.
        size_bytes: Size in bytes.
        backup_server: The server that made it.
        created_at: When it began: ISO 8601, UTC.
        completed_at: When it ended: ISO 8601, UTC.
        error_message: Why it failed.
        pinned: Whether the retention clean-up skips it.
    """

    id: int
    container_id: str | None = None
    container_name: str | None = None
    backup_type: str | None = None
    status: str | None = None
    snapshot_id: str | None = None
    size_bytes: int | None = None
    backup_server: str | None = None
    created_at: str | None = None
    completed_at: str | None = None
    error_message: str | None = None
    pinned: bool | None = None

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {"id": ("backup_id",), "backup_type": ("type",)}


class BackupStats(Model, frozen=True, kw_only=True):
    """
    Statistics of all backups of the account (guide, "Backup Statistics").

    Attributes:
        total_backups: How many there are.
        completed_backups: How many of them are complete.
        failed_backups: How many of them failed.
        total_size_bytes: Size of all of them in bytes.
        last_backup_at: When the last one was made: ISO 8601, UTC.
    """

    total_backups: int | None = None
    completed_backups: int | None = None
    failed_backups: int | None = None
    total_size_bytes: int | None = None
    last_backup_at: str | None = None
