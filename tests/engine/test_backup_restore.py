"""BackupRestore on the real engine: it restores once, after its backup, and again for each change."""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

PROGRAM = """
sql = stacks.Container("sql", template="postgresql")
backup = stacks.PinnedBackup("backup", container=sql)
stacks.BackupRestore("restore", backup_id=backup.{}, triggers=["{}"])
"""


@pytest.mark.extra
def test_a_restore_happens_once_and_for_each_change(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROGRAM.format("backup_id", 1))
    shown = stack.preview()
    assert shown.steps("restore") == ["create"]
    assert any(
        "the data that its container has written since that backup is lost" in it for it in shown.warnings
    )

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

    # Under another name it is a new restore, which a preview calls only a creation.
    stack.program(PROGRAM.format("id", 2).replace('"restore"', '"again"'))
    assert [line for line in stack.preview().warnings if "restores again" in line]
    stack.up()
    assert emulator.state.container("sql").restored == [1, 1, 1]

    restores = emulator.calls("backups.restore")
    stack.destroy()
    assert (emulator.state.containers, emulator.calls("backups.restore")) == ({}, restores)
