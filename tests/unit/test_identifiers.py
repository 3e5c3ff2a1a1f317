"""Times in all forms that a platform may use."""

from __future__ import annotations

import pytest

from stacks_pulumi._identifiers import compare_instants, seconds_of

MOMENT = 1_795_791_689


@pytest.mark.parametrize(
    "text",
    [
        "1795791689",
        "1795791689.25",
        "1795791689000",
        "1795791689000250",
        "1795791689000250123",
        "2026-11-27T15:01:29Z",
        "2026-11-27T15:01:29.1234567Z",
        "2026-11-27 15:01:29.123456789+00:00",
        "2026-11-27T16:01:29.5+01:00",
        "2026-11-27T15:01:29",
        "Fri, 27 Nov 2026 15:01:29 GMT",
    ],
)
def test_a_time_may_be_written_in_many_forms(text: str) -> None:
    assert seconds_of(text) == pytest.approx(MOMENT, abs=1)
    assert compare_instants(text, "2026-11-27T15:01:29.000Z") is True
    assert compare_instants(text, "2026-11-27T15:01:39.000Z") is False


@pytest.mark.parametrize(
    "text", [None, "", "2026", "1795791689x", "9" * 40, "0000-99-99T00:00:00Z", "0001-01-01T00:00:00+01:00"]
)
def test_what_is_no_time_shows_nothing(text: str | None) -> None:
    assert seconds_of(text) is None
    assert compare_instants(text, text) in {None, True}
    assert compare_instants(text, "2026-11-27T15:01:29.000Z") is None


@pytest.mark.parametrize(
    ("text", "same"), [("27.11.2026 15:01:29", True), ("2 hours ago", None), ("yesterday", None)]
)
def test_a_form_that_is_not_known_is_equal_to_itself_if_it_has_a_date(text: str, same: bool | None) -> None:
    assert compare_instants(text, text) is same
    assert compare_instants(text, text.replace("2", "3")) is None
