"""What a person sees while an operation runs, and what is left on the screen."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

PROGRAM = """
db = stacks.Container("sql", template="postgresql")
late = db.id.apply(lambda id: stacks.Container("late", template="nodejs", plan="premium"))
stacks.Container("app", template="nodejs")
"""


def test_a_preview_has_the_price_of_the_program_in_one_line_that_fits(stack: Stack) -> None:
    stack.program(PROGRAM)

    result = stack.preview()

    lines = [line.strip() for line in result.text.splitlines() if "a month" in line]
    (total,) = (line for line in lines if "containers:" in line)
    assert total == "2 containers: $8.00 a month"
    # In a diff the lines of a row stand alone, so each names its container.
    assert set(lines) - {total} <= {"sql: $4.00 a month", "app: $4.00 a month"}


def test_a_container_without_a_known_price_is_counted_apart(stack: Stack) -> None:
    stack.program('stacks.Container("app", template="nodejs")\nstacks.Container("odd", template="brand-new")')

    assert "2 containers: $4.00 a month, plus 1 with an unknown price" in stack.preview().text


def test_an_update_shows_no_total_and_clears_the_line_of_each_finished_row(
    stack: Stack, emulator: Emulator
) -> None:
    stack.program('stacks.Container("app", template="nodejs")')

    result = stack.up()

    assert emulator.calls("containers.create") == 1
    assert "1 container:" not in result.text
    assert result.status_lines()[-1] == ""
