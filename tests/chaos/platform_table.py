"""The readings of the guide as a block of docs/platforms.md: the run writes it, and a test compares it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.chaos.platform_life import Lived
from tests.support.platforms import NEED_A_FILE, READINGS

__all__ = ["PAGE", "All", "read", "render", "write"]

All = Mapping[tuple[str, bool], Lived]
"""What happened, by reading and by whether there was a platform file."""

PAGE = Path(__file__).parents[2] / "docs" / "platforms.md"

_BEGIN = "<!-- readings: written by `pytest tests/host/test_platforms.py --write-docs` -->\n"
_END = "<!-- end of the readings -->\n"
_CODE = re.compile(r"\[([a-z-]+)\]$")


def render(lived: All) -> str:
    """Return the block."""
    return "".join([_BEGIN, *_rows(lived), _END])


def read() -> str:
    """Return the block that is in the page."""
    text = PAGE.read_text(encoding="utf-8")
    return _BEGIN + text.partition(_BEGIN)[2].partition(_END)[0] + _END


def write(lived: All) -> None:
    """Write the block between its two marks in the page."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(_BEGIN)
    PAGE.write_text(head + render(lived) + rest.partition(_END)[2], encoding="utf-8")


def _rows(lived: All) -> Iterator[str]:
    yield "| reading | in a platform file | result |\n|---|---|---|\n"
    for name, facts in READINGS.items():
        known = {part: it for part, it in facts.as_json().items() if part != "version"}
        shown = json.dumps(known, ensure_ascii=False).replace("|", "\\|")
        result = _result(lived[name, False])
        if name in NEED_A_FILE:
            result = f"{result}; with the file: {_result(lived[name, True])}"
        yield f"| {name} | `{shown}` | {result} |\n"


def _result(life: Lived) -> str:
    if life.works:
        return "works"
    codes = {found[1] for message in life.messages if (found := _CODE.search(message))}
    return f"an error says what is missing: {', '.join(f'`{code}`' for code in sorted(codes))}"
