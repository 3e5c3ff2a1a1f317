from __future__ import annotations

import pytest

from stacks_pulumi.api._call import Priority, path
from tests.unit.api.scripted_api import a_call


def test_an_id_stays_one_segment_whatever_is_in_it() -> None:
    assert path("containers", "a/b?c#d e", 7) == "/containers/a%2Fb%3Fc%23d%20e/7"


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_segment_that_would_lead_elsewhere_is_refused(segment: str) -> None:
    with pytest.raises(ValueError, match="not a valid id or name"):
        path("containers", segment)


@pytest.mark.parametrize(
    ("method", "poll", "expected"),
    [
        ("GET", False, Priority.READ),
        ("GET", True, Priority.POLL),
        ("PUT", False, Priority.WRITE),
        ("POST", False, Priority.WRITE),
        ("DELETE", False, Priority.WRITE),
    ],
)
def test_writes_go_before_reads_before_polls(method: str, poll: bool, expected: Priority) -> None:
    assert a_call(method, poll=poll).priority is expected
    assert Priority.WRITE < Priority.READ < Priority.POLL


@pytest.mark.parametrize(
    ("method", "again", "expected"),
    [
        ("GET", False, True),
        ("PUT", False, True),
        ("DELETE", False, True),
        ("POST", False, False),
        ("POST", True, True),
    ],
)
def test_only_a_post_is_not_repeatable_unless_it_says_so(method: str, again: bool, expected: bool) -> None:
    assert a_call(method, again=again).repeatable is expected
