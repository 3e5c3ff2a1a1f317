"""
Generated text in a page is between two marks, which are invisible in the rendered page.

    <!-- generated: inputs Container -->
    ...
    <!-- generated: end -->
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

__all__ = ["filled", "names", "pages", "table"]

_PART: Final = re.compile(
    r"(<!-- generated: (?!end -->)([^>]+?) -->\n).*?(<!-- generated: end -->)", re.DOTALL
)


def pages(root: Path) -> list[Path]:
    """Return every page of the checkout that has a generated part."""
    found = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [page for page in found if page.exists() and _PART.search(page.read_text(encoding="utf-8"))]


def names(text: str) -> list[str]:
    """Return the names of the generated parts of a page."""
    return [match[2] for match in _PART.finditer(text)]


def filled(text: str, generate: Callable[[str], str]) -> str:
    """Return the page with every generated part updated."""
    return _PART.sub(lambda match: f"{match[1]}\n{generate(match[2])}\n\n{match[3]}", text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    title, *lines = [f"| {' | '.join(line)} |" for line in (head, *escaped)]
    return "\n".join((title, f"|{'---|' * len(head)}", *lines))
