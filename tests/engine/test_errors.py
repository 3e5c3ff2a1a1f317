"""
What the user sees when something goes wrong, on the real engine.

`make docs` runs this with `--write-docs`, which writes the messages of the run into `docs/errors.md`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import get_args

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.errors import ErrorCode
from tests.engine.scenarios import SCENARIOS, SECTIONS, Scenario
from tests.engine.scenarios.page import PAGE, errors_in, render, shown
from tests.support.sdk import oldest_sdk
from tests.support.stack import Stack, shows_traceback

# What pages and examples show: a change is tested without it.
pytestmark = pytest.mark.extra

ON_THE_OLDEST = [scenario for scenario in SCENARIOS if scenario.both_sdks]


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The messages by code; with `--write-docs` they are written at the end."""
    seen: dict[str, str] = {}
    yield seen
    if request.config.getoption("--write-docs"):
        assert seen.keys() == {scenario.code for scenario in SCENARIOS}, "run all scenarios to write the page"
        PAGE.write_text(render(seen), encoding="utf-8")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.code)
def test_the_error_is_clear_and_the_state_is_complete(
    scenario: Scenario,
    emulator: Emulator,
    make_stack: Callable[..., Stack],
    page: dict[str, str],
    request: pytest.FixtureRequest,
) -> None:
    page[scenario.code] = _run(scenario, emulator, make_stack(emulator))

    if not request.config.getoption("--write-docs"):
        assert errors_in(page[scenario.code]) <= errors_in(PAGE.read_text(encoding="utf-8")), (
            "run `make docs`"
        )


@pytest.mark.parametrize("scenario", ON_THE_OLDEST, ids=lambda scenario: scenario.code)
def test_the_oldest_sdk_reports_errors_as_the_newest_does(
    scenario: Scenario, emulator: Emulator, make_stack: Callable[..., Stack]
) -> None:
    _run(scenario, emulator, make_stack(emulator, python_path=oldest_sdk()))


def test_every_code_has_one_section() -> None:
    assert Counter(section.code for section in SECTIONS) == Counter(get_args(ErrorCode))


def test_the_page_shows_every_scenario(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-docs"):
        pytest.skip("the page is being written")
    text = PAGE.read_text(encoding="utf-8")
    messages: dict[str, str] = {scenario.code: "..." for scenario in SCENARIOS}

    # The page without the messages, which differ in details from run to run.
    parts = render(messages).split("```text\n...\n```")

    for part in parts:
        assert part in text, "run `make docs`"
    for scenario in SCENARIOS:
        assert f"[{scenario.code}]\n" in text, "run `make docs`"


def _run(scenario: Scenario, emulator: Emulator, stack: Stack) -> str:
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
    return shown(result, stack.folder)
