from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.api._bodies import ShapeError, parse
from stacks_pulumi.api.models import Point


@pytest.mark.parametrize(
    "body",
    [
        {
            "data": {
                "cpu": [{"timestamp": "t1", "value": 1.5}],
                "networkIn": [{"timestamp": "t1", "value": 2}],
            }
        },
        {"success": True, "cpu": [["t1", 1.5]], "network_in": [["t1", "2"]]},
        {"metrics": {"timestamps": ["t1"], "cpu": [1.5], "network_in": [2]}},
        {"data": [{"timestamp": "t1", "cpu": 1.5, "networkIn": 2}]},
        [{"time": "t1", "cpu": "1.5", "network_in": 2, "disk": None}],
    ],
)
def test_measurements_come_in_any_shape(body: Any) -> None:
    read = parse(body)

    assert read.cpu == (Point(timestamp="t1", value=1.5),)
    assert read.network_in == (Point(timestamp="t1", value=2.0),)
    assert read.disk == ()


def test_a_time_in_numbers_stays_what_it_was() -> None:
    assert parse({"cpu": [{"ts": 1700000000, "v": 1}]}).cpu == (Point(timestamp="1700000000", value=1.0),)


def test_a_point_may_have_no_time() -> None:
    assert parse({"cpu": [1, 2]}).cpu == (Point(value=1.0), Point(value=2.0))


@pytest.mark.parametrize(
    "body",
    [7, None, "a", [7], {"cpu": 7}, {"cpu": ["a"]}, {"cpu": [{"timestamp": "t"}]}, {"cpu": [[1, 2, 3]]}],
)
def test_a_value_that_is_no_measurement_is_an_error(body: Any) -> None:
    with pytest.raises(ShapeError):
        parse(body)


@pytest.mark.parametrize("body", [{}, {"data": {}}, [], {"data": {"cpu": []}}])
def test_no_measurements_are_none(body: Any) -> None:
    assert parse(body).cpu == ()
