"""Provider on the real engine: two accounts in one program, each with a key that is never shown."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.accounts import addresses
from tests.support.stack import Stack

PROGRAM = """
team = stacks.Provider("team-b", api_key=pulumi.Config("team").require_secret("apiKey"), requests_per_minute=600)
ours = stacks.Container("ours", template="nodejs")
theirs = stacks.Container("theirs", template="nodejs", external_access=True,
                          opts=pulumi.ResourceOptions(provider=team))
# What belongs to a container is in its account without being told.
stacks.AllowedIp("rule", container=theirs, ip_address="198.51.100.0/24")
stacks.SshCertificate("key", container=theirs)
names = stacks.list_containers_output(provider=team).apply(lambda found: sorted(one.name for one in found))
pulumi.export("names", names)
pulumi.export("login", stacks.get_credentials_output(theirs.id, provider=team).username)
{}
"""


@beyond_a_grant.OWN_KEY
def test_two_accounts_in_one_program(stack: Stack, emulator: Emulator) -> None:
    account = emulator.new_account()
    key = emulator.new_key(account=account, label="team-1")
    stack.set("team:apiKey", key)
    stack.program(PROGRAM.format(""))

    stack.up()

    assert {found.name: found.account for found in emulator.state.containers.values()} == {
        "ours": emulator.account,
        "theirs": account,
    }
    # A list is not a secret although the key of its request is; credentials are secret.
    assert stack.outputs() == {"names": ["theirs"], "login": "[secret]"}
    for secret in (key, emulator.key):
        assert secret not in stack.export()
    states = stack.resources()
    assert len({states[name]["provider"] for name in ("theirs", "rule", "key")}) == 1
    assert states["ours"]["provider"] != states["theirs"]["provider"]
    stack.refresh()

    # A new key changes the provider, but none of its resources.
    stack.set("team:apiKey", emulator.new_key(account=account, label="team-2"))
    result = stack.up(quiet_afterwards=False)
    assert (result.steps("team-b"), result.order()) == (["update"], [])
    emulator.drift.revoke_key("team-1")

    # An error names the account.
    stack.program(
        PROGRAM.format(
            """
stacks.AllowedIp("again", container=theirs, ip_address="198.51.100.0/24")
"""
        )
    )
    errors = stack.preview_fails().errors
    assert any(
        "two resources declare the same AllowedIp" in text and "'rule' and 'again'" in text for text in errors
    )
    stack.program(PROGRAM.format('stacks.Connection("across", source=theirs, target=ours)'))
    errors = stack.up_fails().errors
    assert any(
        "the account has no container with that id" in text and text.endswith("(account team-b) [not-found]")
        for text in errors
    )
    assert len(addresses(emulator, "theirs")) == 2

    # `destroy` runs no program; it uses the keys in the state.
    stack.destroy()
    assert emulator.state.containers == {}
    assert "sk_stacks_" not in stack.said()


def test_a_wrong_key_is_described_and_never_repeated(stack: Stack, emulator: Emulator) -> None:
    stack.program(
        'short = stacks.Provider("short", api_key="sk_stacks_1234")\n'
        'stacks.Container("one", template="nodejs", opts=pulumi.ResourceOptions(provider=short))\n'
    )
    malformed = stack.preview_fails()
    assert any(
        "key is malformed (its length after sk_stacks_ is 4" in text
        and text.endswith("(account short) [malformed-api-key]")
        for text in malformed.errors
    )
    assert "sk_stacks_1234" not in malformed.text

    stack.program(
        """
        revoked = stacks.Provider("revoked", api_key="sk_stacks_" + "0" * 64)
        try:
            stacks.list_containers(provider=revoked)
        except pulumi.RunError as error:
            pulumi.log.info(f"asked: {type(error).__name__}, {error}")
        stacks.Container("two", template="nodejs", opts=pulumi.ResourceOptions(provider=revoked))
        """
    )

    result = stack.up_fails("--continue-on-error")

    assert any(
        "401" in text and text.endswith("(account revoked) [api-key-refused]") for text in result.errors
    )
    assert "asked: InvalidApiKeyError, list containers: " in result.text
    assert "0" * 64 not in result.text
