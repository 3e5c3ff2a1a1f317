"""BackupRestore on the real host: once when it is made, once for each change, and never by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi.emulator import SHAPES, Emulator, backups
from tests.support.accounts import running
from tests.support.host import UNKNOWN, CallFailedError, Host, HostedResource


@pytest.fixture
def backup(emulator: Emulator) -> int:
    """Number of a complete backup of a container that runs."""
    return complete_backup(emulator)


def complete_backup(emulator: Emulator) -> int:
    """Make one."""
    running(emulator, "sql", "postgresql")
    made = backups.trigger(emulator.platform, emulator.state.container("sql"))
    emulator.advance(60)
    return made.id


@pytest.fixture
def restore(host: Host) -> HostedResource:
    """A restore that has not happened."""
    return host.resource("BackupRestore", "restore")


def restored(emulator: Emulator) -> list[int]:
    """What was restored into the container."""
    return emulator.state.container("sql").restored


@pytest.mark.parametrize(
    ("given", "number"), [(178, 178), (178.0, 178), ("178", 178), ("usr-1-sql/178", 178), (UNKNOWN, UNKNOWN)]
)
def test_a_backup_is_named_by_number_or_by_the_id_of_a_pinned_one(
    restore: HostedResource, given: Any, number: Any
) -> None:
    assert restore.checked(backup_id=given) == {"backup_id": number}


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "latest", "usr-1-sql/", True, None])
def test_what_is_no_number_fails_on_its_property(restore: HostedResource, wrong: Any) -> None:
    assert restore.check(backup_id=wrong).keys() == {"backup_id"}


def test_it_is_restored_once_and_again_for_each_change(
    restore: HostedResource, backup: int, emulator: Emulator
) -> None:
    restore.up(backup_id=backup)
    assert restore.up(backup_id=backup) == []
    assert restore.read()
    assert restore.up(backup_id=backup) == []
    assert (restored(emulator), emulator.calls()) == ([backup], 1)

    assert restore.up(backup_id=backup, triggers=["again"]) == ["update"]
    second = backups.trigger(emulator.platform, emulator.state.container("sql")).id
    emulator.advance(60)
    assert restore.up(backup_id=second, triggers=["again"]) == ["update"]

    assert restored(emulator) == [backup, backup, second]
    restore.delete()
    assert (restored(emulator), emulator.calls()) == ([backup, backup, second], 3)


def test_what_cannot_be_restored_is_said_in_the_apis_words_and_tried_again(
    restore: HostedResource, backup: int, emulator: Emulator
) -> None:
    emulator.drift.stop("sql")
    with pytest.raises(CallFailedError, match="Container must be running to restore a backup"):
        restore.up(backup_id=backup)

    emulator.drift.start("sql")
    assert restore.up(backup_id=backup) == ["create"]

    with pytest.raises(CallFailedError, match=r"restore backup 999.*404"):
        restore.up(backup_id=999)
    assert restored(emulator) == [backup]


def test_a_lost_answer_is_not_taken_for_a_reason_to_restore_again(
    restore: HostedResource, backup: int, emulator: Emulator
) -> None:
    emulator.faults.add("backups.restore", "drop_after")

    with pytest.raises(CallFailedError, match="the outcome of the restore") as failure:
        restore.up(backup_id=backup)

    assert failure.value.kept_id == str(backup)
    # What the engine does next with what was done half way: an update, which must not restore a second time.
    restore.update(restore.checked(backup_id=backup))
    assert restored(emulator) == [backup]
    restore.up(backup_id=backup, triggers=["again"])
    assert restored(emulator) == [backup, backup]


@pytest.mark.parametrize(
    ("code", "kept"), [(500, True), (504, True), (503, True), (400, False), (402, False)]
)
def test_only_an_answer_that_leaves_a_doubt_counts_as_done(
    restore: HostedResource, backup: int, emulator: Emulator, code: int, kept: bool
) -> None:
    emulator.faults.add("backups.restore", "status", code=code)

    with pytest.raises(CallFailedError) as failure:
        restore.up(backup_id=backup)

    assert failure.value.kept_id == (str(backup) if kept else None)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_answer_is_understood(make_host: Callable[..., Host], shape: str) -> None:
    with Emulator(shapes=shape) as emulator:
        backup = complete_backup(emulator)
        host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})

        host.resource("BackupRestore", "restore").up(backup_id=backup)

        assert restored(emulator) == [backup]
