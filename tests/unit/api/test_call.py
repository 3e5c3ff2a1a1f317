from __future__ import annotations

import pytest

from stacks_pulumi.api._bodies import done
from stacks_pulumi.api._call import call_to
from stacks_pulumi.api._limiter import Priority, priority_of
from tests.unit.api.scripted_api import a_call


def test_every_id_is_one_path_segment() -> None:
    assert call_to("allowed_ips.remove", "a/b?c#d e", 7, parse=done).path == (
        "/containers/a%2Fb%3Fc%23d%20e/allowed-ips/7"
    )


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_segment_that_changes_the_path_is_refused(segment: str) -> None:
    with pytest.raises(ValueError, match="not a valid id or name"):
        call_to("containers.delete", segment, parse=done)


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
def test_writes_precede_reads_and_reads_precede_polls(method: str, poll: bool, expected: Priority) -> None:
    assert priority_of(a_call(method, poll=poll)) is expected
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
def test_only_a_post_is_not_repeatable_by_default(method: str, again: bool, expected: bool) -> None:
    assert a_call(method, again=again).repeatable is expected
