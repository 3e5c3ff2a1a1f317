"""A list with pages, in every usual style, is read to its end, or says that it is partial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stacks_pulumi import errors
from stacks_pulumi.api._call import Answer, Call, Handler, call_to, certain
from stacks_pulumi.api._limiter import Limiter
from stacks_pulumi.api._pages import MOST_PAGES, UNSHOWN
from stacks_pulumi.api.backups import _list_call
from stacks_pulumi.api.client import assemble
from stacks_pulumi.api.containers import LIST
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.platform_file import PlatformFile, parse
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import URL, Script, ok, refusal

NEEDED = msgspec.structs.replace(LIST, completeness="needed")
PATH = f"{URL}/containers"


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": f"usr-{n}", "name": f"c{n}", "type": "nodejs", "status": "running"} for n in numbers]


def client(
    transport: Callable[[Call[Any]], Answer], clock: FakeClock | None = None, facts: str | None = None
) -> Handler:
    clock = clock or FakeClock()
    platform = PlatformFile(parse(f"version: 1\n{facts or ''}", "facts.yaml"), "facts.yaml")
    return assemble(transport, Limiter(1_000_000, 64, clock), clock, URL, platform)


@dataclass
class Account:
    """
    An account whose list has pages.

    Attributes:
        style: What an answer says about the next page.
        size: The rows of a page.
        count: The number of all rows.
        fault: How it answers a request for another page than the first.
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
        first = 0 if self.style == "spring" else 1
        return max(value - first, 0) * self.size

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
            {"data": {"nodes": given, "pageInfo": {"hasNextPage": a.more(at), "endCursor": str(at + a.size)}}}
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
            {"content": given, "number": a.number(at) - 1, "totalPages": a.pages, "totalElements": a.count}
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
        lambda a, given, at: ok(
            {"data": {"containers": given, "total": a.count, "limit": a.size, "offset": at}}
        ),
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


@given(style=st.sampled_from(sorted(STYLES)), size=st.integers(1, 25), count=st.integers(0, 60))
@example(style="spring", size=20, count=41)
def test_all_pages_are_one_list(style: str, size: int, count: int) -> None:
    account = Account(style, size, count)
    send = client(account)

    for _ in range(2):  # the second time, the parameter is known
        listed = send(LIST)

        assert [row.id for row in listed] == [f"usr-{n}" for n in range(count)]
        assert listed.gap is None


FAULTS: dict[str, Callable[[Account], Callable[[Call[Any]], Answer]]] = {
    "refused": lambda account: lambda call: refusal(400),
    "not found": lambda account: lambda call: refusal(404),
    "the first page again": lambda account: (
        lambda call: STYLES[account.style][1](account, rows(*range(account.count))[: account.size], 0)
    ),
    "down": lambda account: lambda call: refusal(503),
}


@given(
    style=st.sampled_from(sorted(STYLES)),
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


@given(
    parameter=st.sampled_from(["page", "page from 0", "offset", "limit"]),
    size=st.sampled_from([10, 20, 25, 50, 100]),
    further=st.integers(0, 130),
)
def test_a_silent_page_is_noticed_when_the_list_has_to_be_whole(
    parameter: str, size: int, further: int
) -> None:
    everything = rows(*range(size + further))

    def answer(call: Call[Any]) -> Answer:
        start = {
            "page from 0": int(call.query.get("page", 0)) * size,
            "page": (int(call.query.get("page", 1)) - 1) * size,
            "offset": int(call.query.get("offset", 0)),
        }
        at = start.get(parameter, 0)
        most = int(call.query.get("limit", size)) if parameter == "limit" else size
        return _body(everything[at : at + most])

    listed = client(answer)(NEEDED)

    assert len(listed) == len(everything)
    # If the API has a `limit`, a round number of rows may be the most that it returns.
    assert (listed.gap is None) is (parameter != "limit" or bool(further))


@pytest.mark.parametrize("first", [0, 1])
def test_a_list_that_grew_to_a_second_page_is_not_cut_short(first: int) -> None:
    everything = rows(*range(10))

    def answer(call: Call[Any]) -> Answer:
        at = (int(call.query.get("page", first)) - first) * 10
        return _body(everything[at : at + 10]) if at < len(everything) else refusal(404)

    send = client(answer)
    assert send(LIST).gap is None

    everything += rows(*range(10, 21))
    assert [len(send(NEEDED)), send(NEEDED).gap] == [21, None]
    assert send(LIST).gap is None


@pytest.fixture
def ten(clock: FakeClock) -> Script:
    return Script(containers__list=_body(rows(*range(10))))


def test_a_round_number_of_rows_costs_a_call_only_if_it_matters(ten: Script) -> None:
    send = client(ten)

    listed = send(LIST)
    assert listed.find(lambda row: row.id == "usr-3") is not None
    assert len(ten.calls) == 1

    assert listed.find(lambda row: row.id == "usr-77") is None
    assert [dict(call.query) for call in ten.calls] == [{}, {"page": 2}, {"offset": 10}, {"limit": 1}]

    assert send(LIST).gap is None
    assert len(ten.calls) == 5, "the answer is remembered"


def test_a_list_that_was_longer_shows_that_a_page_is(clock: FakeClock) -> None:
    script = Script(containers__list=[_body(rows(*range(11))), _body(rows(*range(10)))])
    send = client(script)
    send(LIST)

    assert send(LIST).gap is None
    assert len(script.calls) == 2


def test_a_silent_page_that_was_found_late_is_followed_from_then_on() -> None:
    everything = rows(*range(25))
    script = Script(
        containers__list=lambda call: _body(everything[(int(call.query.get("page", 1)) - 1) * 10 :][:10])
    )
    send = client(script)

    assert send(LIST).gap == "10 rows came, and there are more"
    assert (len(send(LIST)), send(LIST).gap) == (25, None)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("parameter", ["page", "offset"])
def test_a_second_look_finds_what_is_on_a_silent_page_of_any_size(size: int, parameter: str) -> None:
    everything = rows(*range(8))

    def answer(call: Call[Any]) -> Answer:
        at = int(call.query.get(parameter, 1 if parameter == "page" else 0))
        at = (at - 1) * size if parameter == "page" else at
        return _body(everything[at : at + size])

    send, wanted = client(answer), rows(7)[0]["id"]
    first = send(LIST)
    assert first.find(lambda row: row.id == wanted) is None, "the first look costs one call"

    with certain():
        assert send(LIST).find(lambda row: row.id == wanted) is not None
    # From then on it is known that a list has pages: the lists before were partial, and later ones are whole.
    assert first.gap == f"the API has pages of {size} rows"
    assert (len(send(LIST)), send(LIST).gap) == (8, None)


def test_a_second_look_tries_the_usual_parameters_once(clock: FakeClock) -> None:
    script = Script(containers__list=_body(rows(1, 2, 3)))
    send = client(script)

    with certain():
        assert [send(LIST).gap for _ in range(3)] == [None] * 3
    assert [dict(call.query) for call in script.calls] == [
        {},
        {"page": 2},
        {"offset": 3},
        {"limit": 1},
        {},
        {},
    ]


def test_a_second_look_believes_a_limit_that_gets_no_more_rows() -> None:
    send = client(lambda call: _body(rows(1, 2, 3)[: int(call.query.get("limit", 100))]))

    with certain():
        assert (len(send(LIST)), send(LIST).gap) == (3, None)


def test_a_longer_list_is_looked_into_again() -> None:
    # An API may answer the number of a page that does not exist with the last page.
    everything = rows(1, 2)

    def answer(call: Call[Any]) -> Answer:
        page = min(int(call.query.get("page", 1)), -(-len(everything) // 3))
        return _body(everything[(page - 1) * 3 :][:3])

    send = client(answer)
    with certain():
        assert len(send(LIST)) == 2
        everything += rows(3, 4)
        assert len(send(LIST)) == 4


def test_a_list_that_grows_during_a_second_look_has_no_pages(clock: FakeClock) -> None:
    script = Script(containers__list=[_body(rows(1)), _body(rows(1, 2))])
    send = client(script)

    with certain():
        assert [row.id for row in send(LIST)] == [row["id"] for row in rows(1, 2)]
    assert send(LIST).gap is None
    assert len(script.calls) == 5


def test_a_doubt_that_cannot_be_resolved_stays(clock: FakeClock) -> None:
    script = Script(
        containers__list=[
            _body(rows(*range(10))),
            errors.ConnectionFailedError("dead", sent=True),
        ]
    )

    gap = client(script)(LIST).gap

    assert gap is not None
    assert gap.startswith("10 rows may be one page of several, and that could not be found out: dead")


@pytest.mark.parametrize(
    ("next_", "why"),
    [
        ("https://evil.example/api/v1/containers?page=2", "another server"),
        ("//evil.example/api/v1/containers?page=2", "another server"),
        ("http://127.0.0.1:10/api/v1/containers?page=2", "another server"),
        ("http://me@127.0.0.1:9/api/v1/containers?page=2", "another server"),
        ("https://127.0.0.1:9/api/v1/containers?page=2", "another server"),
        ("/api/v1/containers/usr-1?page=2", "another path"),
        ("../backups/stats?page=2", "another path"),
        ("http://[::1/containers?page=2", "is not an address"),
        ({"title": "more"}, "names no page"),
        ([2], "names no page"),
        ("x" * 5000, "names no page"),
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


def test_a_list_that_never_ends_is_partial() -> None:
    def answer(call: Call[Any]) -> Answer:
        at = int(call.query.get("cursor", 0))
        return _body(rows(at), next_cursor=str(at + 1))

    listed = client(answer)(LIST)

    assert len(listed) == MOST_PAGES
    assert listed.gap == f"it has more than {MOST_PAGES} pages"


def test_a_page_that_names_itself_is_read_once() -> None:
    script = Script(containers__list=_body(rows(1), next="?page=1"))

    assert client(script)(LIST).gap
    assert len(script.calls) == 2


def test_rows_that_moved_to_another_page_count_once() -> None:
    script = Script(
        containers__list=[
            _body(rows(1, 2), total=3, next_page=2),
            _body(rows(2, 3), total=3, next_page=None),
        ]
    )

    listed = client(script)(LIST)

    assert ([row.id for row in listed], listed.gap) == (["usr-1", "usr-2", "usr-3"], None)


def test_a_row_that_slipped_between_two_pages_makes_the_list_partial() -> None:
    """Row 1 was deleted while the pages were read, so row 3 moved to the first page."""
    script = Script(
        containers__list=[_body(rows(1, 2), total=4, next_page=2), _body(rows(4), total=3, next_page=None)]
    )

    assert client(script)(LIST).gap == "the list became shorter while its pages were read"


def test_more_than_the_rows_was_announced() -> None:
    script = Script(containers__list=ok({"count": 3, "data": rows(1)}))

    gap = client(script)(LIST).gap

    assert gap == (
        "3 rows were announced and 1 came; if `count` is something else, write it into the platform file facts.yaml: "
        "lists: {count_is_rows: false}"
    )
    assert client(script, facts="lists: {count_is_rows: false}")(LIST).gap is None


@pytest.mark.parametrize("count", [1, 0, "9", True, None])
def test_a_count_that_announces_nothing_costs_nothing(count: Any) -> None:
    script = Script(containers__list=ok({"count": count, "data": rows(1)}))

    assert client(script)(LIST).gap is None
    assert len(script.calls) <= 4


def test_the_usual_parameters_are_tried_once_per_client() -> None:
    script = Script(containers__list=_body(rows(1), has_more=True))
    send = client(script)

    assert "has_more says that there are more" in (send(LIST).gap or "")
    assert [dict(call.query) for call in script.calls] == [{}, {"page": 2}, {"offset": 1}, {"limit": 1000}]
    send(LIST)
    assert len(script.calls) == 5


@pytest.mark.parametrize(
    ("facts", "pages", "queries"),
    [
        (
            "lists: {next: paging.to}",
            [_body(rows(1), paging={"to": "?from=x"}), _body(rows(2))],
            [{"from": "x"}],
        ),
        (
            "lists: {next: meta.seite, parameter: seite}",
            [_body(rows(1), meta={"seite": 2}), _body(rows(2))],
            [{"seite": 2}],
        ),
        (
            "lists: {page_size: 1}",
            [_body(rows(1)), _body(rows(2)), _body([])],
            [{"page": 2}, {"page": 1}, {"page": 3}],
        ),
        (
            "lists: {page_size: 2, parameter: start}",
            [_body(rows(1, 2)), _body(rows(3))],
            [{"start": 2}],
        ),
        (
            "lists: {next: info.seiten, next_form: last_page, parameter: page}",
            [_body(rows(1, 2), info={"seiten": 2}), _body(rows(3), info={"seiten": 2})],
            [{"page": 2}, {"page": 1}],
        ),
        (
            "lists: {next: info.zahl, next_form: total, parameter: page}",
            [_body(rows(1, 2), info={"zahl": 3}), _body(rows(3), info={"zahl": 3})],
            [{"page": 2}, {"page": 1}],
        ),
        (
            "lists: {next: X-Weiter, next_form: flag, parameter: page}",
            [ok({"data": rows(1, 2)}, x_weiter="true"), ok({"data": rows(3)}, x_weiter="false")],
            [{"page": 2}, {"page": 1}],
        ),
        ("lists: {next: none, page_size: 2}", [_body(rows(1), next="?page=2")], []),
        ("lists: {next: Link}", [ok({"data": rows(1), "next": "?page=2"})], []),
    ],
)
def test_the_platform_file_says_how_pages_are_requested(
    facts: str, pages: list[Answer], queries: list[dict[str, Any]]
) -> None:
    answers = iter(pages)
    asked: list[dict[str, Any]] = []

    def answer(call: Call[Any]) -> Answer:
        asked.append(dict(call.query))
        return pages[0] if call.query.get("page") == 1 else next(answers)

    listed = client(answer, facts=facts)(LIST)

    assert listed.gap is None
    assert len(listed) == sum(len(page) for page in [{row["id"] for row in _rows_in(page)} for page in pages])
    assert asked == [{}, *queries]


def _rows_in(answer: Answer) -> list[dict[str, Any]]:
    import json

    found: list[dict[str, Any]] = json.loads(answer.body)["data"]
    return found


def test_a_full_list_of_backups_is_not_known_to_be_whole(clock: FakeClock) -> None:
    full = _body([{"id": n} for n in range(1, 101)])

    assert client(Script(backups__list=full))(_list_call("a", 100)).gap
    few = Script(backups__list=_body([{"id": n} for n in range(1, 6)], next="?page=2"))
    assert client(few)(_list_call("a", 5)).gap is None, "the caller wants five"
    assert len(few.calls) == 1


def test_both_sides_of_the_connections_have_all_pages() -> None:
    script = Script(
        connections__list=[
            ok({"data": {"outgoing": [{"id": "a"}], "incoming": [{"id": "b"}], "next_page": 2}}),
            ok({"data": {"outgoing": [{"id": "c"}], "incoming": [], "next_page": None}}),
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
            _body(rows(1), next_page=2),
            refusal(502),
            _body(rows(1), next_page=2),
            _body(rows(2), next_page=None),
        ]
    )

    listed: Listing[Container] = client(script)(LIST)

    assert [row.id for row in listed] == ["usr-1", "usr-2"]


def test_a_row_that_cannot_be_read_on_a_further_page_is_a_gap() -> None:
    script = Script(
        containers__list=[_body(rows(1), next_page=2), _body([*rows(2), {"name": "x"}], next_page=None)]
    )

    listed = client(script)(LIST)

    assert (len(listed), listed.gap) == (2, "data[1]: Object missing required field `id`")


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "count": 2, "data": rows(1, 2)},
        {"data": rows(1, 2), "message": "all"},
        {"success": True, "data": {"containers": rows(1, 2)}},
        rows(1, 2),
        [],
        {"data": None},
        {"data": rows(1, 2), "meta": {"next": None, "total": 2}},
    ],
)
def test_a_whole_list_costs_one_call(body: Any) -> None:
    script = Script(containers__list=ok(body))

    assert client(script)(NEEDED).gap is None
    assert len(script.calls) == 1
