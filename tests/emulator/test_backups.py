"""The rules of backups, without HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stacks_pulumi.emulator import backups, containers
from stacks_pulumi.emulator.answers import Refusal
from stacks_pulumi.emulator.platform import DAY, iso

if TYPE_CHECKING:
    from tests.emulator.conftest import OneAccount

UNTIL_TWO = 19 * 3600 + 20 * 60
"""Seconds from the platform's start time, 06:40, to the next 02:00."""


def test_a_backup_is_made_in_the_background(platform: OneAccount) -> None:
    made = backups.trigger(platform, platform.running())
    assert (made.status, made.completed_at, made.snapshot_id) == ("in_progress", None, None)

    platform.pass_time(10)

    assert (made.status, made.completed_at, made.backup_type) == ("completed", made.created_at + 10, "manual")
    assert made.snapshot_id is not None
    assert made.size_bytes > 0


@pytest.mark.parametrize("status", ["pending", "stopped", "deleting"])
def test_only_a_running_container_is_backed_up(platform: OneAccount, status: str) -> None:
    made = platform.create()
    if status != "pending":
        platform.pass_time(20)
    if status == "stopped":
        containers.set_status(platform, made, "stopped")
        platform.pass_time(5)
    if status == "deleting":
        containers.delete(platform, made)

    with pytest.raises(Refusal, match="must be running") as caught:
        backups.trigger(platform, made)

    assert caught.value.status == 400


def test_a_backup_can_fail_with_a_message(platform: OneAccount) -> None:
    container = platform.running("mydb")
    platform.state.backup_failures["mydb"] = ["no space"]
    first, second = backups.trigger(platform, container), backups.trigger(platform, container)
    platform.pass_time(10)

    assert (first.status, first.error_message, first.size_bytes) == ("failed", "no space", 0)
    assert (second.status, second.error_message) == ("completed", None)


def test_running_containers_are_backed_up_at_two_utc(platform: OneAccount) -> None:
    platform.running("mydb")
    containers.set_status(platform, platform.running("off"), "stopped")
    platform.pass_time(UNTIL_TWO - 60)
    assert platform.state.backups == {}

    platform.pass_time(61 + 10)

    (made,) = platform.state.backups.values()
    assert (made.container_name, made.backup_type, made.status) == ("mydb", "scheduled", "completed")
    assert iso(made.created_at) == "2026-05-18T02:00:00.000Z"


def test_a_container_has_no_backups_from_before_it_ran(platform: OneAccount) -> None:
    platform.pass_time(3 * DAY)
    platform.running("late")
    platform.pass_time(DAY)

    assert len(platform.state.backups) == 1


def test_backups_are_deleted_after_a_week_unless_pinned(platform: OneAccount) -> None:
    container = platform.running("mydb")
    kept, dropped = backups.trigger(platform, container), backups.trigger(platform, container)
    platform.pass_time(10)
    backups.pin(kept, pinned=True)
    platform.pass_time(6.9 * DAY)
    assert {kept.id, dropped.id} <= platform.state.backups.keys()

    platform.pass_time(0.2 * DAY)
    assert kept.id in platform.state.backups
    assert dropped.id not in platform.state.backups

    platform.pass_time(365 * DAY)
    nightly = [found for found in platform.state.backups.values() if found.backup_type == "scheduled"]
    assert kept.id in platform.state.backups
    assert len(nightly) == 7

    backups.pin(kept, pinned=False)
    platform.pass_time(1)
    assert kept.id not in platform.state.backups


def test_a_restore_needs_a_running_container_and_a_complete_backup(platform: OneAccount) -> None:
    container = platform.running()
    made = backups.trigger(platform, container)
    with pytest.raises(Refusal, match="in_progress"):
        backups.restore(platform, made)
    platform.pass_time(10)

    backups.restore(platform, made)
    assert (container.restored, container.status) == ([made.id], "running")

    containers.set_status(platform, container, "stopped")
    platform.pass_time(5)
    with pytest.raises(Refusal, match="must be running"):
        backups.restore(platform, made)


def test_deleting_a_container_deletes_its_backups(platform: OneAccount) -> None:
    container, other = platform.running("mydb"), platform.running("other")
    backups.pin(backups.trigger(platform, container), pinned=True)
    backups.trigger(platform, other)
    containers.delete(platform, container)
    platform.pass_time(3)

    assert [found.container_name for found in platform.state.backups.values()] == ["other"]


@pytest.mark.parametrize("backup_id", ["0", "99", "-1", "x", "²", "1" * 30, ""])
def test_an_unknown_backup_is_not_found(platform: OneAccount, backup_id: str) -> None:
    backups.trigger(platform, platform.running())

    with pytest.raises(Refusal) as caught:
        backups.find(platform, platform.account, backup_id)

    assert caught.value.status == 404
