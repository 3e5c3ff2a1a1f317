"""Finds the files that a page loads from other machines."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

__all__ = ["loaded_from_elsewhere"]

_LOADING: Final = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_ONLY_NAMED: Final = {"canonical", "next", "prev"}
"""Kinds of `<link>` that refer to a page and load nothing."""


def loaded_from_elsewhere(page: str) -> list[str]:
    """Return the addresses in the order of the page."""
    parser = _Parser()
    parser.feed(page)
    return parser.found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get(_LOADING.get(tag, "")) or ""
        if address.startswith(("https://", "http://", "//")) and given.get("rel") not in _ONLY_NAMED:
            self.found.append(address)
