from __future__ import annotations

import pytest

from stacks_pulumi.api._call import Answer
from stacks_pulumi.api._limiter import Rates, rates, retry_after

NOW = 1_800_000_000.0
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"  # the same moment


def answer(**headers: str) -> Answer:
    return Answer(200, {name.replace("_", "-"): value for name, value in headers.items()}, received=NOW)


def test_the_three_headers_are_read() -> None:
    told = rates(
        answer(x_ratelimit_limit="60", x_ratelimit_remaining="0", x_ratelimit_reset=str(int(NOW) + 20))
    )

    assert told == Rates(limit=60, remaining=0, left=20.0)


def test_missing_headers_are_unknown() -> None:
    assert rates(answer()) == Rates(None, None, None)


@pytest.mark.parametrize("nonsense", ["", "many", "-1", "0x3c", "NaN", "9" * 400, "²"])
def test_invalid_headers_are_unknown(nonsense: str) -> None:
    told = rates(
        answer(x_ratelimit_limit=nonsense, x_ratelimit_remaining=nonsense, x_ratelimit_reset=nonsense)
    )

    assert told == Rates(None, None, None)
    assert retry_after(answer(retry_after=nonsense)) is None


def test_a_limit_of_none_at_all_is_not_believed() -> None:
    assert rates(answer(x_ratelimit_limit="0")).limit is None


def test_reset_is_compared_with_the_clock_of_the_api() -> None:
    skewed = Answer(200, {"date": DATE, "x-ratelimit-reset": str(int(NOW) + 30)}, received=NOW + 3600)

    assert rates(skewed).left == 30.0


@pytest.mark.parametrize(("skew", "expected"), [(-3600, 65.0), (3600, 0.0)])
def test_without_the_clock_of_the_api_a_skew_is_bounded(skew: float, expected: float) -> None:
    skewed = Answer(200, {"x-ratelimit-reset": str(int(NOW) + 30)}, received=NOW + skew)

    assert rates(skewed).left == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("Fri, 15 Jan 2027 08:00:42 GMT", 42.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, expected: float) -> None:
    assert retry_after(answer(retry_after=text)) == expected
