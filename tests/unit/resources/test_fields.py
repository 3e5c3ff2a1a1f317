"""Check and diff with the field table."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.runtime import rpc

from stacks_pulumi.resources import _validators, _values
from stacks_pulumi.resources._fields import Field, OnChange, changed, checked

FIELDS = (
    Field("name", _validators.text, OnChange.REPLACE, required=True),
    Field("count", _validators.backup_number, OnChange.UPDATE, default=1),
    Field("note", _validators.text, OnChange.NONE),
    Field("made", _validators.text, OnChange.REPLACE, computed=True),
)


def test_values_get_their_normal_form_and_defaults() -> None:
    assert ({"name": "x", "count": 5}, {}) == checked(FIELDS, {"name": "x", "count": 5.0})
    assert ({"name": "x", "count": 1}, {}) == checked(FIELDS, {"name": "x"})


def test_all_failures_are_returned_together() -> None:
    inputs, failures = checked(FIELDS, {"count": "many", "note": 3})

    assert inputs == {}
    assert failures.keys() == {"name", "count", "note"}


def test_unknown_fields_are_dropped() -> None:
    assert checked(FIELDS, {"name": "x", "__provider": "blob"})[0].keys() == {"name", "count"}


@pytest.mark.parametrize("unknown", [rpc.UNKNOWN, [rpc.UNKNOWN], {"a": {"b": [rpc.UNKNOWN]}}])
def test_unknowns_pass_and_differ_from_everything(unknown: Any) -> None:
    inputs, failures = checked(FIELDS, {"name": unknown})

    assert ({}, rpc.UNKNOWN) == (failures, inputs["name"])
    assert [field.name for field in changed(FIELDS, {"name": "x", "count": 1}, inputs)] == ["name"]


def test_secret_marks_do_not_matter() -> None:
    assert checked(FIELDS, {"name": _values.secret("x")})[0]["name"] == "x"
    assert changed(FIELDS, {"name": _values.secret("x"), "count": 1}, {"name": "x", "count": 1}) == []


@pytest.mark.parametrize(
    ("olds", "news", "names"),
    [
        ({"name": "x", "count": 1.0}, {"name": "x", "count": 1}, []),
        ({"name": "x", "count": 1}, {"name": "y", "count": 2}, ["name", "count"]),
        ({"name": "x", "note": "a"}, {"name": "x", "note": "b"}, []),
        ({"name": "x", "extra": 1}, {"name": "x"}, []),
        ({"name": "x", "count": 3}, {"name": "x"}, ["count"]),
        ({"name": "x", "made": "7"}, {"name": "x"}, []),
        ({"name": "x", "made": "7"}, {"name": "x", "made": "8"}, ["made"]),
        ({"name": 7}, {"name": "x"}, ["name"]),
    ],
)
def test_only_relevant_differences_count(
    olds: dict[str, Any], news: dict[str, Any], names: list[str]
) -> None:
    assert [field.name for field in changed(FIELDS, olds, news)] == names
