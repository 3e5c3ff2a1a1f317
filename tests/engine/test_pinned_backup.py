"""PinnedBackup on the real engine: created before its dependents, released after its replacement."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator, backups
from tests.support.accounts import running
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


def test_failures_before_and_during_the_creation(stack: Stack, emulator: Emulator) -> None:
    sql, web = running(emulator, "sql", "postgresql"), running(emulator, "web")
    emulator.drift.stop("web")
    emulator.fail_backup("sql", "snapshot failed: no space left on device")
    stack.program(
        f"""
        stacks.PinnedBackup("failing", container="{sql}")
        stacks.PinnedBackup("stopped", container="{web}")
        stacks.PinnedBackup("missing", container="{sql}", backup_id=99)
        """
    )
    errors = "".join(stack.up_fails("--continue-on-error").errors)
    assert f"backup 1 of {sql} failed: snapshot failed: no space left on device" in errors
    assert f"a backup needs a container that runs, and {web} is stopped" in errors
    assert f"{sql} has no backup 99" in errors

    # Failed partway: made and not pinned. The state has the backup, and the next up pins it.
    emulator.faults.add("backups.pin", "status", code=400, body={"error": "Not today"})
    stack.program(f'stacks.PinnedBackup("before", container="{sql}", on_delete="keep")')
    assert "Not today" in "".join(stack.up_fails().errors)
    assert stack.resources()["before"]["id"] == f"{sql}/2"
    assert stack.up(quiet_afterwards=False).steps("before") == ["update"]
    assert pins(emulator) == {1: False, 2: True}

    # An existing backup is pinned, another one is looked up, and the retained one is kept.
    for _ in range(2):
        backups.trigger(emulator.platform, emulator.state.container("sql"))
    emulator.advance(60)
    stack.program(
        f"""
        stacks.PinnedBackup("existing", container="{sql}", backup_id=3)
        found = stacks.PinnedBackup.get("found", "{sql}/4")
        pulumi.export("found", pulumi.Output.all(found.container, found.backup_id, found.pinned, found.status))
        """
    )
    stack.up()
    assert stack.outputs()["found"] == [sql, 4, False, "completed"]
    assert pins(emulator) == {1: False, 2: True, 3: True, 4: False}
    stack.destroy()
    assert pins(emulator) == {1: False, 2: True, 3: False, 4: False}
