"""The tests of a line are the tests that execute it, with the most specific tests first."""

from __future__ import annotations

import pytest

from tests.prove.contexts import Reached
from tests.prove.mutants import _chosen

LINES = {"": 0b0010, "test_wide": 0b1100, "test_near": 0b0100}
REACHED = Reached({"api/a.py": LINES}, {"": 1, "test_wide": 2, "test_near": 1})


@pytest.mark.parametrize(
    ("line", "tests"),
    [
        (3, ["test_wide"]),
        (2, ["test_near", "test_wide"]),
        # The second line of a statement.
        (4, ["test_wide"]),
        # An import executes this line.
        (1, ["test_near", "test_wide"]),
    ],
)
def test_the_tests_of_a_line_are_in_the_order_of_what_else_they_reach(line: int, tests: list[str]) -> None:
    assert REACHED.tests("api/a.py", line) == tests
    assert REACHED.tests("api/b.py", line) == []


def test_half_of_the_tests_are_near_and_the_others_of_other_files() -> None:
    tests = ["a::1", "a::2", "a::3", "b::1", "b::2", "c::1", "d::1"]

    assert _chosen(tests, 4) == ["a::1", "a::2", "b::1", "c::1"]
    assert _chosen(tests[:4], 6) == ["a::1", "a::2", "a::3", "b::1"]
