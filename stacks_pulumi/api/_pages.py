"""
The further pages of a list: which signs say that there are more rows, how they are requested, and when a list is whole.

The guide has no pages. So the usual signs of other APIs are known: an address, a cursor or a number of the next page, a
flag, a total, headers. A sign makes a list partial until it was followed to its end. If a sign does not say how to ask,
the usual parameters are tried, and the one that works is remembered.

Only the query of an address is used, and only if the address is that of the endpoint itself: a request never goes to
another server or another endpoint. A page that adds no new id ends the list as partial, so it is never endless.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl, urljoin, urlsplit

import msgspec

from stacks_pulumi.api._bodies import lists_of, mapped, scrub, snake, with_gap
from stacks_pulumi.api._call import CALL_ERRORS, USUAL, Call, Page
from stacks_pulumi.api.models import Listing
from stacks_pulumi.errors import (
    ApiError,
    InvalidApiKeyError,
    RateLimitedError,
    ServerError,
    UnreadableAnswerError,
)
from stacks_pulumi.platform_file import PlatformFile

T = TypeVar("T")
Query = Mapping[str, str | int]

MOST_PAGES: Final = 200
LARGEST_LIST: Final = 32 * 1024 * 1024
"""Bytes of all pages of a list, which are in memory together."""
_LONGEST_CURSOR: Final = 4096
_PARTIAL: Final = 206
_DEPTH: Final = 5
_LARGE: Final = 1000
"""The `limit` that is tried: more rows than an account has."""

_MORE: Final = frozenset(
    {
        "has_more",
        "has_next",
        "has_next_page",
        "more",
        "more_results",
        "more_available",
        "is_truncated",
        "truncated",
    }
)
_BROKEN: Final = frozenset({"partial", "is_partial", "incomplete", "is_incomplete", "degraded"})
_REMARKS: Final = frozenset({"warning", "warnings", "errors", "failures", "notice", "notices", "unreachable"})
_OUTAGE: Final = re.compile(
    r"unreachable|unavailable|not (listed|shown|included)|missing|partial|incomplete|timed? ?out",
    re.IGNORECASE,
)
UNSHOWN: Final = "the API says that the list does not show everything"
_LAST: Final = frozenset({"last", "is_last", "is_last_page", "complete", "is_complete"})
_CURSOR: Final = frozenset({"cursor", "after", "end_cursor", "marker", "continuation", "continuation_token"})
_TOTAL: Final = re.compile(
    r"(x_)?total(_(count|items|results|records|rows|elements|entries|containers|size))?"
)
_PAGES: Final = frozenset({"last_page", "total_pages", "page_count", "num_pages", "pages", "x_total_pages"})
_MEANINGS: Final = {"flag": "has_more", "total": "total", "last_page": "last_page"}
"""The names of fields that have what the platform file says, if that names no page."""
_PAGE: Final = frozenset({"page", "current_page", "page_number", "number", "page_index", "x_page"})
_SIZE: Final = frozenset({"per_page", "page_size", "limit", "x_per_page"})
_INNER: Final = ("href", "url", "uri", "link", "cursor", "token", "page", "number", "offset", "after")
_GROUPS: Final = frozenset({"meta", "pagination", "paging", "page", "page_info", "links", "cursors"})
_LINK: Final = re.compile(r"<([^<>]*)>((?:\s*;\s*[^,;]+)*)")
_REL_NEXT: Final = re.compile(r"rel\s{0,9}=\s{0,9}\"?(?:[^\";]{0,40}\s)?next\b", re.IGNORECASE)
_RANGE: Final = re.compile(r"(?!bytes)\w+\s+\d+-(\d{1,9})/(\d{1,9})(?!\d)")
_ADDRESS: Final = re.compile(r"(\w+:)?//|/|\?|\S*\?\w+=")


class Signs(msgspec.Struct):
    """
    What one answer says about further pages.

    Attributes:
        next: What names the next page, with its value: an address, a cursor, a number, or true.
        more: The flag, page number or status that says that there are more rows, in words; `None` if none does.
        is_end: Whether the answer says that no page follows.
        total: The number of all rows.
        page: The number of this page.
        size: The most rows of a page.
        unshown: Why the answer cannot show all rows, although no page has them; `None` if nothing says so.
    """

    next: list[tuple[str, Any]] = msgspec.field(default_factory=list)
    more: str | None = None
    is_end: bool = False
    total: int | None = None
    page: int | None = None
    size: int | None = None
    unshown: str | None = None


def signs_of(  # noqa: PLR0912  (one branch for each sign)
    page: Page[Any],
    *,
    count_is_rows: bool = True,
    from_zero: bool = False,
    asked: int | None = None,
    meanings: Mapping[str, str] = MappingProxyType({}),
) -> Signs:
    """
    Return what an answer says about further pages.

    Args:
        page: The answer.
        count_is_rows: Whether a `count` above the number of rows is a total.
        from_zero: Whether the first page has the number 0. A page with that number shows it, too.
        asked: The number of the page that was asked for, which counts if the answer has none.
        meanings: The usual names of fields that have another name, by their path.
    """
    signs, cursors, pages = Signs(), [], None
    headers = [(f"the header {name}", snake(name), value) for name, value in page.answer.headers.items()]
    for where, own_name, value in [*_fields(page.body), *headers]:
        name = meanings.get(where.lower(), own_name)
        number = _number(value)
        if name == "link" and isinstance(value, str):
            links = {bool(_REL_NEXT.search(rel)): link for link, rel in _LINK.findall(value)}
            signs.next += [("Link", links[True])] if True in links else []
            signs.is_end = signs.is_end or (bool(links) and True not in links)
        elif name.removeprefix("x_").startswith("next"):
            signs.next += [(where, value)] if _is_given(value) else []
            signs.is_end = signs.is_end or not _is_given(value)
        elif name in _CURSOR and _is_given(value):
            cursors.append((where, value))
        elif name in _MORE or name in _LAST:
            is_true = value in (True, "true", 1)
            if is_true == (name in _MORE) and isinstance(value, (bool, str, int)):
                signs.more = f"{where} says that there are more"
            elif isinstance(value, bool):
                signs.is_end = True
        elif value and (name in _BROKEN or (name in _REMARKS and _OUTAGE.search(str(value)))):
            signs.unshown = f"{UNSHOWN} ({where}: {value})"
        elif name == "content_range" and (given := _RANGE.match(str(value))):
            signs.total = int(given[2])
            signs.is_end = signs.is_end or int(given[1]) + 1 >= int(given[2])
        elif number is None:
            continue
        elif name in {"remaining", "remaining_count"} and number:
            signs.more = f"{where} says that {number} more follow"
        elif _TOTAL.fullmatch(name) or (name == "count" and count_is_rows and number > page.rows):
            signs.total = max(signs.total or 0, number)
        elif name in _PAGES:
            pages = number
        elif name in _PAGE:
            signs.page = number
        elif name in _SIZE:
            signs.size = number
    if pages is not None:
        signs.page = asked if signs.page is None else signs.page
        current = 1 if signs.page is None else signs.page
        follow = pages - current - (1 if from_zero or current == 0 else 0)
        signs.is_end = signs.is_end or (signs.page is not None and follow <= 0)
        signs.more = signs.more or (f"this is page {current} of {pages}" if follow > 0 else None)
    if page.answer.status == _PARTIAL and not signs.is_end:
        signs.more = signs.more or "its status is 206 (partial content)"
    # A cursor whose name does not say `next` may be that of this page, so it counts only if nothing else is there.
    signs.next = signs.next or ([] if signs.is_end else cursors)
    return signs


def _is_given(value: Any) -> bool:
    return bool(value) and value not in ("null", "false", "0")


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _fields(body: Any, path: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, str, Any]]:
    """Return path, name in snake_case and value of each field that is not in a row."""
    if not isinstance(body, Mapping) or not depth:
        return
    named = {str(name): snake(str(name)).strip("_") for name in body}
    own = snake(path.rpartition(".")[2]).strip("_")
    if (
        path
        and not _GROUPS & {own, *named.values()}
        and all(isinstance(row, Mapping) for row in body.values())
    ):
        return  # these are rows by name
    for name, value in body.items():
        where = f"{path}.{name}" if path else str(name)
        yield where, named[str(name)], value
        yield from _fields(value, where, depth - 1)


class Pages:
    """
    The pages of a client's lists, and what was learned about them.

    Args:
        platform: The facts that the user gave about the platform.
        base_url: The address of the API.
    """

    def __init__(self, platform: PlatformFile, base_url: str) -> None:
        self.platform = platform
        self.base_url = base_url
        self.ways: dict[str, str | None] = {}
        """The parameter that asks for a page that no answer names, by endpoint; `None` if no usual one works."""
        self.cursors: dict[str, str] = {}
        """The parameter that takes what an answer names, by endpoint."""
        self.sizes: dict[str, int] = {}
        """The rows of a page, by endpoint, if answers do not name the next one."""
        self.unpaged: dict[str, int] = {}
        """The most rows, by endpoint, for which no usual parameter got another page: so many rows are no page."""
        self.first_numbers: dict[str, int] = {}
        """The number of the first page, by endpoint, if pages have numbers."""

    def whole(
        self, call: Call[T], first: Page[T], read: Callable[[Call[T]], Page[T]], *, may_be_page: bool
    ) -> T:
        """
        Return the rows of all pages. If a page is missing, the lists have a gap.

        Args:
            call: The request for the first page.
            first: The first page.
            read: Requests a page.
            may_be_page: Whether the first page has a number of rows that may be the size of a page.

        Raises:
            StacksError: A page that the answer names could not be read, and another attempt may help.
        """
        return _Walk(self, call, first, read).whole(may_be_page=may_be_page)


class _Walk(Generic[T]):
    """The pages of one list, while they are read."""

    def __init__(
        self, pages: Pages, call: Call[T], first: Page[T], read: Callable[[Call[T]], Page[T]]
    ) -> None:
        self._pages = pages
        self._call = call
        self._read = read
        self._name = call.endpoint.name
        self._facts = pages.platform.facts.lists
        self._taken = [first]
        self._ids = first.ids
        self._asked = [dict(call.query)]
        self._page: int | None = None
        self._totals: list[int] = []
        self._is_ignored = False
        self._unshown: str | None = None

    def whole(self, *, may_be_page: bool) -> T:
        """Return the rows of all pages."""
        while True:
            signs = self._signs()
            why, queries, is_named = self._next(signs)
            if why is None:
                break
            if len(self._taken) >= MOST_PAGES:
                return self._result(f"it has more than {MOST_PAGES} pages")
            if sum(len(page.answer.body) for page in self._taken) > LARGEST_LIST:
                return self._result(f"its pages are longer than {LARGEST_LIST} bytes together")
            if not self._advance(queries, is_named=is_named, may_be_empty=is_named or self._is_full(signs)):
                return self._result(why)
        if self._unshown is not None:
            return self._result(self._unshown)
        if len(self._taken) == 1 and may_be_page and not signs.is_end and not self._is_unpaged:
            if self._call.completeness == "if_asked":
                doubtful: T = with_gap(self._taken[0].value, functools.cache(self._late))
                return doubtful
            is_taken, gap = self._try()
            return self.whole(may_be_page=False) if is_taken else self._result(gap)
        shrunk = self._totals and min(self._totals) < self._totals[0]
        return self._result("the list became shorter while its pages were read" if shrunk else None)

    @property
    def _is_unpaged(self) -> bool:
        """Whether the first page was no page when it had that many rows, or at least the rows of a usual page."""
        rows = self._taken[0].rows
        enough = rows if self._call.completeness == "certain" else min(rows, *USUAL)
        return self._pages.unpaged.get(self._name, 0) >= enough

    def _late(self) -> str | None:
        """Find out whether a list with a round number of rows is whole; return why it is not."""
        self._call = msgspec.structs.replace(self._call, pulse=None)
        rows, known = self._taken[0].rows, len(self._ids)
        try:
            _, gap = self._try()
        except CALL_ERRORS as error:
            return f"{rows} rows may be one page of several, and that could not be found out: {error.message}"
        return f"{rows} rows came, and there are more" if len(self._ids) > known else gap

    def _try(self) -> tuple[bool, str | None]:
        """
        Find out whether a list without any sign has a further page.

        Returns:
            Whether a page was taken, which has no rows if the list is whole; otherwise why the list may be partial.
        """
        page, offset, *large = self._guesses()
        if self._advance([page, offset], is_named=False, may_be_empty=True):
            return True, None
        is_ignored = self._is_ignored
        # If the request had a limit, or one row came, an answer with one row says nothing.
        rows = self._taken[0].rows
        asks = bool(large) and rows > 1
        one = self._request({**self._call.query, "limit": 1}, is_named=False) if asks else None
        if one is not None and one.rows < rows:
            if self._advance(large, is_named=False, may_be_empty=False):
                return True, None
            is_ignored = self._is_ignored
        if one is not None and one.rows < rows and rows in USUAL:
            advice = self._pages.platform.advice("lists: {page_size: 100}")
            return (
                False,
                f"{rows} rows came, which may be the most that the API returns; if it returns more, {advice}",
            )
        if is_ignored:
            self._pages.unpaged[self._name] = max(rows, self._pages.unpaged.get(self._name, 0))
        return False, None

    def _result(self, gap: str | None) -> T:
        value = self._taken[0].value
        if len(self._taken) > 1:
            value = _joined([page.value for page in self._taken])
        known = gap is None or any(rows.gap is not None for rows in lists_of(value))
        return value if known else with_gap(value, scrub(gap or ""))

    def _signs(self) -> Signs:
        page, facts = self._taken[-1], self._facts
        from_zero = self._pages.first_numbers.get(self._name) == 0
        meaning = _MEANINGS.get(facts.next_form or "")
        signs = signs_of(
            page,
            count_is_rows=facts.count_is_rows is not False,
            from_zero=from_zero,
            asked=self._page,
            meanings={f"{before}{facts.next}".lower(): meaning for before in ("", "the header ")}
            if meaning
            else {},
        )
        self._unshown = self._unshown or signs.unshown
        if signs.page in {0, 1} and len(self._taken) == 1:
            self._pages.first_numbers[self._name] = signs.page
        if facts.next == "Link":
            signs.next = [entry for entry in signs.next if entry[0] == "Link"]
        elif facts.next == "none" or meaning:
            signs.next = []
        elif facts.next is not None:
            value = page.body
            for step in facts.next.split("."):
                value = value.get(step) if isinstance(value, Mapping) else None
            signs.next = [(facts.next, value)] if _is_given(value) else []
            signs.is_end = signs.is_end or not signs.next
        signs.size = facts.page_size or signs.size
        signs.is_end = signs.is_end or (signs.size is not None and page.rows < signs.size)
        self._totals += [] if signs.total is None else [signs.total]
        return signs

    def _next(self, signs: Signs) -> tuple[str | None, list[Query], bool]:
        """
        Return the next step.

        Returns:
            Why there are more rows (`None` without a sign), the queries that may ask for them, in order, and
            whether the answer named them.
        """
        last = self._taken[-1]
        for where, value in signs.next:
            if value is not True:
                queries, problem = self._named(where, value)
                return (
                    problem or f"{where} names another page, and no request got it{self._advice}",
                    queries,
                    True,
                )
        why = signs.more or (f"{signs.next[0][0]} says that there are more" if signs.next else None)
        announced = signs.total is not None and signs.total > len(self._ids)
        if why is not None:
            why = f"{why}, and no request got them{self._advice}"
        elif announced and all(page.is_readable for page in self._taken):
            advice = self._pages.platform.advice("lists: {count_is_rows: false}")
            why = f"{signs.total} rows were announced and {len(self._ids)} came"
            why = f"{why}; if `count` is something else, {advice}" if self._only_count(signs) else why
        elif last.rows and self._is_full(signs):
            why = f"{last.rows} rows are a full page, and no request got another{self._advice}"
        return why, [] if why is None else self._guesses(signs), False

    def _only_count(self, signs: Signs) -> bool:
        return signs_of(self._taken[-1], count_is_rows=False).total != signs.total

    def _is_full(self, signs: Signs) -> bool:
        """Whether a page has as many rows as a page can have, so that another one may follow."""
        sizes = {signs.size, self._call.query.get("limit"), self._pages.sizes.get(self._name)}
        return not signs.is_end and self._taken[-1].rows in sizes

    @property
    def _advice(self) -> str:
        advice = self._pages.platform.advice("lists: {parameter: page}")
        return "" if self._facts.parameter else f"; if you know the parameter, {advice}"

    def _named(self, where: str, value: Any) -> tuple[list[Query], str | None]:
        """Return the queries for what names the next page, and what is wrong if it names none that is requested."""
        if isinstance(value, Mapping):
            inner = {snake(str(name)).strip("_"): entry for name, entry in value.items()}
            name = next((name for name in _INNER if _is_given(inner.get(name))), "")
            where, value = f"{where}.{name}", inner.get(name)
        if isinstance(value, str) and (where == "Link" or _ADDRESS.match(value)):
            return self._of_address(where, value)
        if not isinstance(value, (str, int)) or len(str(value)) > _LONGEST_CURSOR:
            return [], f"{where} names no page"
        key = where.removeprefix("the header ").rpartition(".")[2]
        return [{**self._call.query, name: value} for name in self._parameters(key, value)], None

    def _of_address(self, where: str, address: str) -> tuple[list[Query], str | None]:
        own = urlsplit(self._pages.base_url + self._call.path)
        try:
            to = urlsplit(urljoin(own.geturl(), address))
            is_ours = (to.scheme, to.hostname, to.port) == (own.scheme, own.hostname, own.port)
        except ValueError:
            return [], f"{where} is not an address"
        if not is_ours or to.username is not None:
            return [], f"{where} names another server, which does not get the API key"
        if to.path.rstrip("/") not in {own.path, self._call.path}:
            return [], f"{where} names another path"
        return [{**self._call.query, **dict(parse_qsl(to.query, keep_blank_values=True))}], None

    def _parameters(self, key: str, value: str | int) -> list[str]:
        """Return the parameters that may take a cursor or a number, the most probable first."""
        known = self._facts.parameter or self._pages.cursors.get(self._name)
        if known:
            return [known]
        plain = re.sub(r"^(x-)?next[_-]?", "", key, flags=re.IGNORECASE)
        number = _number(value)
        names = [plain[:1].lower() + plain[1:]] if plain else []
        if number is not None:
            names += ["offset", "page"] if number == len(self._ids) else ["page", "offset"]
        names += ["cursor", "page_token", "after", "starting_after", key]
        return list(dict.fromkeys(names))

    def _guesses(self, signs: Signs | None = None) -> list[Query]:
        """Return the usual queries for the next page, for an answer that has no address, cursor or number."""
        known = self._facts.parameter or (None if signs is None else self._pages.ways.get(self._name, ""))
        if signs is not None and (known is None or (not known and len(self._taken) > 1)):
            return []
        told = None if signs is None else signs.page
        before = told if told is not None else self._page
        number = (self._pages.first_numbers.get(self._name, 1) if before is None else before) + 1
        usual = {"page": number, "offset": len(self._ids), "limit": _LARGE}
        if known and signs is not None:
            usual = {known: usual.get(known, number if "page" in known else len(self._ids))}
        return [
            {**self._call.query, name: value} for name, value in usual.items() if name not in self._call.query
        ]

    def _advance(self, queries: list[Query], *, is_named: bool, may_be_empty: bool) -> bool:
        """
        Request the next page, and take it.

        Args:
            queries: What may ask for it, in order.
            is_named: Whether the answer before named the page.
            may_be_empty: Whether a page without rows is the end of the list.

        Returns:
            Whether a page was taken.
        """
        self._is_ignored = bool(queries)
        for query in queries:
            if dict(query) in self._asked:
                continue  # the answer names a page that was read, and would do so for ever
            page = self._request(query, is_named=is_named)
            if page is not None and self._has_grown(query, page):
                self._taken, self._ids = [page], page.ids
            if self._counts_from_zero(query, page):
                query = {**query, "page": 1}  # noqa: PLW2901  (the number of the second page)
                page = self._request(query, is_named=is_named)
            if page is not None and (not page.ids <= self._ids or (may_be_empty and not page.rows)):
                self._page = _number(query.get("page"))
                self._learn(query, page, is_named=is_named)
                self._taken.append(page)
                self._ids |= page.ids
                self._asked.append(dict(query))
                return True
            self._is_ignored = self._is_ignored and page is not None and bool(page.rows)
        if self._is_ignored and not is_named:
            self._pages.ways[self._name] = None
        return False

    def _has_grown(self, query: Query, page: Page[T]) -> bool:
        """Whether the API ignored the parameter, and the whole list has a row more than a moment ago."""
        is_next = self._added(query) in (["page"], ["offset"])
        return is_next and len(self._taken) == 1 and bool(self._ids) and self._ids < page.ids

    def _counts_from_zero(self, query: Query, page: Page[T] | None) -> bool:
        """Whether pages are counted from 0. A page with the number 2 is the third one then, or does not exist."""
        known = self._pages.first_numbers
        if (
            self._added(query) != ["page"]
            or query["page"] != 2
            or len(self._taken) > 1
            or self._name in known
        ):
            return False
        if page is not None and page.rows and page.ids <= self._ids:
            return False  # the API ignores the number
        one = self._request({**query, "page": 1}, is_named=False)
        if one is None:
            return False
        known[self._name] = 0 if one.ids and not one.ids & self._ids else 1
        return known[self._name] == 0

    def _added(self, query: Query) -> list[str]:
        """Return the parameters that the first request did not have."""
        return [name for name in query if name not in self._call.query]

    def _learn(self, query: Query, page: Page[T], *, is_named: bool) -> None:
        """Remember the parameter that worked."""
        added = self._added(query)
        if len(added) == 1 and is_named:
            self._pages.cursors.setdefault(self._name, added[0])
        elif len(added) == 1:
            self._pages.ways[self._name] = added[0]
            if page.rows:
                self._pages.sizes.setdefault(self._name, self._taken[0].rows)

    def _request(self, query: Query, *, is_named: bool) -> Page[T] | None:
        """Return a page; `None` if the API refuses it."""
        try:
            return self._read(msgspec.structs.replace(self._call, query=query))
        except (InvalidApiKeyError, RateLimitedError):
            raise
        except (ServerError, UnreadableAnswerError):
            if is_named:
                raise
            return None  # the API may not know the parameter
        except ApiError:
            return None


def _joined(values: list[T]) -> T:
    """Return the lists of all pages as one. A row that is on several pages is there once."""

    def made(rows: Listing[Any], name: str) -> Listing[Any]:
        parts: list[Listing[Any]] = [rows, *(_part(value, name) for value in values[1:])]
        known = {row.id: row for part in reversed(parts) for row in reversed(part)}
        order = dict.fromkeys(row.id for part in parts for row in part)
        gap = next((part.gap for part in parts if part.gap is not None), None)
        damaged = frozenset[Any]().union(*(part.damaged for part in parts))
        return Listing([known[id] for id in order], gap=gap, damaged=damaged)

    whole: T = mapped(values[0], made)
    return whole


def _part(value: Any, name: str) -> Any:
    return getattr(value, name) if name else value
