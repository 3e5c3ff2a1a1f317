"""BackupRestore on the real engine: it restores once, after its backup, and again for each change."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

PROGRAM = """
sql = stacks.Container("sql", template="postgresql")
backup = stacks.PinnedBackup("backup", container=sql)
stacks.BackupRestore("restore", backup_id=backup.{}, triggers=["{}"])
"""


def test_a_restore_happens_once_and_for_each_change(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROGRAM.format("backup_id", 1))
    assert stack.preview().steps("restore") == ["create"]

    result = stack.up()
    assert [name for op, name in result.order() if op == "create"] == ["sql", "backup", "restore"]
    assert emulator.state.container("sql").restored == [1]

    # Its number and its id name the same backup; a refresh reads nothing.
    stack.program(PROGRAM.format("id", 1))
    stack.refresh()
    assert emulator.state.container("sql").restored == [1]

    # The next up retries a failed restore.
    emulator.drift.stop("sql")
    stack.program(PROGRAM.format("id", 2))
    assert "must be running to restore a backup" in "".join(stack.up_fails().errors)
    emulator.drift.start("sql")
    assert stack.up(quiet_afterwards=False).steps("restore") == ["update"]
    assert emulator.state.container("sql").restored == [1, 1]

    restores = emulator.calls("backups.restore")
    stack.destroy()
    assert (emulator.state.containers, emulator.calls("backups.restore")) == ({}, restores)
