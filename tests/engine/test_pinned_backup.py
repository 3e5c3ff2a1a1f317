"""PinnedBackup on the real engine: created before its dependents, released after its replacement."""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

PROGRAM = """
sql = stacks.Container("sql", template="postgresql")
before = stacks.PinnedBackup("before", container=sql, triggers=["{}"])
stacks.PinnedBackup("other", container=sql, on_delete="delete")
pulumi.export("number", before.backup_id)
"""


def pins(emulator: Emulator) -> dict[int, bool]:
    """Return all backups, and whether they are pinned."""
    return {number: found.pinned for number, found in emulator.state.backups.items()}


@pytest.mark.extra
def test_the_life_of_a_backup(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROGRAM.format("v1"))

    stack.up()

    # Two resources of one container in one update make two backups.
    numbers = {name: int(stack.resources()[name]["outputs"]["backup_id"]) for name in ("before", "other")}
    assert set(numbers.values()) == {1, 2}
    assert pins(emulator) == {1: True, 2: True}
    assert stack.outputs()["number"] == numbers["before"]

    # A backup that was unpinned outside is pinned again, and a deleted one is made again.
    emulator.drift.unpin(numbers["before"])
    emulator.drift.delete_backup(numbers["other"])
    stack.refresh(drift=True)
    result = stack.up(quiet_afterwards=False)
    assert (result.steps("before"), result.steps("other")) == (["update"], ["create"])
    assert pins(emulator) == {numbers["before"]: True, 3: True}

    # A trigger: the new backup is pinned before the old one is released.
    stack.program(PROGRAM.format("v2"))
    steps = stack.up(quiet_afterwards=False).steps("before")
    assert steps == ["create-replacement", "replace", "delete-replaced"]
    assert pins(emulator) == {numbers["before"]: False, 3: True, 4: True}

    # Removed from the program: on_delete decides.
    stack.program('sql = stacks.Container("sql", template="postgresql")')
    stack.up(quiet_afterwards=False)
    assert pins(emulator) == {numbers["before"]: False, 4: False}

    stack.destroy()
    assert (emulator.state.containers, emulator.state.backups) == ({}, {})
