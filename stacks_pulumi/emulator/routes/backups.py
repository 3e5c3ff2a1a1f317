"""The seven operations on backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator import backups
from stacks_pulumi.emulator.answers import Open
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.emulator.routes.handler_types import Reply, Request

if TYPE_CHECKING:
    from stacks_pulumi.emulator.state import Backup


def list_(request: Request) -> Reply:
    """`GET /containers/{container_id}/backups`."""
    limit = request.whole_number("limit", 50, 100)
    found = backups.newest_first(request.platform, request.container())
    return Reply({"success": True, "data": [_entry(backup) for backup in found[:limit]]})


def trigger(request: Request) -> Reply:
    """`POST /containers/{container_id}/backup`."""
    begun = backups.trigger(request.platform, request.container())
    return Reply(
        {
            "success": True,
            "message": "Backup started in background",
            "data": {"container_id": begun.container_id, "status": begun.status},
        },
        202,
    )


def stats(request: Request) -> Reply:
    """`GET /backups/stats`."""
    mine = backups.of_account(request.platform, request.key.account)
    counts = {wanted: sum(backup.status == wanted for backup in mine) for wanted in ("completed", "failed")}
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


def restore(request: Request) -> Open:
    """`POST /backups/{backup_id}/restore`."""
    backups.restore(request.platform, _found(request))
    return Open("result", message="Backup restored")


def pin(request: Request) -> Open:
    """`POST /backups/{backup_id}/pin`."""
    backups.pin(_found(request), pinned=True)
    return Open("result", message="Backup pinned")


def unpin(request: Request) -> Open:
    """`POST /backups/{backup_id}/unpin`."""
    backups.pin(_found(request), pinned=False)
    return Open("result", message="Backup unpinned")


def delete(request: Request) -> Open:
    """`DELETE /backups/{backup_id}`."""
    backups.delete(request.platform, _found(request))
    return Open("result", message="Backup deleted")


def _found(request: Request) -> Backup:
    return backups.find(request.platform, request.key.account, request.args["backup_id"])


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


HANDLERS: dict[str, Any] = {
    "backups.list": list_,
    "backups.trigger": trigger,
    "backups.stats": stats,
    "backups.restore": restore,
    "backups.pin": pin,
    "backups.unpin": unpin,
    "backups.delete": delete,
}
