"""
Requests the remaining pages of a list, and decides whether the list is complete.

The guide does not mention pages. The client follows the address of a next page (`next`, or the header `Link`) if the
address belongs to the same endpoint at the same server. It uses only the query of this address, so no request goes to a
different server or path. Any other sign that more rows exist makes the list incomplete: the listed rows are valid, and
all other rows are unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urljoin, urlsplit

import msgspec

from stacks_pulumi.api._bodies import lists_of, mapped, scrub, snake, with_gap
from stacks_pulumi.api._call import Call, Page
from stacks_pulumi.api.models import Listing
from stacks_pulumi.errors import ApiError, InvalidApiKeyError, RateLimitedError, ServerError

T = TypeVar("T")

MOST_PAGES: Final = 200
LARGEST_LIST: Final = 32 * 1024 * 1024
"""The maximum total size of a list's pages in bytes. It is limited because all pages are in memory at the same time."""
UNSHOWN: Final = "the API reports that the list does not show everything"

_PARTIAL: Final = 206
_DEPTH: Final = 5
_MORE: Final = re.compile(
    r"(has_)?more(_results|_available)?|has_next(_page)?|(is_)?truncated|remaining(_count)?"
)
_LAST: Final = re.compile(r"(is_)?last(_page)?|(is_)?complete")
_CURSOR: Final = re.compile(r"cursor|after|end_cursor|marker|continuation(_token)?")
_BROKEN: Final = re.compile(r"(is_)?(partial|incomplete)|degraded")
_REMARK: Final = re.compile(r"warnings?|errors|failures|notices?|unreachable")
_OUTAGE: Final = re.compile(
    r"unreachable|unavailable|not (listed|shown|included)|missing|partial|incomplete|timed? ?out",
    re.IGNORECASE,
)
_TOTAL: Final = re.compile(
    r"count|total(_(count|items|results|records|rows|elements|entries|containers|size))?"
)
_PAGES: Final = re.compile(r"last_page|total_pages|page_count|num_pages|pages")
_SIZE: Final = re.compile(r"per_page|page_size|limit")
_ADDRESS: Final = re.compile(r"(https?:)?//|/|\?", re.IGNORECASE)
_LINK: Final = re.compile(r"<([^<>]*)>((?:\s*;\s*[^,;]+)*)")
_REL_NEXT: Final = re.compile(r"rel\s{0,9}=\s{0,9}\"?(?:[^\";]{0,40}\s)?next\b", re.IGNORECASE)
_RANGE: Final = re.compile(r"(?!bytes)\w+\s+\d+-(\d{1,9})/(\d{1,9})(?!\d)")


def is_total(name: str) -> bool:
    """Return whether a field with this name states the total number of rows."""
    return _TOTAL.fullmatch(snake(name).strip("_")) is not None


class Signs(msgspec.Struct):
    """
    What one response shows about further rows.

    Attributes:
        address: The address of the next page.
        more: The sign that more rows exist than the response contains; `None` if there is none.
        maybe: The sign that more rows may exist. It is ignored if the response is the last page.
        is_end: Whether the response shows that it is the last page.
        total: The total number of rows; 0 if it is not stated.
        pages: The total number of pages; 1 if it is not stated.
        unshown: The sign that some rows are on no page; `None` if there is none.
    """

    address: str | None = None
    more: str | None = None
    maybe: str | None = None
    is_end: bool = False
    total: int = 0
    pages: int = 1
    unshown: str | None = None


def signs_of(page: Page[Any]) -> Signs:
    """Return what a response shows about further rows."""
    signs = Signs(maybe="its status is 206 (partial content)" if page.answer.status == _PARTIAL else None)
    headers = [
        (f"the header {name}", name.replace("-", "_"), value) for name, value in page.answer.headers.items()
    ]
    for where, name, value in [*_fields(page.body), *headers]:
        _note(signs, page.rows, where, name.removeprefix("x_"), value)
    return signs


def _note(signs: Signs, rows: int, where: str, name: str, value: Any) -> None:
    """Add to `signs` what one field or header shows."""
    number, is_given = _number(value), _is_given(value)
    says_more = f"{where} shows that there are more rows"
    if name == "link" and isinstance(value, str):
        address = next((link for link, rel in _LINK.findall(value) if _REL_NEXT.search(rel)), None)
        signs.address, signs.is_end = address or signs.address, signs.is_end or address is None
    elif name.startswith("next") and (address := _address_in(value)) is not None:
        signs.address = address
    elif name.startswith("next") or _MORE.fullmatch(name):
        signs.more, signs.is_end = says_more if is_given else signs.more, signs.is_end or not is_given
    elif _LAST.fullmatch(name) and isinstance(value, bool):
        signs.more, signs.is_end = signs.more if value else says_more, signs.is_end or value
    elif is_given and (_BROKEN.fullmatch(name) or (_REMARK.fullmatch(name) and _OUTAGE.search(str(value)))):
        signs.unshown = f"{UNSHOWN} ({where}: {value})"
    elif _CURSOR.fullmatch(name) and is_given:
        signs.maybe = says_more
    elif name == "content_range" and (range_ := _RANGE.match(str(value))):
        signs.total = int(range_[2])
        signs.is_end = signs.is_end or int(range_[1]) + 1 >= signs.total
    elif number is None:
        return
    elif is_total(name):
        signs.total = max(signs.total, number)
    elif _PAGES.fullmatch(name):
        signs.pages = max(signs.pages, number)
    elif rows == number and _SIZE.fullmatch(name):
        signs.maybe = f"{rows} rows are a full page"


def _address_in(value: Any) -> str | None:
    """Return the next page's address from a value; `None` if the value is a cursor, a number, a flag or empty."""
    if isinstance(value, Mapping):
        value = value.get("href", value.get("url"))
    return value if isinstance(value, str) and _ADDRESS.match(value) else None


def _is_given(value: Any) -> bool:
    return bool(value) and value not in ("null", "false", "0")


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _fields(body: Any, path: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, str, Any]]:
    """Return the path, the snake_case name and the value of each field that is not part of a row."""
    if not isinstance(body, Mapping) or not depth or "id" in body:
        return
    for name, value in body.items():
        where = f"{path}.{name}" if path else str(name)
        yield where, snake(str(name)).strip("_"), value
        yield from _fields(value, where, depth - 1)


def whole(call: Call[T], first: Page[T], read: Callable[[Call[T]], Page[T]], base_url: str) -> T:
    """
    Return the rows of all pages. The lists are marked as incomplete if rows may be missing.

    Raises:
        StacksError: The next page could not be requested, but another attempt may succeed.
    """
    values, ids, page, size, total = [first.value], first.ids, first, len(first.answer.body), 0
    while True:
        signs = signs_of(page)
        total = max(total, signs.total)
        is_end = signs.is_end or 0 < total <= len(ids)
        gap = signs.unshown or signs.more or (None if is_end else signs.maybe)
        if gap is None and signs.pages > len(values):
            gap = f"it has {signs.pages} pages, but {len(values)} arrived"
        if signs.address is None:
            break
        query, gap = _query_of(signs.address, call, base_url)
        if query is None:
            break
        if len(values) >= MOST_PAGES or size > LARGEST_LIST:
            gap = f"it has more than {MOST_PAGES} pages, or more than {LARGEST_LIST} bytes"
            break
        try:
            page = read(msgspec.structs.replace(call, query=query))
        except (InvalidApiKeyError, RateLimitedError, ServerError):
            raise
        except ApiError as error:
            gap = f"its next page was refused ({error.status})"
            break
        if page.rows and page.ids <= ids:
            gap = "its next page repeats the same rows"
            break
        values.append(page.value)
        ids = ids | page.ids
        size += len(page.answer.body)
    if gap is None and total > max(len(ids), page.rows) and all(map(_is_readable, values)):
        gap = f"{total} rows were announced, but {len(ids)} arrived"
    value = values[0] if len(values) == 1 else _joined(values)
    return value if gap is None else with_gap(value, scrub(gap))


def _is_readable(value: Any) -> bool:
    return all(rows.gap is None for rows in lists_of(value))


def _query_of(address: str, call: Call[Any], base_url: str) -> tuple[dict[str, str | int] | None, str | None]:
    """
    Return the query of the next page. If the address does not belong to the endpoint, return `None` and the reason.
    """
    own = urlsplit(base_url + call.path)
    try:
        to = urlsplit(urljoin(own.geturl(), address))
        is_ours = (to.scheme, to.hostname, to.port) == (own.scheme, own.hostname, own.port)
    except ValueError:
        return None, "the value for its next page is not an address"
    if not is_ours or to.username is not None:
        return None, "its next page is at a different server, which must not receive the API key"
    if to.path.rstrip("/") not in {own.path, call.path}:
        return None, "its next page is at a different path"
    return {**call.query, **dict(parse_qsl(to.query, keep_blank_values=True))}, None


def _joined(values: list[T]) -> T:
    """Return the first page's value with the rows of all pages. A row that is on several pages is included once."""

    def made(rows: Listing[Any], name: str) -> Listing[Any]:
        parts: list[Listing[Any]] = [rows, *(_part(value, name) for value in values[1:])]
        known = {row.id: row for part in reversed(parts) for row in reversed(part)}
        order = dict.fromkeys(row.id for part in parts for row in part)
        gap = next((part.gap for part in parts if part.gap is not None), None)
        damaged = frozenset[Any]().union(*(part.damaged for part in parts))
        return Listing([known[id] for id in order], gap=gap, damaged=damaged)

    joined: T = mapped(values[0], made)
    return joined


def _part(value: Any, name: str) -> Any:
    return getattr(value, name) if name else value
