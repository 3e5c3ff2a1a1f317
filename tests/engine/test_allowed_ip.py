"""AllowedIp on the real engine: the addresses that may reach a container, from the first to the last."""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import addresses, fewest_addresses
from tests.support.stack import Stack

CALLER = "203.0.113.45"
OFFICE = "198.51.100.0/24"
WEB = 'web = stacks.Container("web", template="nodejs", external_access=True)\n'
RULE = 'stacks.AllowedIp("office", container=web, ip_address="{}", revoke_auto_added=True{})\n'


def rule(address: str = OFFICE, more: str = "") -> str:
    """Return a program with a container and one address."""
    return WEB + RULE.format(address, more)


@pytest.mark.extra
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
