"""
Prepares tables for the small screen of a phone.

Each cell of a table contains the title of its column, so that the style can show a row as a paragraph. A table that a
program printed has a mark, so that the style does not break its lines.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["labelled"]

_TABLE: Final = re.compile(r"<table>\s*<thead>.*?</table>", re.DOTALL)
_TITLE: Final = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_ROW: Final = re.compile(r"<tr>.*?</tr>", re.DOTALL)
_CELL: Final = re.compile(r"<td(?=[ >])")
_TAG: Final = re.compile(r"<[^>]+>")
_PRINTED: Final = re.compile(r'<div class="language-text(?= highlight">(?:(?!</div>).)*--- +---)', re.DOTALL)
"""A block of output that contains the line below the column titles of a table."""


def labelled(page: str) -> str:
    """Return a page with a column title in each cell, without markup, and with a mark on each printed table."""
    return _PRINTED.sub(r"\g<0> printed-table", _TABLE.sub(lambda table: _of_table(table[0]), page))


def _of_table(table: str) -> str:
    titles = [_TAG.sub("", title).strip().replace('"', "&quot;") for title in _TITLE.findall(table)]

    def row(match: re.Match[str]) -> str:
        names = iter(titles)
        return _CELL.sub(lambda cell: f'{cell[0]} data-label="{next(names, "")}"', match[0])

    return _ROW.sub(row, table)
