"""Objects with one owner, on the real engine: no other resource deletes them, and they stay in the state."""

from __future__ import annotations

import pytest

from stacks_pulumi.api import StacksClient
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
    """Only if the program demands that order: a resource that may adopt is replaced delete-first."""
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


def test_a_backup_made_by_triggers_can_be_kept_by_its_number(stack: Stack, emulator: Emulator) -> None:
    stack.program(
        DB.format("") + 'stacks.PinnedBackup("backup", container=db, triggers=["v1"], on_delete="delete")'
    )
    stack.up(quiet_afterwards=False)

    stack.program(
        DB.format("") + 'stacks.PinnedBackup("backup", container=db, backup_id=1, on_delete="delete")'
    )
    assert stack.up().steps("backup") == ["update"]
    assert [backup.pinned for backup in emulator.state.backups.values()] == [True]

    replaced = stack.up("--replace", stack.resources()["backup"]["urn"], quiet_afterwards=False)
    assert any("the new half of this replacement has adopted it" in line for line in replaced.warnings)
    assert [backup.pinned for backup in emulator.state.backups.values()] == [True]


def test_two_resources_of_a_program_cannot_have_one_container(stack: Stack, emulator: Emulator) -> None:
    stack.program(DB.format(""))
    stack.up(quiet_afterwards=False)

    stack.program(
        DB.format("")
        + 'stacks.Container("two", name="Orders-DB", template="postgresql", adopt="if_matching")'
    )
    for refused in (stack.preview_fails(), stack.up_fails()):
        assert any("'orders-db' and 'two'" in line for line in refused.errors), refused.text
    assert set(stack.resources()) == {"orders-db"}


def test_two_resources_of_one_name_below_two_components_cannot_have_one_container(
    stack: Stack, emulator: Emulator
) -> None:
    """With `--target` the engine does not check the first one, so only the program sees both."""
    component = "{0} = pulumi.ComponentResource('tests:index:{0}', '{0}')\n"
    web = 'stacks.Container("web", template="nodejs"{}, opts=pulumi.ResourceOptions(parent={}))\n'
    stack.program(component.format("one") + web.format("", "one"))
    stack.up(quiet_afterwards=False)

    stack.program(
        "".join(map(component.format, ("one", "two"))) + web.format("", "one") + web.format(ADOPTED, "two")
    )
    parent = stack.resources()["web"]["urn"].replace("tests:index:one$", "tests:index:two$")
    refused = stack.up_fails("--target", "**tests:index:two::two", "--target", parent)

    assert any('the container name "web"' in line for line in refused.errors), refused.text
    assert set(stack.resources()) == {"web"}


def test_a_name_that_is_an_output_is_also_compared(stack: Stack, emulator: Emulator) -> None:
    stack.program(
        DB.format("")
        + 'stacks.Container("two", name=pulumi.Output.from_input("orders-db"), template="postgresql")'
    )

    refused = stack.preview_fails()

    assert any("'orders-db' and 'two'" in line for line in refused.errors), refused.text
    assert emulator.calls("containers.create") == 0


@pytest.mark.parametrize("empty", [True, False], ids=["empty account", "account with a container"])
def test_another_accounts_key_keeps_the_state(stack: Stack, emulator: Emulator, empty: bool) -> None:
    stack.program(FAMILY)
    stack.up(quiet_afterwards=False)
    before = set(stack.resources())
    other = emulator.new_key(account=emulator.new_account())
    if not empty:
        StacksClient(other, base_url=emulator.url).containers.create(name="other", template="nodejs")

    stack.set("stacks:apiKey", other)
    without_office = FAMILY.replace('stacks.AllowedIp("office"', 'dict(office="office"')
    for verb, program in (("refresh", FAMILY), ("up", FAMILY), ("up", without_office)):
        stack.program(program)
        refresh = ["--refresh"] if verb == "up" and program == FAMILY else []
        result = stack.engine(verb, "--yes", "--skip-preview", "--run-program", *refresh)
        assert result.code != 0
        assert any("configure the key of the account that has it" in line for line in result.errors)
        assert all("[other-account]" in line for line in result.errors if "account" in line)
        assert set(stack.resources()) == before

    stack.set("stacks:apiKey", emulator.key)
    stack.program(FAMILY)
    assert stack.up(quiet_afterwards=False).changes == {}
