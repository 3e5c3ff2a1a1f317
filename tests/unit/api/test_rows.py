"""Rows that are read together have the same result as each row alone, for every content."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacks_pulumi.api import _bodies as _lenient
from stacks_pulumi.api._bodies import ShapeError, items, record
from stacks_pulumi.api.models import AllowedIp, Backup, Connection, Container, Model, VpnClient

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


def test_rows_of_a_usual_list_are_not_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_args: object) -> None:
        raise AssertionError("one row alone was read")

    monkeypatch.setattr(_lenient, "_read", read)

    usual = items(Container, [ROW, {**ROW, "status": "exited", "type": None}])
    numbers = items(Container, [{**ROW, "version": 22}, ROW])

    assert [row.status for row in usual] == ["running", "stopped"]
    assert [row.version for row in numbers] == ["22", "22"]


def test_only_the_malformed_row_is_read_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    read, alone = _lenient._read, list[Any]()

    def noted(kind: Any, value: Any, path: str) -> Any:
        alone.append(value)
        return read(kind, value, path)

    monkeypatch.setattr(_lenient, "_read", noted)
    odd = {**ROW, "id": "odd", "port": "many"}

    found = items(Container, [ROW, odd, ROW])

    assert alone == [odd]
    assert [row.port for row in found] == [80, None, 80]
    assert found.damaged == {"odd"}


def test_a_row_as_it_comes_from_the_wire() -> None:
    body = msgspec.json.decode(json.dumps({"success": True, "count": 1, "data": [ROW]}))

    assert items(Container, body) == (
        Container(
            id="usr-abc12345-web", name="web", template="nodejs", status="running", version="22", port=80
        ),
    )
