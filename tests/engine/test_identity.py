"""
A container is identified by its id and its creation time: another container with the same id is never changed.

No other account's key changes or forgets it.
"""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.contents import contents, writes
from tests.support.stack import Stack

SQL = 'sql = stacks.Container("sql", template="postgresql"{})\n'
WEB = """
web = stacks.Container("web", template="nodejs", external_access=True{})
stacks.AllowedIp("office", container=web, ip_address="198.51.100.7")
"""
REMEDIES = ('adopt="if_matching"', "pulumi state delete")


@pytest.mark.beyond_a_grant(
    "a broker refuses what it wants the platform to refuse: its container is another one"
)
def test_a_destroy_deletes_no_container_that_only_has_the_same_id(stack: Stack, emulator: Emulator) -> None:
    stack.program(SQL.format("") + WEB.format(""))
    stack.up(quiet_afterwards=False)
    emulator.drift.recreate("sql", template="redis")
    emulator.drift.recreate("web")
    emulator.advance(60)
    emulator.drift.set_external_access("web", enabled=True)
    emulator.drift.allow_ip("web", "198.51.100.7")
    standing, calls = contents(emulator), len(emulator.requests)

    result = stack.destroy_fails()

    # The API never reuses the id of an address, so a deletion by this id finds nothing here.
    assert (contents(emulator), writes(emulator, calls)) == (standing, ["allowed_ips.remove"])
    assert all(remedy in "".join(result.errors) for remedy in REMEDIES), result.text
    assert "redis" in result.text


def test_a_container_that_looks_the_same_is_kept_with_a_warning_until_the_user_decides(
    stack: Stack, emulator: Emulator
) -> None:
    stack.program(SQL.format(""))
    stack.up(quiet_afterwards=False)
    emulator.drift.recreate("sql")
    emulator.advance(60)

    result = stack.refresh()
    assert set(stack.resources()) == {"sql"}
    assert any("sql" in line and "created" in line for line in result.warnings), result.text

    # Operations still fail after the refresh: the user has not decided yet.
    refused = stack.destroy_fails()
    assert all(remedy in "".join(refused.errors) for remedy in REMEDIES), refused.text
    assert contents(emulator)["containers"] == ["sql"]

    # The user keeps the container: the resource is bound to it again and manages it as before.
    stack.program(SQL.format(', adopt="if_matching"'))
    calls = len(emulator.requests)
    # This includes a program that already had `adopt`: its preview is the last chance to stop.
    assert any("`up` adopts usr-" in line and REMEDIES[1] in line for line in stack.preview().warnings)
    stack.up(quiet_afterwards=False)
    assert not any("`up` adopts" in line for line in stack.preview().warnings)
    assert writes(emulator, calls) == []
    stack.refresh()
    stack.program(SQL.format(""))
    stack.up(quiet_afterwards=False)
    stack.destroy()
    assert contents(emulator)["containers"] == []


FAMILY = """
app = stacks.Container("app", template="nodejs", external_access=True)
db = stacks.Container("orders-db", template="postgresql")
stacks.AllowedIp("office", container=app, ip_address="198.51.100.7")
stacks.Connection("link", source=app, target=db)
stacks.PinnedBackup("backup", container=db)
"""


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
