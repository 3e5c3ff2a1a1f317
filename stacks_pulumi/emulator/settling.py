"""Events that depend on time: boots and deletions end, backups are made, completed and cleaned up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks_pulumi.emulator.clock import DAY
from stacks_pulumi.emulator.state import Backup, Container, State

if TYPE_CHECKING:
    from stacks_pulumi.emulator.transitions import Pace, Transition

__all__ = ["begin_backup", "enter", "move_on", "remove", "settle"]

RETENTION = 7 * DAY
"""How long a backup that is not pinned is kept."""

_SCHEDULE = 2 * 3600.0
"""Seconds after midnight UTC."""


def settle(state: State, pace: Pace, now: float) -> None:
    """Carry out all events that are due at a moment."""
    for container in list(state.containers.values()):
        while container.next is not None and container.next.is_due(now):
            move_on(state, container, container.next, container.next.due or now)
    _make_nightly_backups(state, pace, now)
    for backup in list(state.backups.values()):
        if backup.status == "in_progress" and now >= backup.due:
            _complete(state, backup)
        # assumed: manual and failed backups are kept as long as scheduled ones.
        elif backup.status != "in_progress" and not backup.pinned and now - backup.created_at > RETENTION:
            del state.backups[backup.id]


def move_on(state: State, container: Container, transition: Transition, at: float) -> None:
    """Carry out a container's next transition."""
    container.next = None
    if transition.to == "gone":
        remove(state, container)
        return
    status = transition.to
    if container.booting:
        container.booting, container.error = False, None
        if _boot_fails(state, container):
            container.error = "the service did not become healthy in time"
            status = "error"
    enter(container, status, at)


def enter(container: Container, status: str, at: float) -> None:
    """Set a container's status."""
    container.status = status
    container.updated_at = at
    if status == "running":
        container.running_since, container.stopped_at = at, None
    elif status in {"stopped", "error"}:
        container.running_since, container.stopped_at = None, at


def remove(state: State, container: Container) -> None:
    """Remove a container with all its data and backups."""
    state.containers.pop(container.id, None)
    for backup in list(state.backups.values()):
        if backup.container_id == container.id:
            del state.backups[backup.id]
    if state.capacity is not None:
        state.capacity += 1


def begin_backup(state: State, container: Container, kind: str, at: float, seconds: float) -> Backup:
    """Add a backup that is in progress for a number of seconds."""
    backup = Backup(
        id=state.count("backup"),
        account=container.account,
        container_id=container.id,
        container_name=container.name,
        backup_type=kind,
        created_at=at,
        due=at + seconds,
    )
    state.backups[backup.id] = backup
    return backup


def _boot_fails(state: State, container: Container) -> bool:
    failures = state.boot_failures
    for subject in (container.name, container.template):
        if subject not in failures:
            continue
        left = failures[subject]
        if left is None:
            return True
        if left <= 1:
            del failures[subject]
        else:
            failures[subject] = left - 1
        return True
    return False


def _make_nightly_backups(state: State, pace: Pace, now: float) -> None:
    for moment in _nights(state.scheduled_until, now):
        for container in state.containers.values():
            since = container.running_since
            if container.status == "running" and since is not None and since <= moment:
                begin_backup(state, container, "scheduled", moment, pace.backup_seconds)
    state.scheduled_until = max(now, state.scheduled_until)


def _nights(since: float, until: float) -> list[float]:
    """Return the scheduled moments in an interval whose backups are still kept at its end."""
    since = max(since, until - RETENTION)
    first = (since - _SCHEDULE) // DAY + 1
    last = (until - _SCHEDULE) // DAY
    return [day * DAY + _SCHEDULE for day in range(int(first), int(last) + 1)]


def _complete(state: State, backup: Backup) -> None:
    backup.completed_at = backup.due
    messages = state.backup_failures.get(backup.container_name)
    if messages and backup.backup_type == "manual":
        backup.status, backup.error_message = "failed", messages.pop(0)
        return
    digits = state.derive("snapshot", backup.container_id, backup.id)
    backup.status, backup.snapshot_id = "completed", digits[:8]
    backup.size_bytes = 500_000 + int(digits[8:13], 16) % 500_000
