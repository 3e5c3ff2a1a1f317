"""Rules of backups: manual and nightly ones, retention, pins and restores (guide, "Backups")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks_pulumi.emulator import platform as settling
from stacks_pulumi.emulator.answers import bad_request, not_found
from stacks_pulumi.emulator.state import Backup, Container

if TYPE_CHECKING:
    from stacks_pulumi.emulator.platform import Platform

__all__ = ["delete", "find", "newest_first", "of_account", "pin", "restore", "trigger"]


def trigger(platform: Platform, container: Container) -> Backup:
    """
    Start a backup in the background.

    Raises:
        Refusal: 400 unless the container runs.
    """
    if container.status != "running":
        # assumed: the code and the wording; the guide says that it must be running.
        raise bad_request("Container must be running to create a backup")
    # assumed: it is listed as in_progress from the start, and two may be in progress concurrently.
    return settling.begin_backup(
        platform.state, container, "manual", platform.clock.now(), platform.pace.backup_seconds
    )


def of_account(platform: Platform, account: str) -> list[Backup]:
    """Return all backups of an account, oldest first."""
    platform.settle()
    return [backup for backup in platform.state.backups.values() if backup.account == account]


def newest_first(platform: Platform, container: Container) -> list[Backup]:
    """Return the backups of a container, newest first."""
    # assumed: the order.
    platform.settle()
    mine = [backup for backup in platform.state.backups.values() if backup.container_id == container.id]
    return sorted(mine, key=lambda backup: (backup.created_at, backup.id), reverse=True)


def find(platform: Platform, account: str, backup_id: str) -> Backup:
    """
    Return a backup of an account.

    Raises:
        Refusal: 404 if it does not exist.
    """
    platform.settle()
    known = backup_id.isascii() and backup_id.isdigit() and len(backup_id) < 20
    found = platform.state.backups.get(int(backup_id)) if known else None
    if found is None or found.account != account:
        raise not_found("Backup")
    return found


def restore(platform: Platform, backup: Backup) -> None:
    """
    Restore a backup into its container, which keeps running.

    Raises:
        Refusal: 400 unless the container runs and the backup is complete.
    """
    container = platform.state.containers[backup.container_id]
    if container.status != "running":
        raise bad_request("Container must be running to restore a backup")
    if backup.status != "completed":
        # assumed: only a completed backup can be restored.
        raise bad_request(f"Backup is {backup.status}; only a completed backup can be restored")
    container.restored.append(backup.id)
    container.updated_at = platform.clock.now()


def pin(backup: Backup, *, pinned: bool) -> None:
    """Pin or unpin a backup; a pinned backup is protected from the clean-up."""
    # assumed: any backup can be pinned, and pinning twice changes nothing.
    backup.pinned = pinned


def delete(platform: Platform, backup: Backup) -> None:
    """Delete a backup."""
    # assumed: a pin protects from the clean-up only, not from a delete request.
    del platform.state.backups[backup.id]
