"""Container on the real engine, from its first preview to its destruction."""

from __future__ import annotations

from collections.abc import Callable

from stacks_pulumi.emulator import Emulator
from tests.support.contents import contents
from tests.support.stack import Stack

ONE = """
web = stacks.Container("web", template="nodejs", external_access=True)
pulumi.export("url", web.url)
pulumi.export("price", web.monthly_price_usd)
"""


def test_the_life_of_a_container(stack: Stack, emulator: Emulator) -> None:
    stack.program(ONE)

    preview = stack.preview()
    assert emulator.calls() == 0
    assert "monthly_price_usd: 4" in preview.text

    result = stack.up(quiet_afterwards=False)
    calls = emulator.calls()
    again = stack.up(quiet_afterwards=False)

    assert result.steps("web") == ["create"]
    assert any("a month" in line for line in result.status_lines())
    assert again.changes == {}
    assert emulator.calls() == calls
    assert stack.outputs()["price"] == 4
    assert stack.outputs()["url"].endswith(".stackshosting.cloud")

    # The state is small, and has no key in plain text.
    web = stack.resources()["web"]
    assert web["type"] == "pulumi-python:dynamic/stacks:Container"
    assert web["outputs"]["__provider"] == web["inputs"]["__provider"]
    assert len(web["outputs"]["__provider"]) < 100
    assert emulator.key not in stack.export()

    stack.refresh()
    stack.destroy()
    assert contents(emulator)["containers"] == []


def test_a_looked_up_container_is_never_changed(emulator: Emulator, make_stack: Callable[..., Stack]) -> None:
    owner, reader = make_stack(emulator), make_stack(emulator)
    owner.program('web = stacks.Container("web", template="nodejs")')
    owner.up(quiet_afterwards=False)
    reader.program(f"""
    web = stacks.Container.get("theirs", "{emulator.account}-web")
    pulumi.export("status", web.status)
    pulumi.export("plan", web.plan)
    pulumi.export("name", web.name)
    """)

    reader.up(quiet_afterwards=False)
    again = reader.up(quiet_afterwards=False)

    assert again.changes == {}
    assert reader.outputs() == {"name": "web", "plan": "basic", "status": "running"}
    reader.destroy()
    assert contents(emulator)["containers"] == ["web"]

    reader.program('web = stacks.Container.get("theirs", "usr-00000000-nothing")')
    missing = reader.up_fails()
    assert "usr-00000000-nothing" in missing.text
