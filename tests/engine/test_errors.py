"""
What the user sees when something goes wrong, on the real engine and on the oldest and the newest SDK.

`make docs` runs this with `--write-docs`, which writes the messages of the run into `docs/errors.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios import SCENARIOS, Scenario
from tests.support.sdk import oldest_sdk
from tests.support.stack import Result, Stack

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


@pytest.fixture(scope="module", params=["oldest", "newest"])
def sdk(request: pytest.FixtureRequest) -> Path | None:
    """Return a folder with another SDK, or `None` for the installed one."""
    return oldest_sdk() if request.param == "oldest" else None


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The messages by scenario; with `--write-docs` they are written at the end."""
    seen: dict[str, str] = {}
    yield seen
    if request.config.getoption("--write-docs"):
        assert seen.keys() == {scenario.name for scenario in SCENARIOS}, "run all scenarios to write the page"
        PAGE.write_text(_page(seen), encoding="utf-8")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_error_is_clear_and_the_state_is_complete(
    scenario: Scenario,
    sdk: Path | None,
    emulator: Emulator,
    make_stack: Callable[..., Stack],
    page: dict[str, str],
) -> None:
    stack = make_stack(emulator, python_path=sdk)

    result = scenario.run(emulator, stack)

    said = " ".join(result.text.split())
    for words in scenario.says:
        assert words in said, f"not said: {words}\n{result.text}"
    assert "Traceback" not in result.text
    assert emulator.key not in result.text
    assert {container.name for container in emulator.state.containers.values()} == scenario.account
    exported = stack.export()
    assert set(stack.resources()) == scenario.state
    assert "sk_stacks_" not in exported
    page[scenario.name] = _shown(result)
    emulator.faults.clear()


def test_the_page_shows_every_scenario() -> None:
    text = PAGE.read_text(encoding="utf-8")

    for scenario in SCENARIOS:
        assert f"## {scenario.title}\n" in text, "run `make docs`"
        assert scenario.program in text, "run `make docs`"


def _shown(result: Result) -> str:
    """Return the part of the output that a user reads, without parts that differ between runs."""
    text = result.text.partition("Diagnostics:\n")[2].partition("\nResources:")[0] or result.text
    text = text.partition("\nResources:")[0]
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z ", "", text)
    text = re.sub(r"created at [0-9T:.-]+Z", "created at 2026-11-24T10:00:00.000Z", text)
    text = re.sub(r"request [0-9a-f-]{6,}", "request 5f0c2a", text)
    text = re.sub(r"\((\d+(\.\d+)?)s\)", "(2s)", text)
    noise = ("update failed", "preview failed")
    lines = [line for line in text.rstrip().splitlines() if not any(words in line for words in noise)]
    blocks = re.split(r"\n\s*\n", "\n".join(lines))
    return "\n\n".join(
        block for block in blocks if not re.fullmatch(r"\s*pulumi:pulumi:Stack \(.*\):\s*", block)
    )


def _page(seen: dict[str, str]) -> str:
    parts = [
        "# What you see when something goes wrong\n",
        (
            "Written by `make docs` from runs of the real engine against the emulator; "
            "`tests/engine/test_errors.py` runs all of it on the oldest and the newest supported SDK.\n"
        ),
    ]
    for scenario in SCENARIOS:
        parts += [
            f"## {scenario.title}\n",
            f"{scenario.about}\n",
            f"```python\n{scenario.program}\n```\n",
            f"`pulumi {scenario.verb}`:\n",
            f"```text\n{seen[scenario.name]}\n```\n",
        ]
    return "\n".join(parts)
