"""A part of a page that a test run writes and that a test compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PageBlock"]

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class PageBlock:
    """
    The lines of a page between two marks.

    Attributes:
        page: The name of the page.
        begin: The line before them.
        end: The line after them.
    """

    page: str
    begin: str
    end: str

    def read(self) -> str:
        """Return the lines in the page."""
        return self._text().partition(self.begin)[2].partition(self.end)[0]

    def write(self, lines: str) -> None:
        """Write the lines into the page."""
        head, _, rest = self._text().partition(self.begin)
        text = head + self.begin + lines + self.end + rest.partition(self.end)[2]
        (DOCS / self.page).write_text(text, encoding="utf-8")

    def _text(self) -> str:
        return (DOCS / self.page).read_text(encoding="utf-8")
