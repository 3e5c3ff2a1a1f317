"""Backups: made by hand or at night, kept for a week, pinned, restored (guide, "Backups")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks_pulumi.emulator.clock import DAY
from stacks_pulumi.emulator.refusals import bad_request, not_found
from stacks_pulumi.emulator.state import Backup, Container

if TYPE_CHECKING:
    from stacks_pulumi.emulator.platform import Platform

__all__ = ["delete", "find", "newest_first", "of_account", "pin", "restore", "settle", "trigger"]

RETENTION = 7 * DAY
"""How long a backup that is not pinned is kept."""

_SCHEDULE = 2 * 3600.0
"""Seconds after midnight UTC."""


def trigger(platform: Platform, container: Container) -> Backup:
    """
    Start a backup in the background.

    Raises:
        Refusal: 400 unless the container runs.
    """
    if container.status != "running":
        # assumed: the code and the wording; the guide says that it must be running.
        raise bad_request("Container must be running to create a backup")
    # assumed: it is listed as in_progress from the start, and two may be under way at once.
    return _begin(platform, container, "manual", platform.clock.now())


def of_account(platform: Platform, account: str) -> list[Backup]:
    """All backups of an account, oldest first."""
    platform.settle()
    return [backup for backup in platform.state.backups.values() if backup.account == account]


def newest_first(platform: Platform, container: Container) -> list[Backup]:
    """The backups of a container."""
    # assumed: the order.
    platform.settle()
    mine = [backup for backup in platform.state.backups.values() if backup.container_id == container.id]
    return sorted(mine, key=lambda backup: (backup.created_at, backup.id), reverse=True)


def find(platform: Platform, account: str, backup_id: str) -> Backup:
    """
    A backup of an account.

    Raises:
        Refusal: 404.
    """
    platform.settle()
    known = backup_id.isascii() and backup_id.isdigit() and len(backup_id) < 20
    found = platform.state.backups.get(int(backup_id)) if known else None
    if found is None or found.account != account:
        raise not_found("Backup")
    return found


def restore(platform: Platform, backup: Backup) -> None:
    """
    Put a backup back into its container, which keeps running.

    Raises:
        Refusal: 400 unless the container runs and the backup is complete.
    """
    container = platform.state.containers[backup.container_id]
    if container.status != "running":
        raise bad_request("Container must be running to restore a backup")
    if backup.status != "completed":
        # assumed: only what is complete can be restored.
        raise bad_request(f"Backup is {backup.status}; only a completed backup can be restored")
    container.restored.append(backup.id)
    container.updated_at = platform.clock.now()


def pin(backup: Backup, *, pinned: bool) -> None:
    """Protect a backup from the clean-up, or stop to."""
    # assumed: any backup can be pinned, and pinning twice changes nothing.
    backup.pinned = pinned


def delete(platform: Platform, backup: Backup) -> None:
    """Delete a backup."""
    # assumed: a pin protects from the clean-up only, not from a deletion by hand.
    del platform.state.backups[backup.id]


def settle(platform: Platform, now: float) -> None:
    """Finish what was due, make the nightly backups, clean up."""
    for moment in _nights(platform.state.scheduled_until, now):
        for container in platform.state.containers.values():
            since = container.running_since
            if container.status == "running" and since is not None and since <= moment:
                _begin(platform, container, "scheduled", moment)
    platform.state.scheduled_until = max(now, platform.state.scheduled_until)
    for backup in list(platform.state.backups.values()):
        if backup.status == "in_progress" and now >= backup.due:
            _finish(platform, backup)
        # assumed: backups made by hand, and failed ones, are kept as long as scheduled ones.
        elif backup.status != "in_progress" and not backup.pinned and now - backup.created_at > RETENTION:
            del platform.state.backups[backup.id]


def _nights(since: float, until: float) -> list[float]:
    """The moments of the schedule in an interval; of a long one only those that are still kept at its end."""
    since = max(since, until - RETENTION)
    first = (since - _SCHEDULE) // DAY + 1
    last = (until - _SCHEDULE) // DAY
    return [day * DAY + _SCHEDULE for day in range(int(first), int(last) + 1)]


def _begin(platform: Platform, container: Container, kind: str, at: float) -> Backup:
    backup = Backup(
        id=platform.state.count("backup"),
        account=container.account,
        container_id=container.id,
        container_name=container.name,
        backup_type=kind,
        created_at=at,
        due=at + platform.pace.backup_seconds,
    )
    platform.state.backups[backup.id] = backup
    return backup


def _finish(platform: Platform, backup: Backup) -> None:
    backup.completed_at = backup.due
    messages = platform.state.backup_failures.get(backup.container_name)
    if messages and backup.backup_type == "manual":
        backup.status, backup.error_message = "failed", messages.pop(0)
        return
    digits = platform.state.derive("snapshot", backup.container_id, backup.id)
    backup.status, backup.snapshot_id = "completed", digits[:8]
    backup.size_bytes = 500_000 + int(digits[8:13], 16) % 500_000
