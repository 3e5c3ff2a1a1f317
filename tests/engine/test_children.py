"""
A child leaves the state only after its deletion at the API, whatever happens to its container.
"""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.accounts import addresses, running
from tests.support.children import fails_and_is_given_up, replaced
from tests.support.contents import contents, managed, writes
from tests.support.stack import Stack
from tools.engine.ensure import ensure
from tools.engine.search import numbers

FAMILY = """
web = stacks.Container("web", template="nodejs", external_access=True, opts=pulumi.ResourceOptions({opts}))
sql = stacks.Container("sql", template="postgresql", opts=pulumi.ResourceOptions({opts}))
vpn = stacks.Container("vpn", template="stacks-vpn", opts=pulumi.ResourceOptions({opts}))
"""
CHILDREN = """
stacks.AllowedIp("office", container=web, ip_address="198.51.100.7")
stacks.Connection("link", source=web, target=sql, restart_source=False)
stacks.PinnedBackup("backup", container=sql)
stacks.VpnClient("laptop", container=vpn)
"""
BOX = """
class Box(pulumi.ComponentResource):
    def __init__(self):
        super().__init__("tests:index:Box", "box", opts=pulumi.ResourceOptions(retain_on_delete=True))
box = Box()
"""
TRANSFORMS = """
def merged(args):
    return pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(retain_on_delete=True))
def in_the_sdk(args):
    return pulumi.ResourceTransformationResult(args.props, merged(args)) if args.name == "sql" else None
def in_the_engine(args):
    return pulumi.ResourceTransformResult(args.props, merged(args)) if args.name == "vpn" else None
pulumi.runtime.register_stack_transformation(in_the_sdk)
pulumi.runtime.register_resource_transform(in_the_engine)
"""
# Each container is retained in another way.
RETAINED = BOX + TRANSFORMS + FAMILY.format(opts="").replace("Options()", "Options(parent=box)", 1)
STANDING = {
    "containers": ["sql", "vpn", "web"],
    "addresses": ["web 198.51.100.7"],
    "clients": ["vpn laptop"],
    "connections": ["web link"],
    "pinned": ["sql 1"],
}
EMPTY: dict[str, list[str]] = {kind: [] for kind in STANDING}
NO_DELETE = ("containers:read", "containers:create", "containers:manage")
CHILD_NAMES = {"office", "link", "backup", "laptop"}


def in_both(stack: Stack, emulator: Emulator) -> set[str]:
    """Return the names of the children in the state, which must equal those in the account."""
    held = contents(emulator)
    standing = {
        name
        for name, kind in (
            ("office", "addresses"),
            ("link", "connections"),
            ("backup", "pinned"),
            ("laptop", "clients"),
        )
        if held[kind]
    }
    assert CHILD_NAMES & set(stack.resources()) == standing, held
    return standing


def test_children_of_retained_containers_are_deleted(stack: Stack, emulator: Emulator) -> None:
    stack.program(RETAINED + CHILDREN)
    stack.up(quiet_afterwards=False)
    assert contents(emulator) == STANDING

    stack.destroy()

    assert contents(emulator) == {**EMPTY, "containers": STANDING["containers"]}
    assert stack.resources() == {}


@beyond_a_grant.PREVIEW
def test_children_stay_in_the_state_while_they_exist(stack: Stack, emulator: Emulator) -> None:
    stack.program(FAMILY.format(opts="protect=True") + CHILDREN)
    stack.up(quiet_afterwards=False)

    stack.destroy_fails()

    in_both(stack, emulator)
    assert contents(emulator)["containers"] == STANDING["containers"]

    # The next up manages all of them again, without adopt.
    stack.up(quiet_afterwards=False)
    assert {**contents(emulator), "pinned": []} == {**STANDING, "pinned": []}
    assert in_both(stack, emulator) == CHILD_NAMES


OUTLIVING = """
kept = stacks.Container("kept", template="stacks-vpn", opts=pulumi.ResourceOptions(retain_on_delete=True))
stacks.VpnClient("phone", container=kept)
stacks.VpnClient("tablet", container=stacks.Container.get("seen", "{}"))
"""
"""Children whose containers stay when the stack is destroyed, so they delete themselves."""


def test_deleted_with_is_off_unless_the_stack_asks_for_it(stack: Stack, emulator: Emulator) -> None:
    seen = running(emulator, "seen", "stacks-vpn")
    stack.program(FAMILY.format(opts="") + CHILDREN + OUTLIVING.format(seen))
    stack.up(quiet_afterwards=False)
    assert not any(found.get("deletedWith") for found in stack.resources().values())

    stack.set("stacks:deleteChildrenWithContainer", "true")
    stack.up(quiet_afterwards=False)
    held = {name for name, found in stack.resources().items() if found.get("deletedWith")}
    assert held == CHILD_NAMES

    # The next up corrects a state that has `deletedWith`.
    stack.set("stacks:deleteChildrenWithContainer", "false")
    calls = len(emulator.requests)
    stack.up(quiet_afterwards=False)
    assert not any(found.get("deletedWith") for found in stack.resources().values())
    assert writes(emulator, calls) == []

    stack.destroy()
    assert contents(emulator) == {**EMPTY, "containers": ["kept", "seen"]}
    assert {"allowed_ips.remove", "connections.delete", "vpn_clients.remove"} <= set(writes(emulator, calls))


def test_a_child_that_the_engine_dropped_is_adopted_again(stack: Stack, emulator: Emulator) -> None:
    stack.set("stacks:deleteChildrenWithContainer", "true")
    stack.set("stacks:apiKey", emulator.new_key(scopes=NO_DELETE))
    stack.program(FAMILY.format(opts="") + CHILDREN)
    stack.up(quiet_afterwards=False)
    stack.destroy_fails()
    # The risk of this setting: the engine has removed the children from the state, but they still exist.
    assert contents(emulator) == STANDING
    assert CHILD_NAMES.isdisjoint(stack.resources())
    calls = len(emulator.requests)

    stack.up()

    assert in_both(stack, emulator) == CHILD_NAMES
    assert {"allowed_ips.add", "connections.create", "vpn_clients.add"}.isdisjoint(writes(emulator, calls))
    # A backup cannot be recognised, so the program gets a new backup, and the old backup stays pinned.
    assert contents(emulator) == {**STANDING, "pinned": ["sql 1", "sql 2"]}

    stack.set("stacks:apiKey", emulator.key)
    stack.set("stacks:deleteChildrenWithContainer", "false")
    stack.up(quiet_afterwards=False)
    stack.destroy()
    assert contents(emulator) == EMPTY


replaces_children = pytest.mark.skipif(
    numbers(ensure().version) < (3, 260), reason="what this engine does is in test_oldest_engine.py"
)


@replaces_children
@pytest.mark.parametrize("name", ["web", "shop"])
def test_children_that_are_left_to_a_replaced_container_are_replaced_without_a_deletion(
    stack: Stack, emulator: Emulator, name: str
) -> None:
    # A connection's name is in use until the old connection is deleted, so it is always deleted before.
    assert replaced(stack, emulator, name) == (set() if name == "web" else {"connections.delete"})


@replaces_children
def test_a_replacement_that_fails_leaves_children_that_the_next_up_takes_back(
    stack: Stack, emulator: Emulator
) -> None:
    assert fails_and_is_given_up(stack, emulator) == {"addresses", "connections", "pinned"}


def test_children_are_recreated_after_a_targeted_refresh(stack: Stack, emulator: Emulator) -> None:
    """The new container has the id of the deleted container, so no input of a child differs."""
    stack.program("""
    web = stacks.Container("web", template="nodejs", external_access=True)
    sql = stacks.Container("sql", template="postgresql")
    vpn = stacks.Container("vpn", template="stacks-vpn")
    stacks.AllowedIp("office", container=web, ip_address="198.51.100.7")
    stacks.Connection("link", source=web, target=sql)
    stacks.VpnClient("laptop", container=vpn)
    stacks.PinnedBackup("backup", container=sql)
    stacks.SshCertificate("key", container=web)
    """)
    stack.up(quiet_afterwards=False)
    before = contents(emulator)
    targets = []
    for name in ("web", "sql", "vpn"):
        emulator.drift.delete(name)
        targets += ["--target", stack.resources()[name]["urn"]]
    emulator.advance(60)
    stack.refresh(*targets, drift=True)
    assert set(stack.resources()) == {"office", "link", "laptop", "backup", "key"}

    result = stack.up()

    assert contents(emulator) == {**before, "pinned": ["sql 2"]}, result.text
    assert "replace" in result.steps("key"), result.text
    assert stack.ids() == managed(emulator)


LARGE_FAMILY = """
app = stacks.Container("app", name="{}", template="nodejs", plan="{}", external_access=True, replace_on_change=True)
sql = stacks.Container("sql", template="postgresql")
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.AllowedIp("office", container=app, ip_address="198.51.100.0/24", revoke_auto_added=True)
stacks.SshCertificate("key", container=app)
stacks.Connection("link", source=app, target=sql)
stacks.PinnedBackup("backup", container=app)
stacks.VpnClient("laptop", container=vpn)
"""
OF_APP = ("office", "key", "link", "backup")


def test_children_are_replaced_with_their_container(stack: Stack, emulator: Emulator) -> None:
    stack.program(LARGE_FAMILY.format("app", "basic"))
    stack.up()

    # Replaced: preview shows it for every child and no other resource, before a new id is known.
    stack.program(LARGE_FAMILY.format("app", "premium"))
    preview = stack.preview()
    replaced = {name for op, name in preview.order() if "replace" in op}
    assert replaced == {"app", *OF_APP}

    result = stack.up(quiet_afterwards=False)
    order = [(op, name) for op, name in result.order() if op in {"delete-replaced", "create-replacement"}]
    assert {name for _, name in order[:4]} == set(OF_APP)
    assert order[4:6] == [("delete-replaced", "app"), ("create-replacement", "app")]
    assert {name for _, name in order[6:]} == set(OF_APP)
    assert addresses(emulator, "app").keys() == {"198.51.100.0/24"}
    assert [found.name for found in emulator.state.connections.values()] == ["link"]
    assert [found.pinned for found in emulator.state.backups.values()] == [True]

    # With a different name, the new container and its children are created first; then the old objects are deleted.
    stack.program(LARGE_FAMILY.format("shop", "premium"))
    result = stack.up(quiet_afterwards=False)
    made = [name for op, name in result.order() if op == "create-replacement"]
    gone = [name for op, name in result.order() if op == "delete-replaced"]
    assert (made[0], gone[-1], len(made), len(gone)) == ("app", "app", 5, 5)
    assert emulator.state.names() == ["shop", "sql", "vpn"]
    assert addresses(emulator, "shop").keys() == {"198.51.100.0/24"}
    assert [found.source for found in emulator.state.connections.values()] == [f"{emulator.account}-shop"]

    # Deleted outside, with all of its children and its connection to another container.
    emulator.drift.delete("shop")
    emulator.drift.delete("sql")
    stack.refresh(drift=True)
    assert stack.resources().keys() == {"vpn", "laptop"}
    result = stack.up(quiet_afterwards=False)
    assert {name for op, name in result.order() if op == "create"} == {"app", "sql", *OF_APP}
    assert addresses(emulator, "shop").keys() == {"198.51.100.0/24"}

    # Deleted outside again; this time the stack is destroyed without a refresh.
    emulator.drift.delete("shop")
    stack.destroy()
    assert (emulator.state.containers, emulator.state.connections, emulator.state.backups) == (
        {},
        {},
        {},
    )
