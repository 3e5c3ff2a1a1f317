"""Children that are left to the deletion of their container, when it is replaced: for tests on two engines."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support.contents import contents, managed, writes
from tests.support.stack import Stack

__all__ = ["CHILDREN", "deletions", "left_to_their_container", "replaced"]

_PROGRAM = """
web = stacks.Container("web", name="{name}", template="nodejs", plan="{plan}", external_access=True,
                       replace_on_change=True)
sql = stacks.Container("sql", template="postgresql")
stacks.AllowedIp("office", container=web, ip_address="198.51.100.7")
stacks.Connection("link", source=web, target=sql, restart_source=False)
stacks.PinnedBackup("backup", container=web)
"""
CHILDREN = frozenset({"office", "link", "backup"})
_DELETIONS = frozenset({"allowed_ips.remove", "connections.delete", "backups.unpin"})


def left_to_their_container(stack: Stack) -> None:
    """Create a container with children that are left to its deletion."""
    stack.set("stacks:deleteChildrenWithContainer", "true")
    stack.program(_PROGRAM.format(name="web", plan="basic"))
    stack.up(quiet_afterwards=False)


def replaced(stack: Stack, emulator: Emulator, name: str) -> set[str]:
    """
    Replace the container: with its own name the old one is deleted first. State and account are the same afterwards.

    Returns:
        The deletions of children that were requested.
    """
    before = len(emulator.requests)
    stack.program(_PROGRAM.format(name=name, plan="premium"))
    result = stack.up()
    assert {it for op, it in result.order() if op == "create-replacement"} == {"web", *CHILDREN}
    assert stack.ids() == managed(emulator)
    assert contents(emulator) == {
        "containers": sorted((name, "sql")),
        "addresses": [f"{name} 198.51.100.7"],
        "clients": [],
        "connections": [f"{name} link"],
        "pinned": contents(emulator)["pinned"],
    }
    assert len(contents(emulator)["pinned"]) == 1
    return deletions(emulator, before)


def deletions(emulator: Emulator, after: int) -> set[str]:
    """Return the deletions of children that were requested after a number of requests."""
    return set(_DELETIONS).intersection(writes(emulator, after))


def change(stack: Stack, name: str) -> None:
    """Ask for a replacement in the program."""
    stack.program(_PROGRAM.format(name=name, plan="premium"))
