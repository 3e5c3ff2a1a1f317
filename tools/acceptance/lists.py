"""Lists: the path of their rows, and their pages, followed to the end whatever names the next one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urljoin, urlsplit

from tools.acceptance import reading
from tools.acceptance.api import Answer, Api

__all__ = ["Listing", "Lists"]

_MOST_PAGES: Final = 200
_NEXT: Final = re.compile(r"next|cursor|continu|after")
_MORE: Final = frozenset({"hasmore", "hasnext", "more", "hasnextpage", "truncated", "istruncated"})
_TOTALS: Final = frozenset({"total", "totalcount", "totalrows", "totalitems", "count", "totalresults"})
_LAST: Final = frozenset({"lastpage", "totalpages", "pagecount", "pages"})
_CURSORS: Final = (
    "cursor",
    "after",
    "page_token",
    "next",
    "token",
    "continuation",
    "starting_after",
    "next_cursor",
)
_PAGES: Final = ("page", "p", "page_number")
_OFFSETS: Final = ("offset", "skip", "start", "from")
_LINK: Final = re.compile(r"<([^>]*)>\s*;[^,]*\brel\s*=\s*\"?next\"?", re.IGNORECASE)


@dataclass(frozen=True)
class Listing:
    """
    A list.

    Attributes:
        answer: The answer for its first page.
        rows: The rows of all pages, each id once.
        complete: Whether there is no sign of more rows.
        why: Why it is not complete.
    """

    answer: Answer
    rows: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = True
    why: str = ""


@dataclass(frozen=True)
class _Sign:
    """A sign of more rows: where it stands, the value that asks for them, if it has one, and its form."""

    where: str
    value: Any = None
    form: str | None = None


class Lists:
    """
    Reads lists, and remembers what it finds out about them.

    Args:
        api: The API.

    Attributes:
        rows: The path of the rows of a container list.
        next: Where an answer names the next page: a path, `Link`, or `none`.
        form: What that has: `address`, `cursor`, `page`, `flag`, `total` or `last_page`.
        parameter: The parameter that asks for it.
        page_size: The most rows of one answer.
        page_code: The status code of an answer with a part of the rows.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self.rows: str | None = None
        self.next: str | None = None
        self.form: str | None = None
        self.parameter: str | None = None
        self.page_size: int | None = None
        self.page_code = 200

    def read(
        self, operation: str, *values: str, query: Mapping[str, Any] | None = None, fresh: bool = True
    ) -> Listing:
        """
        Return a list with all of its pages.

        Raises:
            OutOfTimeError: The run has no time left.
        """
        first = answer = self._api.call(operation, *values, query=query, fresh=fresh)
        found = reading.rows_in(answer.body, self.rows) if answer.ok else None
        if found is None:
            return Listing(first, complete=False, why=f"{answer.describe()}, without a list")
        path, rows = found
        if operation == "containers.list" and rows:
            self.rows = path
        seen = {_key(row): row for row in rows}
        for page in range(2, _MOST_PAGES):
            sign = self._more(answer, path, rows, len(seen))
            if sign is None:
                return Listing(first, list(seen.values()))
            further = self._turn((operation, *values), dict(query or {}), sign, page, seen)
            if further is None:
                return Listing(
                    first, list(seen.values()), complete=False, why=f"{sign.where} names more rows"
                )
            if self.page_size is None:
                self.page_size, self.next, self.form = len(rows), sign.where, sign.form
                self.page_code = answer.status
            answer, rows = further
            new = {_key(row): row for row in rows if _key(row) not in seen}
            if not new:
                return Listing(first, list(seen.values()))
            seen |= new
        return Listing(
            first, list(seen.values()), complete=False, why=f"there are more than {_MOST_PAGES} pages"
        )

    def probe(self, operation: str, *values: str) -> bool:
        """
        Ask for a second page although nothing names one; return whether there is one.

        Only such an answer shows that a list ends silently at some number of rows.
        """
        first = self._api.call(operation, *values)
        rows = first.rows(self.rows)
        if not rows or self.next is not None:
            return False
        seen = {_key(row): row for row in rows}
        turned = self._turn((operation, *values), {}, _Sign("none"), 2, seen)
        if turned is None:
            return False
        self.next, self.page_size = "none", len(rows)
        return True

    def _more(self, answer: Answer, path: str, rows: list[dict[str, Any]], seen: int) -> _Sign | None:
        """Return the sign of more rows in an answer; what names the next page first."""
        link = _LINK.search(answer.headers.get("Link") or "")
        if link:
            return _Sign("Link", link[1])
        scalars = {
            where: value
            for where, value in reading.paths(answer.body).items()
            if value not in {None, ""} and where != path
        }
        named = {where: reading.plain(where.rsplit(".", 1)[-1]) for where in scalars}
        for where, name in named.items():
            if _NEXT.search(name) and not isinstance(scalars[where], bool) and name not in _MORE:
                value = scalars[where]
                form = (
                    "page"
                    if reading.number(value) is not None
                    else "address"
                    if _is_address(value)
                    else "cursor"
                )
                return _Sign(where, value, form)
        for where, name in named.items():
            value = scalars[where]
            if name in _MORE and str(value).lower() in {"true", "1", "yes"}:
                return _Sign(where, form="flag")
            if name in _TOTALS and name != "count" and (reading.number(value) or 0) > seen:
                return _Sign(where, form="total")
            if name in _LAST and (reading.number(value) or 0) > self._page(scalars):
                return _Sign(where, form="last_page")
        if (reading.number(answer.headers.get("X-Total-Count")) or 0) > seen:
            return _Sign("X-Total-Count", form="total")
        if answer.status == 206:
            return _Sign("206")
        # Silence means more only if it did once, and the page is full.
        if self.next == "none" and rows and len(rows) == self.page_size:
            return _Sign("none")
        return None

    @staticmethod
    def _page(scalars: Mapping[str, Any]) -> float:
        pages = {"page", "currentpage", "pagenumber"}
        found = (
            value for where, value in scalars.items() if reading.plain(where.rsplit(".", 1)[-1]) in pages
        )
        return reading.number(next(found, 1)) or 1

    def _turn(
        self,
        operation: tuple[str, ...],
        query: dict[str, Any],
        sign: _Sign,
        page: int,
        seen: Mapping[str, Any],
    ) -> tuple[Answer, list[dict[str, Any]]] | None:
        """Return the next page; `None` if no request has other rows."""
        name, *values = operation
        if _is_address(sign.value):
            url = urljoin(self._api.call_url(name, *values), sign.value)
            if urlsplit(url)[:2] != urlsplit(self._api.base_url)[:2]:
                return None
            parameters = [
                it for it in parse_qs(urlsplit(url).query) if it not in {"limit", "per_page", "page_size"}
            ]
            answer = self._api.call(name, *values, url=url)
            if answer.ok and self.parameter is None and len(parameters) == 1:
                self.parameter = parameters[0]
            return (answer, answer.rows(self.rows)) if answer.ok else None
        for parameter, value in self._candidates(sign, page, len(seen)):
            answer = self._api.call(name, *values, query={**query, parameter: value})
            rows = answer.rows(self.rows)
            if any(_key(row) not in seen for row in rows):
                self.parameter = parameter
                return answer, rows
            if self.parameter is not None and answer.ok:
                return answer, rows
        return None

    def _candidates(self, sign: _Sign, page: int, rows: int) -> list[tuple[str, Any]]:
        """Return the parameters that may ask for the next page, with their values; the known one alone."""
        own = sign.where.rsplit(".", 1)[-1]
        cursors = [(it, sign.value) for it in (_CURSORS if sign.value is not None else ())]
        pages = [(it, sign.value if isinstance(sign.value, int) else page) for it in _PAGES]
        offsets = [(it, rows) for it in _OFFSETS]
        numbers = isinstance(sign.value, int) or sign.value is None
        found = (
            [*pages, *offsets, *cursors, (own, sign.value)]
            if numbers
            else [*cursors, (own, sign.value), *pages]
        )
        return [it for it in found if it[1] is not None and self.parameter in {None, it[0]}]


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and re.match(r"https?://|/|\?", value) is not None


def _key(row: Mapping[str, Any]) -> str:
    return str(reading.field(row, "id") or row)
