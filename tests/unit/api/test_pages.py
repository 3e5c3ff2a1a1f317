"""A paged list in every usual style is read completely or has a gap: the client guesses nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks_pulumi import errors
from stacks_pulumi.api._call import Answer, Call, Handler, call_to
from stacks_pulumi.api._limiter import Limiter
from stacks_pulumi.api._pages import MOST_PAGES, UNSHOWN
from stacks_pulumi.api.backups import list_call
from stacks_pulumi.api.client import assemble
from stacks_pulumi.api.containers import LIST
from stacks_pulumi.api.models import Container, Listing
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import URL, Script, ok, refusal

PATH = f"{URL}/containers"


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": f"usr-{n}", "name": f"c{n}", "type": "nodejs", "status": "running"} for n in numbers]


def client(transport: Callable[[Call[Any]], Answer]) -> Handler:
    clock = FakeClock()
    return assemble(transport, Limiter(1_000_000, 64, clock), clock, URL)


@dataclass
class Account:
    """
    An account with a paged list.

    Attributes:
        style: The form in which an answer names the next page.
        size: The rows of a page.
        count: The number of all rows.
        fault: The answer to a request for a later page.
    """

    style: str
    size: int
    count: int
    fault: Callable[[Call[Any]], Answer] | None = None
    calls: list[Call[Any]] = field(default_factory=list)

    def __call__(self, call: Call[Any]) -> Answer:
        self.calls.append(call)
        start = self.start(call.query)
        if start and self.fault is not None:
            return self.fault(call)
        given = rows(*range(self.count))[start : start + self.size]
        return STYLES[self.style][1](self, given, start)

    def start(self, query: Mapping[str, Any]) -> int:
        parameter = STYLES[self.style][0]
        value = int(query.get(parameter, -1))
        if parameter == "offset":
            return max(value, 0)
        if parameter in {"cursor", "after", "pageToken"}:
            return max(value, 0)
        return max(value - 1, 0) * self.size

    def more(self, start: int) -> bool:
        return start + self.size < self.count

    def number(self, start: int) -> int:
        return start // self.size + 1

    @property
    def pages(self) -> int:
        return -(-self.count // self.size)


def _body(given: list[Any], **more: Any) -> Answer:
    return ok({"success": True, "data": given, **more})


def _link(account: Account, start: int) -> str:
    return f'<{PATH}?page={account.number(start) + 1}>; rel="next", <{PATH}?page=1>; rel="first"'


Style = tuple[str, Callable[[Account, list[Any], int], Answer]]
STYLES: dict[str, Style] = {
    "meta.next, an absolute address": (
        "page",
        lambda a, given, at: _body(
            given, meta={"next": f"{PATH}?page={a.number(at) + 1}" if a.more(at) else None}
        ),
    ),
    "links.next, a relative address": (
        "page",
        lambda a, given, at: _body(
            given, links={"next": f"?page={a.number(at) + 1}" if a.more(at) else None}
        ),
    ),
    "next, an object with a path": (
        "offset",
        lambda a, given, at: _body(
            given, _links={"next": {"href": f"/api/v1/containers?offset={at + a.size}"}} if a.more(at) else {}
        ),
    ),
    "next_cursor": (
        "cursor",
        lambda a, given, at: _body(given, next_cursor=str(at + a.size) if a.more(at) else None),
    ),
    "nextPageToken": (
        "pageToken",
        lambda a, given, at: _body(given, **({"nextPageToken": f"{at + a.size}"} if a.more(at) else {})),
    ),
    "pageInfo": (
        "after",
        lambda a, given, at: ok(
            {"data": given, "pageInfo": {"hasNextPage": a.more(at), "endCursor": str(at + a.size)}}
        ),
    ),
    "next_page": (
        "page",
        lambda a, given, at: _body(given, next_page=a.number(at) + 1 if a.more(at) else None),
    ),
    "next is true": ("page", lambda a, given, at: _body(given, next=a.more(at))),
    "has_more": ("page", lambda a, given, at: _body(given, has_more=a.more(at))),
    "has_more, with an offset": ("offset", lambda a, given, at: _body(given, meta={"hasMore": a.more(at)})),
    "last_page": (
        "page",
        lambda a, given, at: _body(given, meta={"current_page": a.number(at), "last_page": a.pages}),
    ),
    "spring": (
        "page",
        lambda a, given, at: ok(
            {"data": given, "number": a.number(at) - 1, "totalPages": a.pages, "totalElements": a.count}
        ),
    ),
    "Link": (
        "page",
        lambda a, given, at: (
            ok(given, link=_link(a, at)) if a.more(at) else ok(given, link=f'<{PATH}?page=1>; rel="first"')
        ),
    ),
    "X-Total-Count": ("page", lambda a, given, at: ok(given, x_total_count=str(a.count))),
    "X-Total-Count, with an offset": ("offset", lambda a, given, at: ok(given, x_total_count=str(a.count))),
    "total": (
        "offset",
        lambda a, given, at: ok({"data": given, "meta": {"total": a.count, "limit": a.size, "offset": at}}),
    ),
    "count of all rows": ("page", lambda a, given, at: _body(given, count=a.count)),
    "page and per_page": (
        "page",
        lambda a, given, at: _body(given, page=a.number(at), per_page=a.size, total=a.count),
    ),
    "206": (
        "offset",
        lambda a, given, at: ok(
            given,
            status=206 if a.more(at) or at else 200,
            content_range=f"items {at}-{max(at + len(given) - 1, 0)}/{a.count}",
        ),
    ),
}


ADDRESSES = [
    "meta.next, an absolute address",
    "links.next, a relative address",
    "next, an object with a path",
    "Link",
]
"""The styles that name the next page by its address."""


@given(style=st.sampled_from(sorted(STYLES)), size=st.integers(1, 25), count=st.integers(0, 60))
def test_a_list_is_whole_or_has_a_gap(style: str, size: int, count: int) -> None:
    account = Account(style, size, count)

    listed = client(account)(LIST)

    followed = count if style in ADDRESSES else min(size, count)
    assert [row.id for row in listed] == [f"usr-{n}" for n in range(followed)]
    assert (listed.gap is None) is (followed == count)
    assert len(account.calls) == (max(account.pages, 1) if style in ADDRESSES else 1)


FAULTS: dict[str, Callable[[Account], Callable[[Call[Any]], Answer]]] = {
    "refused": lambda account: lambda call: refusal(400),
    "not found": lambda account: lambda call: refusal(404),
    "the first page again": lambda account: (
        lambda call: STYLES[account.style][1](account, rows(*range(account.count))[: account.size], 0)
    ),
    "down": lambda account: lambda call: refusal(503),
}


@given(
    style=st.sampled_from(ADDRESSES),
    size=st.integers(1, 25),
    further=st.integers(1, 40),
    fault=st.sampled_from(sorted(FAULTS)),
)
def test_a_missing_page_is_never_silent(style: str, size: int, further: int, fault: str) -> None:
    account = Account(style, size, size + further)
    account.fault = FAULTS[fault](account)

    try:
        listed = client(account)(LIST)
    except errors.ServerError:
        assert fault == "down"
    else:
        assert listed.gap
        assert len(listed) == size
        with pytest.raises(errors.UnreadableAnswerError, match="incomplete"):
            listed.find(lambda row: row.id == "usr-nothing")


@pytest.mark.parametrize(
    ("next_", "why"),
    [
        ("https://evil.example/api/v1/containers?page=2", "different server"),
        ("//evil.example/api/v1/containers?page=2", "different server"),
        ("http://127.0.0.1:10/api/v1/containers?page=2", "different server"),
        ("http://me@127.0.0.1:9/api/v1/containers?page=2", "different server"),
        ("https://127.0.0.1:9/api/v1/containers?page=2", "different server"),
        ("/api/v1/containers/usr-1?page=2", "different path"),
        ("../backups/stats?page=2", "meta.next shows that there are more rows"),
        ("http://[::1/containers?page=2", "is not an address"),
        ({"title": "more"}, "meta.next shows that there are more rows"),
        ([2], "meta.next shows that there are more rows"),
        ("x" * 5000, "meta.next shows that there are more rows"),
    ],
)
def test_a_next_page_elsewhere_is_not_requested(next_: Any, why: str) -> None:
    script = Script(containers__list=_body(rows(1), meta={"next": next_}))

    listed = client(script)(LIST)

    assert why in (listed.gap or "")
    assert len(script.calls) == 1


def test_an_address_keeps_the_path_of_the_endpoint_and_gives_only_the_query() -> None:
    script = Script(containers__list=[_body(rows(1), next="/containers?cursor=a%26b&x="), _body(rows(2))])

    assert [row.id for row in client(script)(LIST)] == ["usr-1", "usr-2"]
    assert [(call.path, dict(call.query)) for call in script.calls] == [
        ("/containers", {}),
        ("/containers", {"cursor": "a&b", "x": ""}),
    ]


@pytest.mark.parametrize(
    "sign",
    [
        {"partial": True},
        {"warnings": ["the host cluster1host2 is unreachable"]},
        {"errors": [{"host": "cluster1host2", "error": "timed out"}]},
    ],
)
def test_an_answer_that_lacks_rows_because_of_an_outage_is_partial(sign: dict[str, Any]) -> None:
    script = Script(containers__list=ok({"success": True, "count": 1, "data": rows(1), **sign}))

    read = client(script)(LIST)

    assert [row.id for row in read] == ["usr-1"]
    assert read.gap is not None
    assert read.gap.startswith(UNSHOWN)
    assert len(script.operations) == 1


@pytest.mark.parametrize("remark", [{"warnings": []}, {"warnings": ["v1 is deprecated"]}, {"partial": False}])
def test_other_remarks_leave_a_list_whole(remark: dict[str, Any]) -> None:
    script = Script(containers__list=ok({"success": True, "count": 1, "data": rows(1), **remark}))

    assert client(script)(LIST).gap is None


def test_a_list_that_never_ends_has_a_gap() -> None:
    def answer(call: Call[Any]) -> Answer:
        at = int(call.query.get("cursor", 0))
        return _body(rows(at), next=f"?cursor={at + 1}")

    listed = client(answer)(LIST)

    assert len(listed) == MOST_PAGES
    assert (listed.gap or "").startswith(f"it has more than {MOST_PAGES} pages")


def test_a_page_that_names_itself_is_read_once() -> None:
    script = Script(containers__list=_body(rows(1), next="?page=1"))

    assert client(script)(LIST).gap == "its next page repeats the same rows"
    assert len(script.calls) == 2


def test_rows_that_moved_to_another_page_count_once() -> None:
    script = Script(
        containers__list=[
            _body(rows(1, 2), total=3, next="?page=2"),
            _body(rows(2, 3), total=3, next=None),
        ]
    )

    listed = client(script)(LIST)

    assert ([row.id for row in listed], listed.gap) == (["usr-1", "usr-2", "usr-3"], None)


def test_a_row_that_slipped_between_two_pages_is_a_gap() -> None:
    """Row 1 was deleted while the pages were read, so row 3 moved to the first page."""
    script = Script(
        containers__list=[_body(rows(1, 2), total=4, next="?page=2"), _body(rows(4), total=3, next=None)]
    )

    assert client(script)(LIST).gap == "4 rows were announced, but 3 arrived"


@pytest.mark.parametrize("count", [3, "3"])
def test_more_than_the_rows_was_announced(count: Any) -> None:
    script = Script(containers__list=ok({"count": count, "data": rows(1)}))

    assert client(script)(LIST).gap == "3 rows were announced, but 1 arrived"


@pytest.mark.parametrize("count", [1, 0, "1", True, None])
def test_a_count_that_announces_nothing_costs_nothing(count: Any) -> None:
    script = Script(containers__list=ok({"count": count, "data": rows(1)}))

    assert client(script)(LIST).gap is None
    assert len(script.calls) == 1


def test_a_caller_that_wants_some_rows_gets_one_page() -> None:
    few = Script(backups__list=_body([{"id": n} for n in range(1, 6)], next="?page=2"))

    assert client(few)(list_call("a", 5)).gap is None
    assert len(few.calls) == 1


def test_both_sides_of_the_connections_have_all_pages() -> None:
    script = Script(
        connections__list=[
            ok({"data": {"outgoing": [{"id": "a"}], "incoming": [{"id": "b"}], "next": "?page=2"}}),
            ok({"data": {"outgoing": [{"id": "c"}], "incoming": [], "next": None}}),
        ]
    )
    from stacks_pulumi.api._bodies import connections

    read = client(script)(call_to("connections.list", "x", parse=connections))

    assert [row.id for row in read.outgoing] == ["a", "c"]
    assert [row.id for row in read.incoming] == ["b"]
    assert read.outgoing.gap is read.incoming.gap is None


def test_a_page_that_cannot_be_read_now_is_requested_again() -> None:
    script = Script(
        containers__list=[
            _body(rows(1), next="?page=2"),
            refusal(502),
            _body(rows(1), next="?page=2"),
            _body(rows(2), next=None),
        ]
    )

    listed: Listing[Container] = client(script)(LIST)

    assert [row.id for row in listed] == ["usr-1", "usr-2"]


def test_a_row_that_cannot_be_read_on_a_further_page_is_a_gap() -> None:
    script = Script(
        containers__list=[_body(rows(1), next="?page=2"), _body([*rows(2), {"name": "x"}], next=None)]
    )

    listed = client(script)(LIST)

    assert (len(listed), listed.gap) == (2, "data[1]: Object missing required field `id`")


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "count": 2, "data": rows(1, 2)},
        {"data": rows(1, 2), "message": "all"},
        rows(1, 2),
        [],
        {"data": rows(1, 2), "meta": {"next": None, "total": 2}},
    ],
)
def test_a_whole_list_costs_one_call(body: Any) -> None:
    script = Script(containers__list=ok(body))

    assert client(script)(LIST).gap is None
    assert len(script.calls) == 1
