"""Each story of the engine that a run with grants leaves out has a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def reasons() -> Iterator[tuple[str, list[ast.expr]]]:
    """Yield the arguments of each marker of a story that no grant covers, with its file."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "beyond_a_grant"
            ):
                yield path.name, node.args


def test_a_story_that_no_grant_covers_has_a_reason() -> None:
    found = [*reasons()]

    assert found
    for file, arguments in found:
        (reason,) = arguments
        assert isinstance(reason, ast.Constant), file
        assert len(str(reason.value).split()) >= 5, file
