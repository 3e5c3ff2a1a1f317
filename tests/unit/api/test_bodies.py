"""How one model, a list of them and a text are read from a body, for every shape and content."""

from __future__ import annotations

import json
import pickle
import threading
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacks_pulumi.api._bodies import ShapeError, allowed_ips, connections, item, items, record, snake, unwrap
from stacks_pulumi.api._call import call_to
from stacks_pulumi.api._unshaped import text_of
from stacks_pulumi.api.models import AllowedIp, Backup, Connection, Container, Listing, Model, VpnClient
from stacks_pulumi.errors import UnreadableAnswerError
from tests.support.guide import LISTED, STATUS
from tests.support.waiting import never


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hasWebUI", "has_web_ui"),
        ("ipAddress", "ip_address"),
        ("versionMajor", "version_major"),
        ("ip_address", "ip_address"),
        ("URLPath", "url_path"),
        ("load-balancers", "load_balancers"),
        ("x1Y", "x1_y"),
        ("", ""),
    ],
)
def test_names_have_one_spelling(name: str, expected: str) -> None:
    assert snake(name) == expected


@pytest.mark.parametrize(
    ("body", "value", "path"),
    [
        ({"a": 1}, {"a": 1}, "body"),
        ({"data": {"a": 1}}, {"a": 1}, "data"),
        ({"data": None, "a": 1}, {"data": None, "a": 1}, "body"),
        ({"allowedIps": [1]}, [1], "allowedIps"),
        ({"data": {"allowed_ips": [1]}}, [1], "data.allowed_ips"),
        ([1], [1], "body"),
        ("text", "text", "body"),
        (None, None, "body"),
    ],
)
def test_the_value_is_found_with_or_without_a_wrapper(body: Any, value: Any, path: str) -> None:
    assert unwrap(body, "allowed_ips") == (value, path)


def test_the_same_container_reads_the_same_from_the_list_and_from_its_status() -> None:
    listed, status = item(Container, {"data": LISTED}), item(Container, STATUS)

    both = (
        "id",
        "name",
        "template",
        "plan",
        "status",
        "cpu",
        "memory_mb",
        "storage_mb",
        "ip_address",
        "raw_status",
    )
    assert [getattr(listed, name) for name in both] == [getattr(status, name) for name in both]
    assert (listed.cpu, listed.memory_mb, listed.storage_mb) == (1.0, 1024, 10240)
    assert (listed.external_access, status.external_access) == (None, False)
    assert (listed.updated_at, status.updated_at) == (None, "2026-02-25T12:00:00.000Z")


def test_numbers_and_texts_are_converted_to_each_other() -> None:
    read = record(Container, {"id": 7, "version": 22, "port": "8005", "cpu": "0.50", "hasWebUI": "false"})

    assert (read.id, read.version, read.port, read.cpu, read.has_web_ui) == ("7", "22", 8005, 0.5, False)
    assert record(Backup, {"id": "178", "pinned": 1}) == Backup(id=178, pinned=True)


def test_null_is_the_same_as_nothing() -> None:
    assert record(Container, {"id": "a", "port": None, "type": None}) == Container(id="a")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"id": ""}, "body.id: Expected `str` of length >= 1"),
        ({"name": "a"}, "body: Object missing required field `id`"),
        ([], "body: an object was expected"),
        ("a", "body: an object was expected"),
    ],
)
def test_an_unreadable_value_is_reported_with_its_path(value: Any, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        record(Container, value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": []},
        {"port": "s3cret"},
        {"cpu": "nan"},
        {"cpu": True},
        {"cpu": "inf"},
        {"cpuAllocated": {}, "port": {}, "hasWebUI": "maybe"},
    ],
)
def test_a_field_that_cannot_be_read_is_none(wrong: dict[str, Any]) -> None:
    assert record(Container, {"id": "a", "name": "web", **wrong}) == Container(id="a", name="web")


def test_a_field_that_cannot_be_read_is_none_also_where_it_is_nested() -> None:
    given = {"id": "a", "environment_variables": {"PORT": []}, "name": "main"}

    assert record(Connection, given) == Connection(id="a", name="main")


def test_the_best_spelling_of_a_field_is_used_in_any_order() -> None:
    assert record(Container, {"id": "a", "type": "vpn", "template": "stacks-vpn"}).template == "stacks-vpn"
    assert record(Container, {"id": "a", "template": "stacks-vpn", "type": "vpn"}).template == "stacks-vpn"
    assert record(Container, {"template": None, "type": "vpn", "id": "a"}).template == "vpn"


@pytest.mark.parametrize(
    ("told", "status"),
    [("exited", "stopped"), ("removing", "deleting"), ("terminated", "deleted"), ("new", "new")],
)
def test_other_words_for_a_status_become_the_one_that_is_used_here(told: str, status: str) -> None:
    assert record(Container, {"id": "a", "status": told}).status == status


def test_a_row_is_read_without_its_malformed_field() -> None:
    read = items(Container, [{"id": "a", "port": 1}, {"id": "b", "port": []}, {"id": "c"}])

    assert list(read) == [Container(id="a", port=1), Container(id="b"), Container(id="c")]
    assert read.gap is None
    assert read.damaged == {"b"}


@pytest.mark.parametrize("row", [{}, {"id": ""}, {"id": []}, {"id": ".."}, "b", None, 7, []])
def test_a_row_without_a_readable_id_is_left_out_and_the_list_is_incomplete(row: Any) -> None:
    read = items(Container, {"data": [{"id": "a"}, row, {"id": "c", "port": []}]})

    assert [container.id for container in read] == ["a", "c"]
    assert (read.gap or "").startswith("data[1]")
    assert read.damaged == {"c"}


@pytest.mark.parametrize("id_", [".", "..", "a\nb", "\x00", "\x7f", "x" * 1001])
def test_an_id_with_a_slash_or_a_line_end_is_invalid(id_: str) -> None:
    with pytest.raises(ShapeError, match=r"body\.id"):
        record(Container, {"id": id_})


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "count": 2, "data": [{"name": "a"}, {"name": "b"}]},
        {"data": {"clients": [{"name": "a"}, {"name": "b"}]}},
        {"clients": ["a", "b"]},
        [{"name": "a"}, "b"],
        {"clients": {"a": {}, "b": {"name": "b"}}},
    ],
)
def test_a_list_may_be_wrapped_or_bare_and_hold_objects_or_texts(body: Any) -> None:
    read = items(VpnClient, body, "clients", bare=("name",))

    assert [client.name for client in read] == ["a", "b"]


@pytest.mark.parametrize("name", ["created", "createdOn", "creation_time"])
def test_the_creation_time_has_usual_names(name: str) -> None:
    (read,) = items(Container, [{"id": "a", name: "2026-05-17T02:00:14.000Z"}])

    assert read.created_at == "2026-05-17T02:00:14.000Z"


ONE = (Container(id="a"),)


@pytest.mark.parametrize(
    "body",
    [
        *(
            {name: [{"id": "a"}]}
            for name in ("items", "results", "rows", "records", "list", "content", "anything")
        ),
        {"data": {"items": [{"id": "a"}], "total": 1}},
        {"success": True, "result": {"records": [{"id": "a"}]}},
        {"response": {"data": {"containers": [{"id": "a"}]}}},
        {"data": {"edges": [{"cursor": "x", "node": {"id": "a"}}]}},
        {"_embedded": {"containers": [{"id": "a"}]}},
        {"data": [{"id": "a", "attributes": {"name": None}}]},
        {"data": {"a": {"id": "a"}}},
        {"errors": [], "servers": [{"id": "a"}]},
    ],
)
def test_rows_are_found_where_other_apis_have_them(body: Any) -> None:
    assert items(Container, body, "containers") == ONE


def test_lists_for_each_category_are_one_list() -> None:
    body = {"data": {"apps": [{"id": "a"}], "empty": [], "databases": [{"id": "b"}]}}

    read = items(Container, body, "containers")

    assert ([row.id for row in read], read.gap) == (["a", "b"], None)


def test_another_list_of_objects_makes_the_rows_incomplete() -> None:
    read = items(Container, {"apps": [{"id": "a"}], "remarks": [{"text": "x"}]})

    assert [row.id for row in read] == ["a"]
    assert read.gap is not None


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ({"deleted_at": "2026-05-17T02:00:14.000Z"}, "deleted"),
        ({"isDeleted": True}, "deleted"),
        ({"terminatedAt": 1778983214}, "deleted"),
        ({"deleted_at": None, "deleted": False, "is_removed": "false"}, "running"),
    ],
)
def test_a_row_may_say_beside_its_status_that_it_is_deleted(mark: dict[str, Any], expected: str) -> None:
    row = {"id": "a", "name": "a", "status": "running", **mark}

    (container,) = items(Container, [row])
    assert container.status == expected
    assert len(items(VpnClient, [row])) == (expected == "running")


def test_an_id_has_no_slash_here_and_gets_it_back_in_a_path() -> None:
    (container,) = items(Container, [{"id": "usr/abc/web"}])

    assert container.id == "usr\u29f8abc\u29f8web"
    assert call_to("containers.status", container.id, parse=str).path == "/containers/status/usr%2Fabc%2Fweb"


@pytest.mark.parametrize(
    "body", [None, {"data": None}, {"success": True, "items": None}, {"data": {"containers": None}}]
)
def test_null_is_an_empty_list(body: Any) -> None:
    read = items(Container, body, "containers")

    assert (read, read.gap) == ((), None)


def test_an_empty_list_is_a_list() -> None:
    assert items(Container, {"success": True, "count": 0, "data": []}) == ()


def test_an_absence_from_an_incomplete_list_is_unknown() -> None:
    whole, part = Listing("ab"), Listing("ab", gap="data[2]")

    assert whole.find(lambda row: row == "b") == part.find(lambda row: row == "b") == "b"
    assert whole.find(lambda row: row == "c") is None
    with pytest.raises(UnreadableAnswerError, match=r"incomplete \(data\[2\]\)"):
        part.find(lambda row: row == "c")
    assert pickle.loads(pickle.dumps(part)).gap == "data[2]"


@pytest.mark.parametrize("body", [{}, {"data": {"a": 1}}, {"data": {}}, {"odd": []}, "a", 7, {"data": "a"}])
def test_a_value_that_is_no_list_is_an_error(body: Any) -> None:
    with pytest.raises(ShapeError):
        items(Container, body)


def test_a_single_text_fills_all_its_fields() -> None:
    assert items(AllowedIp, ["10.0.0.1"], bare=("id", "ip_address")) == (
        AllowedIp(id="10.0.0.1", ip_address="10.0.0.1"),
    )


@pytest.mark.parametrize(
    "body",
    [
        "a\nb",
        {"data": "a\nb"},
        {"success": True, "data": {"logs": "a\nb"}},
        {"logs": ["a\n", "b\n"]},
        {"lines": ["a", {"line": "b"}]},
        {"data": [{"message": "a"}, {"log": "b"}]},
        {"certificate": "a\nb"},
        {"data": {"privateKey": "a\nb"}},
        {"private_key": "a\nb"},
        {"key": "a\nb"},
        {"config": "a\nb"},
        {"data": {"content": "a\nb"}},
    ],
)
def test_a_text_is_found_in_every_plausible_place(body: Any) -> None:
    assert text_of(body) == "a\nb"


def test_lines_of_a_log_keep_their_time() -> None:
    assert text_of({"logs": [{"timestamp": "12:00", "message": "a"}]}) == "12:00 a"


def test_an_empty_log_is_a_text() -> None:
    assert text_of({"success": True, "logs": ""}) == text_of({"data": []}) == text_of("") == ""


@pytest.mark.parametrize(
    "body",
    [
        None,
        7,
        {},
        {"message": "SSH key made"},
        {"data": {"id": 7}},
        {"logs": [7]},
        "<!DOCTYPE html><p>",
        " <html>",
    ],
)
def test_a_value_that_is_no_text_is_an_error(body: Any) -> None:
    with pytest.raises(ShapeError, match="a text was expected"):
        text_of(body)


def test_a_model_is_prepared_by_one_thread_before_any_other_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two first conversions of one model at the same time crash the interpreter (msgspec 0.22)."""

    class Fresh(Model, frozen=True, kw_only=True):
        id: str

    convert, events, start = msgspec.convert, list[str](), threading.Barrier(8)

    def watched(*arguments: Any, **options: Any) -> Any:
        events.append("begin")
        if len(events) == 1:
            # Other threads have the time to begin now, and must not.
            never(lambda: len(events) > 1, seconds=0.1)
        try:
            return convert(*arguments, **options)
        finally:
            events.append("end")

    def read() -> None:
        start.wait()
        record(Fresh, {"id": "1"})

    monkeypatch.setattr(msgspec, "convert", watched)
    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert events[:2] == ["begin", "end"]
    assert len(events) >= 2 * (8 + 1)


KINDS: tuple[type[Model], ...] = (AllowedIp, Backup, Connection, Container, VpnClient)


def spellings(kind: type[Model]) -> list[str]:
    """Every name by which a row may tell a field, in snake_case and camelCase, and one that means nothing."""
    names = [
        spelling
        for name in kind.__struct_fields__
        for spelling in (name, *kind.ALIASES.get(name, ()))
        if spelling != "id"
    ]
    humps = [name.split("_")[0] + "".join(map(str.title, name.split("_")[1:])) for name in names]
    return sorted({*names, *humps, "unknown"})


values = st.sampled_from(
    (
        None,
        True,
        7,
        -1,
        2.5,
        float("nan"),
        "7",
        "",
        "failed",
        "exited",
        "x\ny",
        [],
        ["a"],
        {},
        {"a": 1},
        {"a": "b"},
    )
)
ids: st.SearchStrategy[Any] = st.sampled_from((1, 178, "ab", "", "..", None, [], 2.5))


@st.composite
def listed(draw: st.DrawFn) -> tuple[type[Model], list[Any]]:
    """Rows of one kind; many have the same names in the same order, as the rows of a real list have."""
    kind = draw(st.sampled_from(KINDS))
    layouts = draw(
        st.lists(st.lists(st.sampled_from(spellings(kind)), unique=True, max_size=8), min_size=1, max_size=3)
    )
    rows: list[Any] = []
    for _ in range(draw(st.integers(0, 6))):
        names = draw(st.sampled_from(layouts))
        odd = draw(st.booleans())
        found = {name: draw(values) if odd else str(index) for index, name in enumerate(names)}
        rows.append(draw(st.sampled_from(({"id": draw(ids), **found}, found, "text", 3, None, []))))
    return kind, rows


def alone(kind: type[Model], rows: list[Any]) -> list[Model]:
    """What each row comes to alone; those that cannot be read are left out."""
    found = []
    for row in rows:
        try:
            found.append(record(kind, row))
        except ShapeError:
            continue
    return found


@given(listed())
@settings(max_examples=600, deadline=None)
def test_rows_are_equal_when_read_together_and_separately(case: tuple[type[Model], list[Any]]) -> None:
    kind, rows = case

    found = items(kind, rows)

    expected = alone(kind, rows)
    assert list(found) == expected
    assert (found.gap is None) is (len(expected) == len(rows))


ROW = {
    "id": "usr-abc12345-web",
    "name": "web",
    "type": "nodejs",
    "status": "running",
    "version": "22",
    "port": 80,
}


def test_only_the_malformed_field_is_lost() -> None:
    odd = {**ROW, "id": "odd", "port": "many"}

    found = items(Container, [ROW, odd, ROW])

    assert [row.port for row in found] == [80, None, 80]
    assert found.damaged == {"odd"}


def test_synonyms_and_numbers_of_a_list_are_read() -> None:
    usual = items(Container, [ROW, {**ROW, "status": "exited", "type": None}])
    numbers = items(Container, [{**ROW, "version": 22}, ROW])

    assert [row.status for row in usual] == ["running", "stopped"]
    assert [row.version for row in numbers] == ["22", "22"]


def test_a_row_as_it_comes_from_the_wire() -> None:
    body = msgspec.json.decode(json.dumps({"success": True, "count": 1, "data": [ROW]}))

    assert items(Container, body) == (
        Container(
            id="usr-abc12345-web", name="web", template="nodejs", status="running", version="22", port=80
        ),
    )


def test_one_list_of_connections_may_say_their_direction() -> None:
    read = connections(
        {"data": [{"id": "a", "direction": "outgoing"}, {"id": "b", "direction": "IN"}, {"id": "c"}]}
    )

    assert [row.id for row in read.outgoing] == ["a", "c"]
    assert [row.id for row in read.incoming] == ["b"]


def test_external_access_may_be_an_object() -> None:
    read = allowed_ips({"data": {"externalAccess": {"enabled": True, "url": "u"}, "allowed_ips": []}})

    assert (read.enabled, read.url) == (True, "u")
