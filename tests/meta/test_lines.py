"""The package and the tests do not grow."""

from __future__ import annotations

from typing import Final

import pytest

from tools.lines import code_lines, of, parts

LIMITS: Final = {"stacks_pulumi": 35_298, "tests": 57_636}
"""The most lines of code. A commit that raises a number states the reason; a commit that removes code lowers it."""


@pytest.fixture(scope="module")
def lines() -> dict[str, int]:
    counted = parts()
    return {folder: of(folder, counted) for folder in LIMITS}


@pytest.mark.parametrize("folder", LIMITS)
def test_the_lines_of_code_stay_below_their_limit(folder: str, lines: dict[str, int]) -> None:
    assert 0 < lines[folder] <= LIMITS[folder], "make lines prints the lines of each part"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("", 0),
        ("# comment\n\n", 0),
        ('"""Text\n\nof a module."""\nx = 1  # comment\n', 1),
        ('def f():\n    """Text."""\n    return """a\n\n    # b\n    """\n', 5),
        ("x = [\n    # comment\n    1,\n\n]\n", 3),
    ],
)
def test_code_is_counted_without_text(source: str, lines: int) -> None:
    assert code_lines(source) == lines
