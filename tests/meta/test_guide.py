"""Pages and docstrings that cite the API guide link to it."""

from __future__ import annotations

import re
from pathlib import Path

import stacks_pulumi

ROOT = Path(__file__).parents[2]
GUIDE = "https://docs.stackshosting.cloud"


def test_each_page_that_names_the_guide_links_it() -> None:
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("policies/*/*.md"),
        *ROOT.glob("examples/*/*.md"),
    ]
    cited = [
        page
        for page in pages
        if re.search(r"\bthe (API )?guide\b|\bguide,", page.read_text(encoding="utf-8"))
    ]

    assert cited
    # Changelog entries are records of earlier versions.
    unlinked = [page for page in cited if GUIDE not in page.read_text(encoding="utf-8")]
    assert [
        str(page.relative_to(ROOT))
        for page in unlinked
        if page.name != "CHANGELOG.md" and "decisions" not in page.parts
    ] == []


def test_the_package_says_what_a_citation_in_a_docstring_names() -> None:
    assert f"names a section of the API guide, {GUIDE}" in (stacks_pulumi.__doc__ or "")
