"""Two stacks of one program in one account, with `stacks:namePattern`, on the real engine."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.stack import Stack

PATTERN = "${name}-${stack}"
PROGRAM = """
web = stacks.Container("web", template="nodejs")
db = stacks.Container("web-db", template="postgresql")
stacks.Connection("web-to-db", source=web, target=db)
pulumi.export("name", web.name)
"""


def test_two_stacks_of_one_program_share_an_account(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROGRAM)
    stack.set("stacks:namePattern", PATTERN)
    stack.cli("stack", "init", "prod", "--copy-config-from", "dev")
    stack.cli("stack", "select", "dev")

    stack.up(quiet_afterwards=False)
    stack.up("--stack", "prod", quiet_afterwards=False)

    assert set(emulator.state.names()) == {"web-dev", "web-db-dev", "web-prod", "web-db-prod"}
    assert stack.outputs() == {"name": "web-dev"}
    stack.refresh()

    stack.destroy()

    assert set(emulator.state.names()) == {"web-prod", "web-db-prod"}, (
        "a destroy leaves the other stack's containers alone"
    )
    stack.refresh("--stack", "prod", drift=True)
    assert stack.up("--stack", "prod", quiet_afterwards=False).changes == {}


@beyond_a_grant.OWN_KEY
def test_a_provider_uses_its_pattern_or_that_of_the_stack(stack: Stack, emulator: Emulator) -> None:
    stack.set("stacks:namePattern", PATTERN)
    stack.set("team:apiKey", emulator.new_key(account=emulator.new_account()))
    stack.program(
        """
        key = pulumi.Config("team").require_secret("apiKey")
        for label, pattern in (("as-the-stack", None), ("its-own", "${project}-${name}"), ("none", "${name}")):
            team = stacks.Provider(label, api_key=key, name_pattern=pattern)
            stacks.Container(f"of-{label}", template="nodejs", opts=pulumi.ResourceOptions(provider=team))
        stacks.Container("given", name="web", template="nodejs")
        """
    )

    stack.up(quiet_afterwards=False)

    assert set(emulator.state.names()) == {"of-as-the-stack-dev", "tests-of-its-own", "of-none", "web"}
