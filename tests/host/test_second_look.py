"""The calls of a refresh and of a deletion if an object is missing or has changed, compared with docs/platforms.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from stacks_pulumi.emulator import DrivenClock, Emulator
from tests.chaos.ministack import MiniStack
from tests.chaos.platform_life import program
from tests.support.host import HOSTS
from tests.support.page_block import PageBlock

pytestmark = [pytest.mark.host, pytest.mark.extra]

BLOCK: Final = PageBlock(
    "platforms.md",
    "<!-- second looks: written by `pytest tests/host/test_second_look.py --write-docs` -->\n",
    "<!-- end of the second looks -->\n",
)

Missing = Callable[[Emulator], Any]

MISSING: Final[dict[str, tuple[str, Missing]]] = {
    "nothing": ("", lambda _emulator: None),
    "nothing, but a plan was changed": ("", lambda emulator: emulator.drift.resize("web", "standard")),
    "a container": ("old", lambda emulator: emulator.drift.delete("old")),
    "a connection": ("link", lambda emulator: emulator.drift.disconnect("app", "primary")),
    "an allowed address": ("ip0", lambda emulator: emulator.drift.remove_ip("app", "198.51.100.7")),
    "a VPN client": ("laptop", lambda emulator: emulator.drift.remove_vpn_client("vpn", "laptop")),
    "a backup": ("backup", lambda emulator: emulator.drift.delete_backup(1)),
}
"""The missing object -> its resource in the program and its deletion."""


SPEED: Final = 20.0


@pytest.fixture(scope="module")
def costs(host_kind: str) -> dict[str, tuple[int, int]]:
    """Return, for each missing object, the calls of a refresh and of its deletion."""
    return {what: _cost(host_kind, *case) for what, case in MISSING.items()}


def _cost(kind: str, name: str, delete: Missing) -> tuple[int, int]:
    counted = []
    for operate in (MiniStack.refresh, MiniStack.destroy):
        with Emulator(clock=DrivenClock(speed=SPEED)) as emulator:
            host = HOSTS[kind]({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}, speed=SPEED)
            stack = MiniStack(host)
            assert stack.up(program(0)).errors == {}
            host.stop()
            delete(emulator)
            # Each operation has a new process, which has read nothing yet.
            stack.on(HOSTS[kind](host.config, speed=SPEED))
            if operate is MiniStack.destroy:
                stack.resources = {key: one for key, one in stack.resources.items() if key == name}
            before = len(emulator.requests)
            outcome = operate(stack)
            counted.append(len(emulator.requests) - before)
            stack.host.stop()
        assert outcome.errors == {}
        if operate is MiniStack.refresh:
            assert [step for step in outcome.steps if step == ("gone", name)] == [("gone", name)] * bool(name)
    return counted[0], counted[1]


def test_the_documentation_has_the_calls(
    costs: dict[str, tuple[int, int]], request: pytest.FixtureRequest
) -> None:
    rows = [f"| {what} | {refresh} | {destroy or ''} |\n" for what, (refresh, destroy) in costs.items()]
    table = f"| missing | calls of the refresh | calls of its deletion |\n|---|--:|--:|\n{''.join(rows)}"
    if request.config.getoption("--write-docs"):
        BLOCK.write(table)

    assert BLOCK.read() == table, "run this file with --write-docs"
