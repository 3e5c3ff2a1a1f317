"""VpnClient on the real engine: it adds a device, whose private key is always secret."""

from __future__ import annotations

import json

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

VPN = 'vpn = stacks.Container("vpn", template="stacks-vpn")\n'
ODD = "Ann's laptop / home"


def clients(emulator: Emulator) -> list[str]:
    """Return the names of the VPN's clients; the first is the default client of every VPN."""
    return [client.name for client in emulator.state.container("vpn").vpn_clients]


def private_key(stack: Stack) -> str:
    """Return the private key in the stack's output."""
    config: str = stack.outputs(secrets=True)["config"]
    return config.partition("PrivateKey = ")[2].partition("\n")[0]


def test_the_life_of_a_client(stack: Stack, emulator: Emulator) -> None:
    program = (
        VPN
        + """
device = stacks.VpnClient("laptop", container=vpn, name={}, rotate_triggers=["{}"])
stacks.VpnClient("phone", container=vpn, store_config=False)
pulumi.export("config", device.config)
"""
    )
    stack.program(program.format(json.dumps(ODD), 2026))

    stack.up()

    assert sorted(clients(emulator)) == [ODD, "default", "phone"]
    assert stack.outputs() == {"config": "[secret]"}
    first = private_key(stack)
    assert len(first) == 44
    states = stack.resources()
    assert states["laptop"]["id"] == f"{emulator.account}-vpn/{ODD}"
    assert "ciphertext" in states["laptop"]["outputs"]["config"]
    assert "config" not in states["phone"]["outputs"]
    assert emulator.calls("vpn_clients.config") == 1
    assert first not in stack.export()

    # A rotation removes the client first, because the new one has the same name.
    stack.program(program.format(json.dumps(ODD), 2027))
    steps = stack.up(quiet_afterwards=False).steps("laptop")
    assert steps == ["delete-replaced", "replace", "create-replacement"]
    second = private_key(stack)
    assert second not in {first, ""}

    # Deleted outside: a refresh finds it, the next up recreates it, and the other client stays unchanged.
    emulator.drift.remove_vpn_client("vpn", "phone")
    stack.refresh(drift=True)
    assert stack.up(quiet_afterwards=False).order() == [("create", "phone")]
    assert private_key(stack) == second

    # The configuration is removed from the state.
    stack.program(
        program.format(json.dumps(ODD), 2027).replace(
            "rotate_triggers", "store_config=False, rotate_triggers"
        )
    )
    assert stack.up(quiet_afterwards=False).steps("laptop") == ["update"]
    assert second not in stack.cli("stack", "export", "--show-secrets")
    # A secret output stays a secret, also without a value: a plan could not be followed otherwise.
    assert stack.outputs() == {"config": "[secret]"}
    assert json.loads(stack.cli("stack", "output", "--json", "--show-secrets"))["config"] is None

    removals = emulator.calls("vpn_clients.remove")
    stack.destroy()
    assert emulator.state.containers == {}
    assert emulator.calls("vpn_clients.remove") == removals + 2
    for secret in (first, second, "PrivateKey"):
        assert secret not in stack.said()
