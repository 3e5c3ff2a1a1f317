"""
Which pages of the documentation may an agent read, and what explains the code of an error?
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

_PAGES: Final = ("for-agents", "errors", "limits", "cost", "gate", "troubleshooting")


def pages() -> Mapping[str, Path]:
    """Return the pages of the documentation that an agent may read, by name: those of the checkout or of the wheel."""
    checkout = Path(__file__).parents[2] / "docs"
    if (checkout / f"{_PAGES[0]}.md").is_file():
        return {name: checkout / f"{name}.md" for name in _PAGES}
    installed = [Path(str(one.locate())) for one in metadata.files("stacks-pulumi") or ()]
    return {
        one.stem: one for one in installed if one.parts[-3:-1] == ("stacks-pulumi", "docs") and one.is_file()
    }


def explanation(code: str) -> str | None:
    """Return the section of the page of errors on a code; `None` if it has none."""
    page = pages().get("errors")
    if page is None or not re.fullmatch(r"[a-z-]{1,60}", code):
        return None
    _, heading, rest = page.read_text(encoding="utf-8").partition(f"\n### `{code}`\n")
    lines = itertools.takewhile(lambda line: not line.startswith("##"), rest.splitlines())
    return "\n".join(lines).strip() if heading else None
