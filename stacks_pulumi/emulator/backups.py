"""Manual and nightly backups, with pins and restores: rules and endpoints (guide, "Backups")."""

from __future__ import annotations

from typing import Any

from stacks_pulumi.emulator import containers
from stacks_pulumi.emulator.answers import Open, Reply, Request, bad_request, not_found, route
from stacks_pulumi.emulator.keys import DELETE, MANAGE, READ
from stacks_pulumi.emulator.platform import Platform, begin_backup, iso
from stacks_pulumi.emulator.state import Backup, Container


@route("backups.list", "GET", "/containers/<container_id>/backups", READ)
def _get_backups(request: Request) -> Reply:
    limit = request.whole_number("limit", 50, 100)
    backups = newest_first(request.platform, containers.in_path(request))
    return Reply({"success": True, "data": [_entry(backup) for backup in backups[:limit]]})


@route("backups.trigger", "POST", "/containers/<container_id>/backup", MANAGE)
def _post_backup(request: Request) -> Reply:
    backup = trigger(request.platform, containers.in_path(request))
    return Reply(
        {
            "success": True,
            "message": "Backup started in background",
            "data": {"container_id": backup.container_id, "status": backup.status},
        },
        202,
    )


@route("backups.stats", "GET", "/backups/stats", READ)
def _get_stats(request: Request) -> Reply:
    mine = [
        backup for backup in request.platform.state.backups.values() if backup.account == request.key.account
    ]
    counts = {status: sum(backup.status == status for backup in mine) for status in ("completed", "failed")}
    return Reply(
        {
            "success": True,
            "data": {
                "total_backups": len(mine),
                "completed_backups": str(counts["completed"]),
                "failed_backups": str(counts["failed"]),
                "total_size_bytes": str(sum(backup.size_bytes for backup in mine)),
                "last_backup_at": iso(max((backup.created_at for backup in mine), default=None)),
            },
        }
    )


@route("backups.restore", "POST", "/backups/<backup_id>/restore", MANAGE)
def _post_restore(request: Request) -> Open:
    restore(request.platform, _in_path(request))
    return Open("result", message="Backup restored")


@route("backups.pin", "POST", "/backups/<backup_id>/pin", MANAGE)
def _post_pin(request: Request) -> Open:
    pin(_in_path(request), pinned=True)
    return Open("result", message="Backup pinned")


@route("backups.unpin", "POST", "/backups/<backup_id>/unpin", MANAGE)
def _post_unpin(request: Request) -> Open:
    pin(_in_path(request), pinned=False)
    return Open("result", message="Backup unpinned")


@route("backups.delete", "DELETE", "/backups/<backup_id>", DELETE)
def _delete_backup(request: Request) -> Open:
    delete(request.platform, _in_path(request))
    return Open("result", message="Backup deleted")


def _in_path(request: Request) -> Backup:
    return find(request.platform, request.key.account, request.args["backup_id"])


def _entry(backup: Backup) -> dict[str, Any]:
    return {
        "id": backup.id,
        "container_id": backup.container_id,
        "container_name": backup.container_name,
        "backup_type": backup.backup_type,
        "status": backup.status,
        "snapshot_id": backup.snapshot_id,
        "size_bytes": backup.size_bytes,
        "backup_server": "cluster1host3",
        "created_at": iso(backup.created_at),
        "completed_at": iso(backup.completed_at),
        "error_message": backup.error_message,
        "pinned": int(backup.pinned),
    }


def trigger(platform: Platform, container: Container) -> Backup:
    """
    Start a backup in the background.

    Raises:
        Refusal: 400 unless the container is running.
    """
    if container.status != "running":
        # assumed: the code and the wording; the guide states that the container must be running.
        raise bad_request("Container must be running to create a backup")
    # assumed: a backup is listed as in_progress from the start, and two may be in progress concurrently.
    now, seconds = platform.clock.now(), platform.pace.backup_seconds
    return begin_backup(platform.state, container, "manual", now, seconds)


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
    is_number = backup_id.isascii() and backup_id.isdigit() and len(backup_id) < 20
    backup = platform.state.backups.get(int(backup_id)) if is_number else None
    if backup is None or backup.account != account:
        raise not_found("Backup")
    return backup


def restore(platform: Platform, backup: Backup) -> None:
    """
    Restore a backup into its container, which keeps running.

    Raises:
        Refusal: 400 unless the container is running and the backup is complete.
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
    # assumed: a pin protects only from the clean-up, not from a delete request.
    del platform.state.backups[backup.id]
