"""Tables on a phone: each cell says which column it is of, so that the style can show a row as a paragraph."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["labelled"]

_TABLE: Final = re.compile(r"<table>\s*<thead>.*?</table>", re.DOTALL)
_TITLE: Final = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_ROW: Final = re.compile(r"<tr>.*?</tr>", re.DOTALL)
_CELL: Final = re.compile(r"<td(?=[ >])")
_TAG: Final = re.compile(r"<[^>]+>")


def labelled(page: str) -> str:
    """Return a page whose cells have the title of their column, without its markup."""
    return _TABLE.sub(lambda table: _of_table(table[0]), page)


def _of_table(table: str) -> str:
    titles = [_TAG.sub("", title).strip().replace('"', "&quot;") for title in _TITLE.findall(table)]

    def row(match: re.Match[str]) -> str:
        names = iter(titles)
        return _CELL.sub(lambda cell: f'{cell[0]} data-label="{next(names, "")}"', match[0])

    return _ROW.sub(row, table)
