"""The main job, on the real engine: a container, from its first preview to its destruction."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

ONE = """
web = stacks.Container("web", template="nodejs", external_access=True)
pulumi.export("url", web.url)
pulumi.export("price", web.monthly_price_usd)
"""


def test_a_container_is_made_once_and_an_unchanged_program_asks_nothing(
    stack: Stack, emulator: Emulator
) -> None:
    stack.program(ONE)

    result = stack.up(quiet_afterwards=False)
    calls = emulator.calls()
    again = stack.up(quiet_afterwards=False)

    assert result.steps("web") == ["create"]
    assert again.changes == {}
    assert emulator.calls() == calls
    assert stack.outputs()["price"] == 4
    assert stack.outputs()["url"].endswith(".stackshosting.cloud")
    stack.refresh()
    stack.destroy()
    assert emulator.state.world.containers == {}
