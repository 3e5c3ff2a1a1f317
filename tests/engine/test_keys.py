"""Keys on the real engine: a revoked key can be replaced, and no output shows a key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.contents import contents, managed
from tests.support.stack import Stack
from tests.support.waiting import until

DEFAULT = 'stacks.Container("web", template="nodejs")\n'


@beyond_a_grant.KEY
def test_a_revoked_key_is_an_error_that_says_how_to_continue(stack: Stack, emulator: Emulator) -> None:
    stack.set("stacks:apiKey", emulator.new_key(label="old"))
    stack.program(DEFAULT)
    stack.up(quiet_afterwards=False)
    emulator.drift.revoke_key("old")
    stack.set("stacks:apiKey", emulator.new_key(label="new"))

    for verb in ("refresh", "destroy"):
        locked = stack.engine(verb, "--yes", "--skip-preview")
        assert locked.code != 0
        assert any("401" in line and "--run-program" in line for line in locked.errors), locked.text
        assert set(stack.resources()) == {"web"}

    stack.refresh("--run-program")
    # An up stores the new key, after which no option is needed.
    stack.up(quiet_afterwards=False)
    stack.refresh()
    emulator.drift.revoke_key("new")
    stack.set("stacks:apiKey", emulator.new_key(label="newest"))
    stack.destroy("--run-program")
    assert contents(emulator)["containers"] == []


NATIVE = 'pulumi.CustomResource("stacks:index:Container", "web", {"template": "nodejs"})\n'


@beyond_a_grant.KEY
@pytest.mark.parametrize(
    "program",
    [pytest.param(DEFAULT, id="dynamic"), pytest.param(NATIVE, id="native", marks=pytest.mark.extra)],
)
def test_a_key_in_plain_text_is_a_warning_and_can_be_made_an_error(
    stack: Stack, emulator: Emulator, program: str
) -> None:
    def told(lines: list[str]) -> list[str]:
        return [line for line in lines if "stored in plain text" in line]

    stack.program(program)
    assert told(stack.preview().warnings) == []
    stack.cli("config", "set", "stacks:apiKey", emulator.key, "--plaintext")

    for result in (stack.preview(), stack.up(quiet_afterwards=False)):
        assert "pulumi config set stacks:apiKey --secret --stack" in told(result.warnings)[0], result.text
        assert emulator.key not in result.text
    # The plugin stores the key encrypted in the state; the SDK's host does not store it.
    assert (emulator.key in stack.cli("stack", "export")) is (program == DEFAULT)

    stack.set("stacks:requireSecretKey", "true")
    refused = stack.preview_fails()
    assert any("stacks:requireSecretKey is set" in line for line in told(refused.errors)), refused.text

    # The command in the message fixes it.
    stack.set("stacks:apiKey", emulator.key)
    mended = stack.up(quiet_afterwards=False)
    assert told([*mended.warnings, *mended.errors]) == []
    assert emulator.key not in stack.cli("stack", "export")


@beyond_a_grant.KEY
def test_ci_previews_with_a_read_only_key_and_applies_with_a_full_one(
    stack: Stack, emulator: Emulator
) -> None:
    stack.cli("config", "rm", "stacks:apiKey")
    stack.program(DEFAULT)
    reading, full = emulator.new_key(scopes=["containers:read"]), emulator.new_key()
    for key in (reading, full):
        stack.env |= {"STACKS_API_KEY": key}
        stack.preview()
        if key == reading:
            assert any("[missing-scope]" in line for line in stack.up_fails().errors)
    stack.up(quiet_afterwards=False)
    assert contents(emulator)["containers"] == ["web"]

    stack.env |= {"STACKS_API_KEY": reading}
    stack.program(DEFAULT + DEFAULT.replace('"web"', '"shop"'))
    before = emulator.calls()
    assert stack.preview().changes == {"create": 1}

    assert emulator.calls() - before == 1
    state = stack.cli("stack", "export", "--show-secrets")
    assert (reading in state, full in state) == (False, False)
    stack.program(DEFAULT)
    stack.refresh()


DATA_FUNCTION = 'pulumi.export("names", [one.name for one in stacks.list_containers()])\n'


@beyond_a_grant.KEY
def test_a_program_with_only_data_functions_is_warned_too(stack: Stack, emulator: Emulator) -> None:
    stack.program(DATA_FUNCTION)
    stack.cli("config", "set", "stacks:apiKey", emulator.key, "--plaintext")

    result = stack.preview()

    assert len([line for line in result.warnings if "stored in plain text" in line]) == 1


def test_a_key_that_is_revoked_during_an_up_leaves_no_orphan(
    emulator: Emulator, make_stack: Callable[..., Stack]
) -> None:
    """The state also has the incomplete VPN client, whose configuration is missing."""
    stack = make_stack(emulator, emulator.new_key(label="old"))
    stack.program(
        """
        vpn = stacks.Container("vpn", template="stacks-vpn")
        stacks.VpnClient("laptop", container=vpn)
        sql = stacks.Container("sql", template="postgresql")
        stacks.PinnedBackup("backup", container=sql, opts=pulumi.ResourceOptions(depends_on=[vpn]))
        """
    )
    process = stack.start("up", "--yes", "--skip-preview")
    until(lambda: emulator.calls("vpn_clients.add"), alive=lambda: process.poll() is None)
    emulator.drift.revoke_key("old")
    said, _ = process.communicate()

    assert process.returncode != 0
    assert "401" in said
    held = contents(emulator)
    assert set(stack.resources()) >= {"vpn", "sql"}
    assert ("laptop" in stack.resources()) is (held["clients"] == ["vpn laptop"]), said

    stack.set("stacks:apiKey", emulator.new_key(label="new"))
    stack.up()
    assert set(stack.resources()) == {"vpn", "sql", "laptop", "backup"}
    assert stack.ids() == managed(emulator)


DIGITS = "0123456789abcdef" * 4
NATIVE_TEAM = """
team = pulumi.ProviderResource("stacks", "team", {settings})
pulumi.CustomResource(
    "stacks:index:Container", "web", {{"template": "nodejs"}}, pulumi.ResourceOptions(provider=team)
)
"""
NATIVE_DEFAULT = f"""
props = {{"template": "nodejs", "apiKey": "sk_stacks_{DIGITS}"}}
pulumi.CustomResource("stacks:index:Container", "web", props)
"""
MALFORMED = f"sk-stacks-{DIGITS}"
KEY = f"sk_stacks_{DIGITS}"


@beyond_a_grant.KEY
@pytest.mark.parametrize(
    ("settings", "program", "message"),
    [
        ({"stacks:apiKey": MALFORMED}, DEFAULT, "the STACKS API key is malformed"),
        ({"stacks:apikey": KEY}, DEFAULT, "unknown setting stacks:apikey; did you mean stacks:apiKey?"),
        ({}, NATIVE_DEFAULT, "unknown input apiKey; the inputs are"),
        ({}, NATIVE_TEAM.format(settings={"apiKey": KEY, "adopt": KEY}), "stacks:adopt contains an API key"),
    ],
)
def test_no_output_contains_a_key_in_the_wrong_form_or_place(
    stack: Stack, settings: dict[str, str], program: str, message: str
) -> None:
    stack.native()
    for name, value in settings.items():
        stack.set(name, value)
    stack.program(program)

    failed = stack.preview_fails("--debug")

    assert message in failed.text
    # The engine's own event log contains the configuration, including its plain values.
    assert DIGITS not in failed.text
