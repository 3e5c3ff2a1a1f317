"""The terminal output during an operation, and the final screen."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack, shows_traceback
from tests.support.terminal import Drawn

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
    assert total == "2 containers: $8.00 a month (+$8.00)"
    # In a diff, every line of a row is separate, so each line names its container.
    assert set(lines) - {total} <= {"sql: $4.00 a month", "app: $4.00 a month"}


def test_an_update_shows_no_total_and_clears_the_line_of_each_finished_row(
    stack: Stack, emulator: Emulator
) -> None:
    stack.program('stacks.Container("app", template="nodejs")')

    result = stack.up(quiet_afterwards=False)

    assert emulator.calls("containers.create") == 1
    assert "1 container:" not in result.text
    assert result.status_lines()[-1] == ""
    assert "1 container: $4.00 a month (no change)" in stack.preview().text


def test_a_state_file_without_any_deployment_is_previewed(stack: Stack) -> None:
    (file,) = (stack.folder / "state").rglob("dev.json")
    checkpoint = json.loads(file.read_text(encoding="utf-8"))
    # Older versions of Pulumi wrote this state for a new stack without an update.
    del checkpoint["checkpoint"]["latest"]
    file.write_text(json.dumps(checkpoint), encoding="utf-8")
    stack.program('stacks.Container("app", template="nodejs")')

    assert "1 container: $4.00 a month (+$4.00)" in stack.preview().text


SHOP = """
db = stacks.Container("orders-db", template="postgresql")
app = stacks.Container("orders", template="nodejs")
stacks.Connection("orders-to-db", source=app, target=db, name="primary-db")
"""
OUR_ROW = re.compile(r"^ [-+~ ]  .*[├└]─ \S+dynamic/stacks:\w+ +(?P<name>\S+) +(?P<rest>.*)$")


def rows(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return the rows of this package's resources: name, and the text after it."""
    return [(found["name"], found["rest"]) for line in lines if (found := OUR_ROW.match(line))]


@pytest.mark.slow
def test_the_final_screen_is_complete(stack: Stack) -> None:
    def on_terminal(*words: str) -> Drawn:
        return stack.draw(80, *words)

    stack.program(SHOP)

    preview = on_terminal("preview")
    assert "    2 containers: $8.00 a month (+$8.00)" in preview.left
    assert {rest for _, rest in rows(preview.left)} == {"create"}

    up = on_terminal("up", "--yes", "--skip-preview")
    assert up.code == 0
    assert len(rows(up.left)) == 3
    assert all(re.fullmatch(r"created \([\d.]+s\)", rest) for _, rest in rows(up.left)), up.left

    stack.program(SHOP.replace('"postgresql"', '"postgresql", plan="premium"'))
    error = on_terminal("preview")
    assert error.code != 0
    assert [rest for _, rest in rows(error.left)] == ["1 error"]
    told = "".join(error.left)
    # The engine breaks a line at a space, which it does not draw.
    assert "use the STACKS dashboard".replace(" ", "") in told.replace(" ", "")
    assert not shows_traceback(told)

    destroy = on_terminal("destroy", "--yes", "--skip-preview")
    assert destroy.code == 0
    # At 80 columns, the engine may cut its column by one letter.
    assert all(re.fullmatch(r"deleted \([\d.]+s?\)?", rest) for _, rest in rows(destroy.left)), destroy.left


@pytest.mark.slow
def test_progress_fits_a_terminal_of_100_columns(stack: Stack, emulator: Emulator) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, boot_seconds=30, action_seconds=20)
    stack.program(SHOP)

    seen = stack.draw(100, "up", "--yes", "--skip-preview").seen

    told = {re.sub(r"^creating \(\d+s\)\.* *", "", rest) for _, rest in rows(seen)}
    whole = {"", "$4.00 a month", "connecting", "running", "waiting for others", "restarting source"}
    # The price line of `check` has the container's name, for `preview --diff`; the next line replaces it immediately.
    # The engine cuts one letter of the name when an operation takes ten seconds or more. An unlisted container is shown
    # by its id.
    shown = {
        line for line in told if not re.search(r"^created|^orders(-db)?: (\$|\w+ing?$)|^usr-|^create$", line)
    }
    assert shown - whole == {"pending, 10 to 30 s"}


def test_a_colour_of_the_engine_in_a_name_does_not_crash_it(stack: Stack) -> None:
    stack.program('stacks.Container("app", template="no<{%boom%}>de\\x1b[2J", plan="basic")')

    assert r"the template 'no<\x7b%boom%}>de\x1b[2J'" in stack.cli("preview", "--color", "always")
