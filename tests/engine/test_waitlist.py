"""
A container that waits for capacity, on an engine with support for waits: the other resources continue, with a special
exit code.

On an older engine, this is an error: see `test_oldest_engine.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.contents import managed
from tests.support.sdk import oldest_sdk
from tests.support.stack import Stack
from tools.engine.ensure import ensure
from tools.engine.search import numbers

pytestmark = pytest.mark.skipif(
    numbers(ensure().version) < (3, 272), reason="this engine does not know AwaitError"
)

PROGRAM = """
web = stacks.Container("web", template="nodejs", external_access=True)
stacks.AllowedIp("office", container=web, ip_address="198.51.100.0/24", revoke_auto_added=True)
stacks.Container("sql", template="postgresql")
pulumi.export("url", web.url)
"""
AWAITED = 10
"""The engine's exit code."""


def test_the_rest_goes_on_and_the_next_up_creates_it(stack: Stack, emulator: Emulator) -> None:
    stack.native()
    stack.program(PROGRAM, host="native")
    emulator.faults.add("containers.create", 503, match="web")

    waiting = stack.up_fails()

    assert waiting.code == AWAITED, waiting.text
    assert waiting.errors == []
    (said,) = [text for text in waiting.warnings if "no-capacity" in text]
    assert 'create container "web": no capacity (503' in said
    assert "the account is on the waitlist now" in said
    # The state contains neither the container nor its dependants.
    assert stack.resources().keys() == {"sql"}
    assert emulator.state.names() == ["sql"]

    result = stack.up()

    assert result.changes == {"create": 2}
    assert stack.resources().keys() == {"web", "office", "sql"}


def test_an_error_beside_it_decides_the_exit_code(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROGRAM)
    emulator.faults.add("containers.create", 503, match="web")
    emulator.faults.add("containers.create", 400, match="sql")

    assert stack.up_fails("--continue-on-error").code not in {0, AWAITED}
    assert stack.resources() == {}


def test_a_replacement_waits_too(stack: Stack, emulator: Emulator) -> None:
    program = 'stacks.Container("web", name="{}", template="nodejs", replace_on_change=True)'
    stack.program(program.format("shop-one"))
    stack.up(quiet_afterwards=False)
    emulator.faults.add("containers.create", 503, match="shop-two")
    stack.program(program.format("shop-two"))

    assert stack.up_fails().code == AWAITED
    # The new container is created first, so the old container stays.
    assert emulator.state.names() == ["shop-one"]
    assert stack.ids() == managed(emulator)

    stack.up()
    assert emulator.state.names() == ["shop-two"]


@pytest.mark.extra
def test_with_the_oldest_sdk_it_is_an_error(emulator: Emulator, make_stack: Callable[..., Stack]) -> None:
    """With a wait, this SDK would end the program with a traceback."""
    stack = make_stack(emulator, python_path=oldest_sdk())
    stack.program(PROGRAM)
    emulator.faults.add("containers.create", 503, match="web")

    failed = stack.up_fails()

    assert failed.code not in {0, AWAITED}
    assert any("no-capacity" in text for text in failed.errors)
    assert stack.ids() == managed(emulator)
