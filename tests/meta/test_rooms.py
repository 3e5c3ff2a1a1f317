"""The docstring of each subpackage lists its files, each with the question that the file answers."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parents[2] / "stacks_pulumi"
PARTS: Final = sorted(path.parent for path in PACKAGE.glob("*/**/__init__.py"))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part.relative_to(PACKAGE)))
def test_a_part_lists_its_files_with_the_question_that_each_answers(part: Path) -> None:
    described = ast.get_docstring(ast.parse((part / "__init__.py").read_text(encoding="utf-8"))) or ""
    listed = re.findall(r"(?m)^- `(\w+)`: \S[^?]*\?", described)
    own = {path.stem for path in part.glob("*.py")} | {
        path.parent.name for path in part.glob("*/__init__.py")
    }

    assert sorted(listed) == sorted(own - {"__init__"})
