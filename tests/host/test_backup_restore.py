"""BackupRestore on the real host: it restores once at its creation and once for each change, and never otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator, backups
from tests.support.accounts import running
from tests.support.host import UNKNOWN, CallFailedError, Host, HostedResource


@pytest.fixture
def backup(emulator: Emulator) -> int:
    """Return the number of a complete backup of a running container."""
    return complete_backup(emulator)


def complete_backup(emulator: Emulator) -> int:
    """Create a complete backup and return its number."""
    running(emulator, "sql", "postgresql")
    made = backups.trigger(emulator.platform, emulator.state.container("sql"))
    emulator.advance(60)
    return made.id


@pytest.fixture
def restore(host: Host) -> HostedResource:
    """Return the resource of a restore that has not happened yet."""
    return host.resource("BackupRestore", "restore")


def restored(emulator: Emulator) -> list[int]:
    """Return the backups that were restored into the container."""
    return emulator.state.container("sql").restored


@pytest.mark.hosts("dynamic", "native")
def test_a_preview_warns_of_the_data_that_a_restore_overwrites(restore: HostedResource) -> None:
    def warned(stored: dict[str, Any], **inputs: Any) -> list[str]:
        lines = restore.host.engine.lines
        lines.clear()
        restore.id, restore.inputs = "7" if stored else "", stored
        assert restore.check(**inputs) == {}
        return [line.text for line in lines if line.severity == "WARNING"]

    stored = {"backup_id": 7, "triggers": ["1"]}
    [new] = warned({}, backup_id=7)
    [changed] = warned(stored, backup_id=7, triggers=["2"])

    assert new.startswith(changed)
    assert changed == "restores backup 7: all data that its container has written since that backup is lost"
    assert "renamed without an alias" in new
    assert warned({}, backup_id=UNKNOWN)[0].startswith("restores a backup: ")
    assert warned(stored, backup_id="usr-1-sql/7", triggers=["1"]) == []


@pytest.mark.hosts("dynamic", "native")
def test_a_backup_is_restored_once_and_again_for_each_change(
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


def test_a_refused_restore_has_the_apis_message_and_is_retried(
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


def test_a_lost_response_does_not_restore_twice(
    restore: HostedResource, backup: int, emulator: Emulator
) -> None:
    emulator.faults.add("backups.restore", "drop_after")

    with pytest.raises(CallFailedError, match="the outcome of the restore") as failure:
        restore.up(backup_id=backup)

    assert failure.value.kept_id == str(backup)
    # After a creation that failed partway, the engine sends an update, which must not restore a second time.
    restore.update(restore.checked(backup_id=backup))
    assert restored(emulator) == [backup]
    restore.up(backup_id=backup, triggers=["again"])
    assert restored(emulator) == [backup, backup]


def test_only_an_unknown_outcome_counts_as_done(host: Host, backup: int, emulator: Emulator) -> None:
    for code, kept in ((500, True), (504, True), (503, True), (400, False), (402, False)):
        emulator.faults.add("backups.restore", "status", code=code)

        with pytest.raises(CallFailedError) as failure:
            host.resource("BackupRestore", f"after-{code}").up(backup_id=backup)

        assert failure.value.kept_id == (str(backup) if kept else None)
