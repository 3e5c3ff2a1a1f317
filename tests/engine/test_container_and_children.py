"""A container and its children on the real engine: replaced, deleted outside, kept, destroyed."""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import addresses, running
from tests.support.stack import Stack

OFFICE = "198.51.100.0/24"
CHILDREN = ("office", "key", "link", "backup")
FAMILY = """
app = stacks.Container("app", name="{}", template="nodejs", plan="{}", external_access=True, replace_on_change=True)
sql = stacks.Container("sql", template="postgresql")
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.AllowedIp("office", container=app, ip_address="198.51.100.0/24", revoke_auto_added=True)
stacks.SshCertificate("key", container=app)
stacks.Connection("link", source=app, target=sql)
stacks.PinnedBackup("backup", container=app)
stacks.VpnClient("laptop", container=vpn)
"""


def test_children_are_replaced_with_their_container(stack: Stack, emulator: Emulator) -> None:
    stack.program(FAMILY.format("app", "basic"))
    stack.up()

    # Replaced: preview shows it for every child and no other resource, before a new id is known.
    stack.program(FAMILY.format("app", "premium"))
    preview = stack.preview()
    replaced = {name for op, name in preview.order() if "replace" in op}
    assert replaced == {"app", *CHILDREN}

    result = stack.up(quiet_afterwards=False)
    order = [(op, name) for op, name in result.order() if op in {"delete-replaced", "create-replacement"}]
    assert {name for _, name in order[:4]} == set(CHILDREN)
    assert order[4:6] == [("delete-replaced", "app"), ("create-replacement", "app")]
    assert {name for _, name in order[6:]} == set(CHILDREN)
    assert addresses(emulator, "app").keys() == {OFFICE}
    assert [found.name for found in emulator.state.connections.values()] == ["link"]
    assert [found.pinned for found in emulator.state.backups.values()] == [True]

    # With a different name, the new container and its children are created first; then the old objects are deleted.
    stack.program(FAMILY.format("shop", "premium"))
    result = stack.up(quiet_afterwards=False)
    made = [name for op, name in result.order() if op == "create-replacement"]
    gone = [name for op, name in result.order() if op == "delete-replaced"]
    assert (made[0], gone[-1], len(made), len(gone)) == ("app", "app", 5, 5)
    assert emulator.state.names() == ["shop", "sql", "vpn"]
    assert addresses(emulator, "shop").keys() == {OFFICE}
    assert [found.source for found in emulator.state.connections.values()] == [f"{emulator.account}-shop"]

    # Deleted outside, with all of its children and its connection to another container.
    emulator.drift.delete("shop")
    emulator.drift.delete("sql")
    stack.refresh(drift=True)
    assert stack.resources().keys() == {"vpn", "laptop"}
    result = stack.up(quiet_afterwards=False)
    assert {name for op, name in result.order() if op == "create"} == {"app", "sql", *CHILDREN}
    assert addresses(emulator, "shop").keys() == {OFFICE}

    # Deleted outside again; this time the stack is destroyed without a refresh.
    emulator.drift.delete("shop")
    stack.destroy()
    assert (emulator.state.containers, emulator.state.connections, emulator.state.backups) == (
        {},
        {},
        {},
    )


@pytest.mark.parametrize("with_container", [False, True], ids=["by themselves", "with their container"])
def test_destroy_deletes_children(stack: Stack, emulator: Emulator, with_container: bool) -> None:
    if with_container:
        stack.set("stacks:deleteChildrenWithContainer", "true")
    stack.program(FAMILY.format("app", "basic"))
    stack.up(quiet_afterwards=False)
    calls = emulator.calls()

    result = stack.destroy()

    assert emulator.state.containers == {}
    changed = {request.operation for request in emulator.requests[calls:] if request.method != "GET"}
    # This is the last rule, so its deletion disables external access.
    own = {"containers.external_access", "backups.unpin", "connections.delete", "vpn_clients.remove"}
    assert changed == {"containers.delete"} | (set() if with_container else own)
    assert result.warnings == []


def test_children_of_a_looked_up_container_are_deleted(stack: Stack, emulator: Emulator) -> None:
    shared, sql = running(emulator, "shared"), running(emulator, "sql", "postgresql")
    emulator.drift.set_external_access("shared", enabled=True)
    stack.program(
        f"""
        shared = stacks.Container.get("shared", "{shared}")
        kept = stacks.Container("kept", template="nodejs", external_access=True,
                                opts=pulumi.ResourceOptions(retain_on_delete=True))
        stacks.AllowedIp("to-shared", container=shared, ip_address="198.51.100.0/24")
        stacks.AllowedIp("to-kept", container=kept, ip_address="198.51.100.0/24", revoke_auto_added=True)
        stacks.Connection("link", source=shared, target="{sql}", restart_source=False)
        # By its id alone, several at once; the last of them closes the door.
        for number in range(3):
            stacks.AllowedIp(f"by-id-{{number}}", container="{shared}", ip_address=f"192.0.2.{{number + 7}}")
        """
    )
    stack.up(quiet_afterwards=False)
    emulator.drift.remove_ip("shared", "203.0.113.45")
    assert len(addresses(emulator, "shared")) == 4

    result = stack.destroy()

    assert emulator.state.names() == ["kept", "shared", "sql"]
    assert emulator.state.connections == {}
    for name in ("shared", "kept"):
        assert emulator.state.container(name).external_access is False
    assert result.text.count("external access was turned off instead") >= 2


def test_a_subclass_is_a_container_for_the_engine(stack: Stack, emulator: Emulator) -> None:
    stack.program(
        "class Database(stacks.Container):\n"
        "    def __init__(self, name, opts=None):\n"
        '        super().__init__(name, template="postgresql", opts=opts)\n'
        'Database("orders")\n'
    )
    stack.up(quiet_afterwards=False)

    assert stack.resources()["orders"]["type"] == "pulumi-python:dynamic/stacks:Container"
