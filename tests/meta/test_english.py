"""Plain English: the rate of marked phrases may only fall, in every part."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
CHECKER: Final = ROOT.parent / "shared/tools/plain-english"
LIMITS: Final = {
    "README.md": 0.0,
    "docs": 0.1,
    "examples": 0.0,
    "policies": 0.0,
    ".github": 0.0,
    "CHANGELOG.md": 0.0,
    "stacks_pulumi": 0.1,
    "tests": 0.4,
    "tools": 0.2,
}
"""Phrases per 1,000 words that each part may have. Lower a limit when its part is rewritten; never raise one."""
SLACK: Final = 1.0
"""How far below its limit a rate may lie before the limit has to follow."""

pytestmark = pytest.mark.skipif(not CHECKER.exists(), reason=f"the checker is not installed: {CHECKER}")


def counted(*arguments: str | Path) -> str:
    command = [sys.executable, CHECKER, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def rate(part: str) -> float:
    found = re.search(r"^(\d+) phrases in (\d+) words", counted(part), re.MULTILINE)
    assert found, f"{CHECKER} printed no rate for {part}"
    phrases, words = map(int, found.groups())
    assert words, f"{CHECKER} found no text in {part}"
    return 1000 * phrases / words


@pytest.mark.parametrize(("part", "limit"), LIMITS.items())
def test_the_rate_of_marked_phrases_only_falls(part: str, limit: float) -> None:
    found = rate(part)

    assert found <= limit, f"{part} has {found:.2f}, and may have {limit}:\n{counted('--list', part)}"
    assert found > limit - SLACK, f"{part} has only {found:.2f}: lower its limit in LIMITS"


def test_every_part_with_text_has_a_limit() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    parts = {line.partition("/")[0] for line in listed.stdout.splitlines()}

    assert parts == set(LIMITS)


def test_a_marked_phrase_is_counted(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("anew\n", encoding="utf-8")

    assert counted(page).startswith("1 phrases in 1 words")
