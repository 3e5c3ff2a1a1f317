"""SshCertificate on the real engine: a container's private key is encrypted in the state."""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.contents import private_key
from tests.support.stack import Stack

PROGRAM = """
web = stacks.Container("web", template="nodejs")
key = stacks.SshCertificate("key", container=web, rotate_triggers=["{}"])
pulumi.export("key", key.private_key)
"""


def lines(emulator: Emulator) -> list[str]:
    """Return the lines that only the container's current key has."""
    return private_key(emulator.state, emulator.state.container("web")).splitlines()[1:-1]


@pytest.mark.extra
def test_the_life_of_a_key(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROGRAM.format(2026))

    stack.up()

    first = lines(emulator)
    assert stack.outputs(secrets=True)["key"].splitlines()[1:-1] == first
    assert stack.outputs() == {"key": "[secret]"}
    assert "ciphertext" in stack.resources()["key"]["outputs"]["private_key"]
    assert not any(line in stack.export() for line in first)

    # A trigger makes a new key in place.
    stack.program(PROGRAM.format(2027))
    assert stack.up(quiet_afterwards=False).steps("key") == ["update"]
    second = lines(emulator)
    assert stack.outputs(secrets=True)["key"].splitlines()[1:-1] == second != first

    # A refresh finds a key that was regenerated outside; then the up is a no-op.
    emulator.state.container("web").certificate_serial += 1
    third = lines(emulator)
    stack.refresh()
    stack.up(quiet_afterwards=False)
    assert stack.outputs(secrets=True)["key"].splitlines()[1:-1] == third

    stack.destroy()
    assert emulator.state.containers == {}
    assert not any(line in stack.said() for line in (*first, *second, *third))
