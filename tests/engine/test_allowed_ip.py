"""AllowedIp on the real engine: the addresses that may reach a container, from the first to the last."""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import addresses, fewest_addresses, running
from tests.support.stack import Stack

CALLER = "203.0.113.45"
OFFICE = "198.51.100.0/24"
WEB = 'web = stacks.Container("web", template="nodejs", external_access=True)\n'
RULE = 'stacks.AllowedIp("office", container=web, ip_address="{}", revoke_auto_added=True{})\n'


def rule(address: str = OFFICE, more: str = "") -> str:
    """Return a program with a container and one address."""
    return WEB + RULE.format(address, more)


def test_the_life_of_an_address(stack: Stack, emulator: Emulator) -> None:
    stack.program(rule())

    result = stack.up()

    assert [name for op, name in result.order() if op == "create"] == ["web", "office"]
    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}

    # Changed in place: the API has another entry, the resource stays.
    stack.program(rule(more=', description="Office", service_type="http"'))
    assert stack.up(quiet_afterwards=False).steps("office") == ["update"]
    assert addresses(emulator, "web") == {OFFICE: ("Office", "http")}

    # Another address: the new one is added before the old one is removed.
    stack.program(rule("2001:DB8::/48", ', description="Office", service_type="http"'))
    assert stack.up(quiet_afterwards=False).steps("office") == [
        "create-replacement",
        "replace",
        "delete-replaced",
    ]
    assert addresses(emulator, "web") == {"2001:db8::/48": ("Office", "http")}

    # Changed outside; a refresh finds the drift, and the next up corrects it.
    emulator.drift.allow_ip("web", "192.0.2.7")
    emulator.drift.remove_ip("web", "2001:db8::/48")
    stack.refresh(drift=True)
    assert stack.up(quiet_afterwards=False).steps("office") == ["create"]
    emulator.drift.remove_ip("web", "192.0.2.7")

    assert fewest_addresses(emulator, 1) == 1

    # Deleting the last address disables access, because the API does not allow an empty list.
    stack.program(WEB)
    result = stack.up(quiet_afterwards=False)
    assert result.steps("office") == ["delete"]
    assert "external access was turned off instead" in result.text
    assert emulator.state.container("web").external_access is False

    # The program still says external_access=True: a refresh shows that it is off, and the next up enables it for the
    # caller, as it does for any container without rules.
    stack.refresh(drift=True)
    assert stack.up(quiet_afterwards=False).steps("web") == ["update"]
    assert addresses(emulator, "web").keys() == {CALLER}

    stack.destroy()
    assert emulator.state.containers == {}


@pytest.fixture
def office(emulator: Emulator) -> str:
    """A program that allows an address on an existing container; `{}` is replaced by more arguments."""
    web = running(emulator, "web")
    return f"""
        web = stacks.Container.get("web", "{web}")
        office = stacks.AllowedIp("office", container=web, ip_address="{OFFICE}", revoke_auto_added=True{{}})
    """


def test_an_address_is_refused_while_access_is_off(stack: Stack, emulator: Emulator, office: str) -> None:
    stack.program(office.format(""))

    assert f"external access of {emulator.account}-web is off" in "".join(stack.up_fails().errors)


def test_an_entry_of_another_client_is_not_changed(stack: Stack, emulator: Emulator, office: str) -> None:
    emulator.drift.set_external_access("web", enabled=True)
    emulator.drift.allow_ip("web", OFFICE, description="by hand")
    stack.program(office.format(""))

    assert 'write stacks.AllowedIp("office", ..., adopt="if_matching")' in "".join(stack.up_fails().errors)
    assert addresses(emulator, "web")[OFFICE] == ("by hand", "both")


def test_the_next_up_completes_a_failed_adoption(stack: Stack, emulator: Emulator, office: str) -> None:
    emulator.drift.set_external_access("web", enabled=True)
    emulator.drift.allow_ip("web", OFFICE, description="by hand")
    # The managed address was added, the caller's was not removed.
    emulator.faults.add("allowed_ips.remove", "pass")
    emulator.faults.add("allowed_ips.remove", "status", code=400, body={"error": "Not today"})
    stack.program(office.format(', adopt="if_matching"'))

    assert "Not today" in "".join(stack.up_fails().errors)
    assert stack.resources()["office"]["id"] == f"{emulator.account}-web/{OFFICE}"
    assert stack.up(quiet_afterwards=False).steps("office") == ["update"]
    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}


def test_a_look_up_shows_an_entry_and_a_removal_disables_access(
    stack: Stack, emulator: Emulator, office: str
) -> None:
    web = f"{emulator.account}-web"
    emulator.drift.set_external_access("web", enabled=True)
    stack.program(office.format(""))
    stack.up(quiet_afterwards=False)

    stack.program(f"""
        office = stacks.AllowedIp.get("looked-up", "{web}/{OFFICE}")
        pulumi.export("entry", pulumi.Output.all(office.container, office.ip_address, office.service_type))
    """)
    result = stack.up(quiet_afterwards=False)

    assert stack.outputs()["entry"] == [web, OFFICE, "both"]
    # The container was only looked up, so only this deletion disables its access.
    assert result.steps("office") == ["delete"]
    assert emulator.state.container("web").external_access is False
