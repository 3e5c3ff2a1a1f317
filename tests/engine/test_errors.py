"""What the user sees when something goes wrong, on the real engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import get_args

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.errors import ErrorCode
from tests.engine.scenarios import SCENARIOS, Scenario
from tests.support.sdk import oldest_sdk
from tests.support.stack import Stack, shows_traceback

# What pages and examples show: a change is tested without it.
pytestmark = pytest.mark.extra

ON_THE_OLDEST = [scenario for scenario in SCENARIOS if scenario.both_sdks]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.code)
def test_the_error_is_clear_and_the_state_is_complete(
    scenario: Scenario, emulator: Emulator, make_stack: Callable[..., Stack]
) -> None:
    _run(scenario, emulator, make_stack(emulator))


@pytest.mark.parametrize("scenario", ON_THE_OLDEST, ids=lambda scenario: scenario.code)
def test_the_oldest_sdk_reports_errors_as_the_newest_does(
    scenario: Scenario, emulator: Emulator, make_stack: Callable[..., Stack]
) -> None:
    _run(scenario, emulator, make_stack(emulator, python_path=oldest_sdk()))


def test_every_code_has_one_scenario() -> None:
    # No output shows that a wait was cancelled: the engine that would print it is gone.
    assert Counter(scenario.code for scenario in SCENARIOS) == Counter({*get_args(ErrorCode)} - {"cancelled"})


def _run(scenario: Scenario, emulator: Emulator, stack: Stack) -> None:
    result = scenario.run(emulator, stack)

    said = " ".join(result.text.split())
    for words in (*scenario.says, f"[{scenario.code}]"):
        assert words in said, f"not said: {words}\n{result.text}"
    assert not shows_traceback(result.text)
    assert emulator.key not in result.text
    assert {container.name for container in emulator.state.containers.values()} == scenario.account
    exported = stack.export()
    assert set(stack.resources()) == scenario.state
    assert "sk_stacks_" not in exported
    emulator.faults.assert_none_left()
    emulator.faults.clear()
