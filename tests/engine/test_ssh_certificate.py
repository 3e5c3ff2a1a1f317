"""SshCertificate on the real engine: a container's private key, encrypted wherever it is kept."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.fake_secrets import private_key
from tests.support.accounts import running
from tests.support.stack import Stack

PROGRAM = """
web = stacks.Container("web", template="nodejs")
key = stacks.SshCertificate("key", container=web, rotate_triggers=["{}"])
pulumi.export("key", key.private_key)
"""


def lines(emulator: Emulator) -> list[str]:
    """The lines of the container's present key that belong to it alone."""
    return private_key(emulator.state, emulator.state.container("web")).splitlines()[1:-1]


def test_a_key_from_its_download_to_its_end(stack: Stack, emulator: Emulator) -> None:
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

    # A key that somebody else had made comes with a refresh; nothing is left to change then.
    emulator.state.container("web").certificate_serial += 1
    third = lines(emulator)
    stack.refresh()
    stack.up(quiet_afterwards=False)
    assert stack.outputs(secrets=True)["key"].splitlines()[1:-1] == third

    stack.destroy()
    assert emulator.state.containers == {}
    assert not any(line in stack.said() for line in (*first, *second, *third))


def test_what_stands_in_the_way(stack: Stack, emulator: Emulator) -> None:
    web, sql = running(emulator, "web"), running(emulator, "sql", "postgresql")
    emulator.drift.stop("web")
    stack.program(
        f"""
        stacks.SshCertificate("managed", container="{sql}")
        stacks.SshCertificate("stopped", container="{web}")
        """
    )
    errors = "".join(stack.up_fails("--continue-on-error").errors)
    assert f"download the SSH key of container {sql}" in errors
    assert f"an SSH key needs a container that runs, and {web} is stopped" in errors

    # A look-up, whose key is a secret as well.
    stack.program(f'pulumi.export("key", stacks.SshCertificate.get("found", "{web}").private_key)')
    stack.up(quiet_afterwards=False)
    assert stack.outputs() == {"key": "[secret]"}
    assert not any(line in stack.export() for line in lines(emulator))
