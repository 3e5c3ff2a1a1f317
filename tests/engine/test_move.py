"""A stack moves between the dynamic and native types, or gives a container to another stack: the API is only read."""

from __future__ import annotations

import json

import pytest

from stacks_pulumi.emulator import Emulator
from tests.engine.test_recorded_states import FOLDER, PROGRAM, furnish
from tests.support import beyond_a_grant
from tests.support.clock import fast_clock
from tests.support.recording import play
from tests.support.stack import Stack

# Each test runs a dozen operations of the engine.
pytestmark = pytest.mark.slow

TWO_ACCOUNTS = """
team = stacks.Provider("team", api_key={key!r}, base_url={url!r})
web = stacks.Container("web", template="nodejs", external_access=True, opts=pulumi.ResourceOptions(provider=team))
stacks.AllowedIp("office", container=web, ip_address="198.51.100.7", opts=pulumi.ResourceOptions(provider=team))
stacks.Container("api", template="nodejs")
"""

MOVED = """
if pulumi.get_stack() == {owner!r}:
    vpn = stacks.Container("vpn", template="stacks-vpn", opts=pulumi.ResourceOptions(protect=True))
    stacks.VpnClient("laptop", container=vpn)
else:
    stacks.Container("api", template="nodejs")
"""

ADOPTED = """
if pulumi.get_stack() == "prod":
    vpn = stacks.Container("vpn", template="stacks-vpn", adopt="if_matching")
    stacks.VpnClient("laptop", container=vpn, adopt="if_matching")
    stacks.Container("api", template="nodejs")
"""


def writes(*emulators: Emulator) -> list[str]:
    """Return the changing requests so far."""
    return [f"{it.method} {it.path}" for api in emulators for it in api.requests if it.method != "GET"]


def types(stack: Stack) -> set[str]:
    """Return the prefixes of the types in the state."""
    return {resource["type"].rpartition(":")[0] for resource in stack.resources().values()}


def test_the_state_of_the_oldest_version_is_moved_used_and_moved_back(
    stack: Stack, emulator: Emulator
) -> None:
    furnish(emulator)
    stack.native()
    play(json.loads(min(FOLDER.glob("*.json")).read_text(encoding="utf-8")), stack, emulator)

    stack.program(PROGRAM, host="native")
    assert stack.preview().changes == {}
    stack.up(quiet_afterwards=False)
    stack.refresh()
    assert types(stack) == {"stacks:index"}
    assert writes(emulator) == []

    stack.program(PROGRAM.replace('"v1", 2', '"v2", 2'), host="native")
    assert stack.up(quiet_afterwards=False).order() == [("update", "app")]
    used = writes(emulator)
    assert len(used) == 1

    stack.program(PROGRAM.replace('"v1", 2', '"v2", 2'))
    assert set(stack.up(quiet_afterwards=False).changes) == {"update"}
    stack.refresh()
    assert types(stack) == {"pulumi-python:dynamic/stacks"}
    assert writes(emulator) == used


def test_resources_of_an_explicit_provider_are_moved_and_moved_back(stack: Stack, emulator: Emulator) -> None:
    with Emulator(clock=fast_clock()) as other:
        program = TWO_ACCOUNTS.format(key=other.key, url=other.url)
        stack.native()
        stack.program(program)
        stack.up(quiet_afterwards=False)
        made = writes(emulator, other)

        stack.program(program, host="native")
        there = stack.up(quiet_afterwards=False)
        stack.refresh()
        moved = types(stack)
        stack.program(program)
        back = stack.up(quiet_afterwards=False)
        stack.refresh()

        # The provider itself is a further resource.
        assert there.changes == {"create": 1, "delete": 1}
        assert moved == {"stacks:index"}
        assert set(back.changes) <= {"create", "delete", "update"}
        assert {name for _, name in back.order()} <= {"web", "office", "api", "team", "default"}
        assert types(stack) == {"pulumi-python:dynamic/stacks"}
        assert writes(emulator, other) == made
        assert other.key not in stack.export() + stack.said()


def test_a_container_goes_to_another_stack_with_what_belongs_to_it(stack: Stack, emulator: Emulator) -> None:
    stack.program(MOVED.format(owner="dev"))
    stack.up()
    made = writes(emulator)
    urns = [stack.resources()[name]["urn"] for name in ("vpn", "laptop")]
    stack.cli("stack", "init", "prod", "--copy-config-from", "dev")

    ends = ["--source", "organization/tests/dev", "--dest", "organization/tests/prod"]
    stack.cli("state", "move", "--yes", *ends, *urns)
    stack.program(MOVED.format(owner="prod"))

    assert stack.preview("--refresh").changes == {}
    stack.cli("stack", "select", "dev")
    assert set(stack.preview().changes) == {"create"}
    assert "vpn" not in stack.resources()
    assert writes(emulator) == made


@beyond_a_grant.KEY
def test_a_container_goes_to_a_stack_with_another_key_by_adoption(stack: Stack, emulator: Emulator) -> None:
    stack.program(MOVED.format(owner="dev"))
    stack.up()
    urns = [stack.resources()[name]["urn"] for name in ("vpn", "laptop")]
    stack.cli("stack", "init", "prod", "--copy-config-from", "dev")
    stack.cli("config", "set", "stacks:apiKey", emulator.new_key(), "--secret")
    stack.up()
    made = writes(emulator)

    # The engine compares the default providers of the two stacks, which have all settings.
    ends = ["--source", "organization/tests/dev", "--dest", "organization/tests/prod"]
    with pytest.raises(AssertionError, match="already exists in destination stack"):
        stack.cli("state", "move", "--yes", *ends, *urns)
    stack.cli("state", "delete", "--yes", "--force", "--target-dependents", "--stack", "dev", "--", urns[0])
    stack.program(ADOPTED)

    stack.up()
    assert {"vpn", "laptop"} <= set(stack.resources())
    stack.cli("stack", "select", "dev")
    assert "vpn" not in stack.resources()
    assert writes(emulator) == made
