"""Children that are deleted with their container when it is replaced: for tests on two engines."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support.contents import contents, managed, writes
from tests.support.stack import Stack

__all__ = ["DELETIONS", "fails_and_is_given_up", "replaced"]

_PROGRAM = """
web = stacks.Container("web", name="{name}", template="nodejs", plan="{plan}", external_access=True,
                       replace_on_change=True)
sql = stacks.Container("sql", template="postgresql")
stacks.AllowedIp("office", container=web, ip_address="198.51.100.7")
stacks.Connection("link", source=web, target=sql, restart_source=False)
stacks.PinnedBackup("backup", container=web)
"""
DELETIONS = frozenset({"allowed_ips.remove", "connections.delete", "backups.unpin"})
"""The requests that delete the children."""


def replaced(stack: Stack, emulator: Emulator, name: str) -> set[str]:
    """
    Replace a container with one of this name; with its own name `web`, the old container is deleted first.

    Returns:
        The requests that deleted children.
    """
    _create(stack)
    before = len(emulator.requests)
    stack.program(_PROGRAM.format(name=name, plan="premium"))

    result = stack.up()

    made = {it for op, it in result.order() if op == "create-replacement"}
    assert made == {"web", "office", "link", "backup"}
    _whole(stack, emulator, name, pinned=1)
    return set(DELETIONS).intersection(writes(emulator, before))


def fails_and_is_given_up(stack: Stack, emulator: Emulator) -> set[str]:
    """
    Replace a container whose deletion fails, then revert the change.

    Returns:
        The kinds of children in the account before the revert.
    """
    _create(stack)
    emulator.faults.add("containers.delete", 500, times=None)
    stack.program(_PROGRAM.format(name="web", plan="premium"))

    stack.up_fails()

    emulator.faults.assert_none_left()
    emulator.faults.clear()
    left = {kind for kind, found in contents(emulator).items() if found}
    stack.program(_PROGRAM.format(name="web", plan="basic"))
    stack.up()
    # A backup cannot be recognised, so the update creates a new backup.
    _whole(stack, emulator, "web", pinned=2 if "pinned" in left else 1)
    return left - {"containers"}


def _create(stack: Stack) -> None:
    stack.set("stacks:deleteChildrenWithContainer", "true")
    stack.program(_PROGRAM.format(name="web", plan="basic"))
    stack.up(quiet_afterwards=False)


def _whole(stack: Stack, emulator: Emulator, name: str, *, pinned: int) -> None:
    """Check that the account agrees with the program, and the state with the account."""
    found = contents(emulator)
    assert len(found.pop("pinned")) == pinned
    assert found == {
        "containers": sorted((name, "sql")),
        "addresses": [f"{name} 198.51.100.7"],
        "clients": [],
        "connections": [f"{name} link"],
    }
    assert len(managed(emulator) - stack.ids()) == pinned - 1
    assert stack.ids() <= managed(emulator)
