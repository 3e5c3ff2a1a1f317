"""
Tests do not limit durations: a test that passes on an idle machine would fail on a loaded machine.

Instead, a test advances a clock, counts calls, or waits for a condition (`tests/support/waiting.py`).
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[1]
DATES: Final = {"gmtime", "localtime", "strftime", "time"}
"""The functions of the time module for dates. The others are clocks, and `sleep`."""
EXCEPTIONS: Final = {
    "bench": "measures, and is no test",
    "engine/test_demo.py": "sends the second signal shortly after the first one, and measures nothing",
    "prove/__main__.py": "prints how long the run took",
    "prove/forks.py": "starts no test after the seconds that were asked for",
    "prove/run.py": "starts no case after the minutes that were asked for",
    "support/backends.py": "holds back what passes through a slow network, and measures nothing",
    "support/clock.py": "looks often at threads, and has a limit against a hang",
    "support/hurried/hurry.py": "lets the clock of the package run faster, and measures nothing",
    "support/waiting.py": "has a limit against a hang",
}


def clocks(source: str) -> set[str]:
    """Return the functions of the time module that a module uses, except for dates."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            # With a different name, its uses would not be found.
            found |= {f"as {alias.asname}" for alias in node.names if alias.name == "time" and alias.asname}
    return found - DATES


def excepted(path: Path) -> str | None:
    """Return the exception for a file."""
    name = path.relative_to(TESTS).as_posix()
    return next((one for one in EXCEPTIONS if name == one or name.startswith(f"{one}/")), None)


def test_no_test_measures_time() -> None:
    measuring = {path: found for path in TESTS.rglob("*.py") if (found := clocks(path.read_text("utf-8")))}

    assert {path: found for path, found in measuring.items() if excepted(path) is None} == {}
    assert {excepted(path) for path in measuring} == set(EXCEPTIONS), "an exception is no longer needed"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\nbegan = time.monotonic()", {"monotonic"}),
        ("import time\ntime.sleep(1)", {"sleep"}),
        ("from time import perf_counter", {"perf_counter"}),
        ("import time as clock\nclock.sleep(1)", {"as clock"}),
        ("import time\nnow = time.time()", set()),
        ("clock.sleep(1)", set()),
    ],
)
def test_each_use_of_a_clock_is_found(source: str, found: set[str]) -> None:
    assert clocks(source) == found
