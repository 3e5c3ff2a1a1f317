"""Two stacks of one program in one account, with `stacks:namePattern` and without, on the real engine."""

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


def names(emulator: Emulator) -> set[str]:
    return {container.name for container in emulator.state.containers.values()}


def second_stack(stack: Stack, emulator: Emulator, **settings: str) -> None:
    """Add the stack `prod` to the project."""
    stack.cli("stack", "init", "prod")
    given = {"apiKey": emulator.key, "baseUrl": emulator.url, **settings}
    for key, value in given.items():
        secret = ["--secret"] if key == "apiKey" else []
        stack.cli("config", "set", f"stacks:{key}", value, *secret, "--stack", "prod")
    stack.cli("stack", "select", "dev")


def test_two_stacks_of_one_program_share_an_account(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROGRAM)
    stack.set("stacks:namePattern", PATTERN)
    second_stack(stack, emulator, namePattern=PATTERN)

    stack.up(quiet_afterwards=False)
    stack.up("--stack", "prod", quiet_afterwards=False)

    assert names(emulator) == {"web-dev", "web-db-dev", "web-prod", "web-db-prod"}
    assert stack.outputs() == {"name": "web-dev"}
    stack.refresh()

    stack.destroy()

    assert names(emulator) == {"web-prod", "web-db-prod"}, (
        "a destroy leaves the other stack's containers alone"
    )
    stack.refresh("--stack", "prod", drift=True)
    assert stack.up("--stack", "prod", quiet_afterwards=False).changes == {}


def test_without_a_pattern_the_second_stack_gets_an_error(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROGRAM)
    second_stack(stack, emulator)
    stack.up(quiet_afterwards=False)
    before = stack.export()

    refused = stack.up_fails("--stack", "prod")

    (error,) = [text for text in refused.errors if 'container "web" ' in text]
    command = "pulumi config set stacks:namePattern '${name}-${stack}'"
    assert f"`{command}`" in error
    assert names(emulator) == {"web", "web-db"}

    # Follow the error's instructions in both stacks: the first stack keeps its names.
    for name in ("prod", "dev"):
        stack.cli("config", "set", "stacks:namePattern", PATTERN, "--stack", name)
    stack.up("--stack", "prod", quiet_afterwards=False)
    assert stack.up(quiet_afterwards=False).changes == {}
    assert names(emulator) == {"web", "web-db", "web-prod", "web-db-prod"}
    assert {name: found["id"] for name, found in stack.resources().items()}["web"] in before
    stack.refresh()


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

    assert names(emulator) == {"of-as-the-stack-dev", "tests-of-its-own", "of-none", "web"}
