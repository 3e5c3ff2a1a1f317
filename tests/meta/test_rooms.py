"""How much of the package a reader has to open to follow one operation, and where each question is answered."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "stacks_pulumi"

LIMITS: Final = {"check": 8, "create": 26, "refresh": 20, "list": 11, "policy": 11}
"""The files that an operation may pass through. `python tools/jumps.py` lists them."""

BESIDE: Final = {"agents": 9, "gate": 24}
"""The files of what no other part of the package imports: a reader of the provider opens none of them."""

COUNT: Final = """
import json
from tools.jumps import traces

ways = traces()
sides = {"list": "emulator/", **dict.fromkeys(("check", "create", "refresh", "policy"))}
files = {
    name: ways[name].of(side) if side else ways[name].without("emulator/") for name, side in sides.items()
}
print(json.dumps(files))
"""

PARTS: Final = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


@pytest.fixture(scope="module")
def files() -> dict[str, list[str]]:
    """Return the files on the way of each operation, counted in a process of its own, whose modules are fresh."""
    counted = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    result: dict[str, list[str]] = json.loads(counted)
    return result


@pytest.mark.parametrize("operation", LIMITS)
def test_an_operation_passes_through_few_files(operation: str, files: dict[str, list[str]]) -> None:
    assert 0 < len(files[operation]) <= LIMITS[operation], files[operation]


def test_the_package_has_few_files_and_none_is_long() -> None:
    lengths = {
        str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }

    beside = {part: [name for name in lengths if name.startswith(f"{part}/")] for part in BESIDE}
    assert {part: len(names) for part, names in beside.items() if len(names) > BESIDE[part]} == {}
    assert len(lengths) - sum(map(len, beside.values())) <= 130
    assert {name: length for name, length in lengths.items() if length > 600} == {}


@pytest.mark.parametrize("part", PARTS[1:], ids=lambda part: str(part.relative_to(PACKAGE)))
def test_a_part_lists_its_files_with_the_question_that_each_answers(part: Path) -> None:
    described = ast.get_docstring(ast.parse((part / "__init__.py").read_text(encoding="utf-8"))) or ""
    listed = re.findall(r"(?m)^- `(\w+)`: \S[^?]*\?", described)
    own = {path.stem for path in part.glob("*.py")} | {
        path.parent.name for path in part.glob("*/__init__.py")
    }

    assert sorted(listed) == sorted(own - {"__init__"})
