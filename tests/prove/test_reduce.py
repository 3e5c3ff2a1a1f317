"""A failing case is reduced to what it needs in order to fail."""

from __future__ import annotations

from typing import Any

import pytest

from tests.prove.proof import Case
from tests.prove.reduce import reduced


def numbers(*values: int) -> list[dict[str, Any]]:
    return [{"number": value} for value in values]


@pytest.mark.parametrize("needed", [(), (0,), (19,), (7,), (3, 4), (0, 10, 19), tuple(range(20))])
def test_only_the_needed_steps_are_left(needed: tuple[int, ...]) -> None:
    def fails(case: Case) -> bool:
        return set(needed) <= {step["number"] for step in case["steps"]}

    assert reduced({"steps": numbers(*range(20))}, fails) == {"steps": numbers(*needed)}


def test_lists_inside_steps_are_reduced_and_lists_of_other_values_are_not() -> None:
    case = {
        "hosts": ["dynamic", "native"],
        "steps": [{"do": "up", "faults": numbers(*range(9))}, {"do": "refresh", "faults": numbers(1, 2)}],
    }

    def fails(case: Case) -> bool:
        return any({"number": 5} in step["faults"] for step in case["steps"])

    assert reduced(case, fails) == {
        "hosts": ["dynamic", "native"],
        "steps": [{"do": "up", "faults": numbers(5)}],
    }


def test_a_list_that_becomes_shorter_after_another_one_is_tried_again() -> None:
    def fails(case: Case) -> bool:
        # The second list needs its element as long as the first one has one, which can go if it goes alone.
        return len(case["a"]) <= len(case["b"])

    assert reduced({"a": numbers(1, 2), "b": numbers(1, 2)}, fails) == {"a": [], "b": []}


def test_the_case_itself_is_not_changed() -> None:
    case = {"steps": numbers(1, 2, 3)}
    reduced(case, lambda case: True)
    assert case == {"steps": numbers(1, 2, 3)}


def test_fewer_runs_than_a_try_of_every_subset_are_needed() -> None:
    runs = 0

    def fails(case: Case) -> bool:
        nonlocal runs
        runs += 1
        return {"number": 77} in case["steps"]

    assert reduced({"steps": numbers(*range(100))}, fails) == {"steps": numbers(77)}
    assert runs < 40
