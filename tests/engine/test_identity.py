"""
A container is identified by its id and its creation time: another container with the same id is never changed.
"""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.contents import contents, writes
from tests.support.stack import Stack

SQL = 'sql = stacks.Container("sql", template="postgresql"{})\n'
WEB = """
web = stacks.Container("web", template="nodejs", external_access=True{})
stacks.AllowedIp("office", container=web, ip_address="198.51.100.7")
"""
REMEDIES = ('adopt="if_matching"', "pulumi state delete")


@pytest.mark.parametrize(
    "program",
    [
        "",
        SQL.format(', desired_status="running", restart_triggers=["2"]'),
        SQL.format(', plan="premium", replace_on_change=True'),
    ],
    ids=["delete", "update", "replace"],
)
@pytest.mark.parametrize(
    "template",
    [
        pytest.param("redis", id="other template", marks=pytest.mark.extra),
        pytest.param("postgresql", id="same template"),
    ],
)
def test_no_operation_changes_a_container_that_only_has_the_same_id(
    stack: Stack, emulator: Emulator, template: str, program: str
) -> None:
    stack.program(SQL.format(""))
    stack.up(quiet_afterwards=False)
    made = emulator.drift.recreate("sql", template=template)
    calls = len(emulator.requests)

    stack.program(program)
    result = stack.engine("up", "--yes", "--skip-preview")

    assert emulator.state.containers == {made.id: made}, result.text
    assert not any(name != "containers.create" for name in writes(emulator, calls)), result.text
    # The operation fails; it must not succeed without an effect.
    assert made.id in "".join([*result.errors, *result.warnings]), result.text
    if template == "postgresql":
        assert result.code != 0
        assert all(remedy in "".join(result.errors) for remedy in REMEDIES), result.text


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


@beyond_a_grant.OWN_KEY
def test_a_container_does_not_move_to_another_account(stack: Stack, emulator: Emulator) -> None:
    account = emulator.new_account()
    stack.set("team:apiKey", emulator.new_key(account=account))
    stack.set("team:sameKey", emulator.new_key())
    team = 'team = stacks.Provider("team", api_key=pulumi.Config("team").require_secret("{}"))\n'
    in_team = SQL.format(", opts=pulumi.ResourceOptions(provider=team)")
    stack.program(SQL.format(""))
    stack.up(quiet_afterwards=False)
    calls = len(emulator.requests)

    stack.program(team.format("apiKey") + in_team)
    result = stack.engine("preview")
    if result.code == 0:
        result = stack.engine("up", "--yes", "--skip-preview")

    assert result.code != 0, result.text
    assert any("account" in line for line in result.errors), result.text
    assert writes(emulator, calls) == []
    assert set(stack.resources()) - {"team"} == {"sql"}

    # Another key of the same account does not move the container.
    stack.program(team.format("sameKey") + in_team)
    stack.up()
    assert emulator.calls("containers.create") == 1
