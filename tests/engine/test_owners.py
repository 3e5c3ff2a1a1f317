"""Objects with one owner, on the real engine: no other resource deletes them, and they stay in the state."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

DB = 'db = stacks.Container("orders-db", template="postgresql"{})\n'
ADOPTED = ', adopt="if_matching"'
FAMILY = """
app = stacks.Container("app", template="nodejs", external_access=True)
db = stacks.Container("orders-db", template="postgresql")
stacks.AllowedIp("office", container=app, ip_address="198.51.100.7")
stacks.Connection("link", source=app, target=db)
stacks.PinnedBackup("backup", container=db)
"""


def names(emulator: Emulator) -> set[str]:
    return {container.name for container in emulator.state.containers.values()}


def test_a_forced_replacement_that_creates_first_adopts_and_keeps(stack: Stack, emulator: Emulator) -> None:
    """This happens only if the program demands this order: a resource that may adopt is replaced delete-first."""
    stack.set("stacks:adopt", "if_matching")
    stack.program(DB.format(", opts=pulumi.ResourceOptions(delete_before_replace=False)"))
    stack.up(quiet_afterwards=False)
    urn = stack.resources()["orders-db"]["urn"]

    result = stack.up("--replace", urn, quiet_afterwards=False)

    (warning,) = [line for line in result.warnings if "was not deleted" in line]
    assert "opts=pulumi.ResourceOptions(delete_before_replace=True)" in warning
    assert names(emulator) == {"orders-db"}
    assert stack.up(quiet_afterwards=False).changes == {}

    stack.program(DB.format(""))
    replaced = stack.up("--replace", urn, quiet_afterwards=False)
    assert replaced.steps("orders-db") == ["delete-replaced", "replace", "create-replacement"]
    assert emulator.calls("containers.create") == 2


def test_another_accounts_key_keeps_the_state(stack: Stack, emulator: Emulator) -> None:
    stack.program(FAMILY)
    stack.up(quiet_afterwards=False)
    before = set(stack.resources())
    other = emulator.new_key(account=emulator.new_account())
    stack.set("stacks:apiKey", other)
    without_office = FAMILY.replace('stacks.AllowedIp("office"', 'dict(office="office"')
    for verb, program in (("refresh", FAMILY), ("up", FAMILY), ("up", without_office)):
        stack.program(program)
        refresh = ["--refresh"] if verb == "up" and program == FAMILY else []
        result = stack.engine(verb, "--yes", "--skip-preview", "--run-program", *refresh)
        assert result.code != 0
        assert any("configure the key of the account that contains it" in line for line in result.errors)
        assert all("[other-account]" in line for line in result.errors if "account" in line)
        assert set(stack.resources()) == before

    stack.set("stacks:apiKey", emulator.key)
    stack.program(FAMILY)
    assert stack.up(quiet_afterwards=False).changes == {}
