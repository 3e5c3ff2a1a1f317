"""The readings of the guide as a block of docs/platforms.md: the run writes it, and a test compares it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from tests.chaos.platform_life import Lived
from tests.support.page_block import PageBlock
from tests.support.platforms import NEED_A_FILE, READINGS

__all__ = ["BLOCK", "All", "codes", "render"]

All = Mapping[tuple[str, bool], Lived]
"""What happened, by reading and by whether there was a platform file."""

BLOCK = PageBlock(
    "platforms.md",
    "<!-- readings: written by `pytest tests/host/test_platforms.py --write-docs` -->\n",
    "<!-- end of the readings -->\n",
)
_CODE = re.compile(r"\[([a-z-]+)\]$")


def render(lived: All) -> str:
    """Return the block."""
    return "".join(_rows(lived))


def _rows(lived: All) -> Iterator[str]:
    yield "| reading | in a platform file | result |\n|---|---|---|\n"
    for name, facts in READINGS.items():
        known = {part: it for part, it in facts.as_json().items() if part != "version"}
        shown = json.dumps(known, ensure_ascii=False).replace("|", "\\|")
        result = _result(lived[name, False])
        if name in NEED_A_FILE:
            result = f"{result}; with the file: {_result(lived[name, True])}"
        yield f"| {name} | `{shown}` | {result} |\n"


def codes(life: Lived) -> list[str]:
    """Return the codes of the errors."""
    return sorted({found[1] for message in life.messages if (found := _CODE.search(message))})


def _result(life: Lived) -> str:
    return "works" if life.works else f"refused by name: {', '.join(f'`{code}`' for code in codes(life))}"
