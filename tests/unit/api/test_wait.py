from __future__ import annotations

import pytest

from stacks_pulumi.api.wait import BACKED_UP, CREATED, GONE, STARTED, STOPPED, Wait, WaitVerdict, verdict

GO_ON, REACHED, FAILED = WaitVerdict.GO_ON, WaitVerdict.REACHED, WaitVerdict.FAILED


@pytest.mark.parametrize(
    ("wait", "state", "looks", "expected"),
    [
        (CREATED, "pending", 1, GO_ON),
        (CREATED, "some state of the future", 99, GO_ON),
        (CREATED, "", 99, GO_ON),
        (CREATED, "running", 1, REACHED),
        # A status that was read once may be temporary during a boot.
        (CREATED, "error", 1, GO_ON),
        (CREATED, "error", 2, FAILED),
        (CREATED, "stopped", 1, GO_ON),
        (CREATED, "stopped", 2, FAILED),
        # A started container may have failed before, and the list may still show this for a moment.
        (STARTED, "error", 1, GO_ON),
        (STARTED, "error", 3, FAILED),
        (STARTED, "stopped", 99, GO_ON),
        (STARTED, "running", 1, REACHED),
        (STOPPED, "running", 99, GO_ON),
        (STOPPED, "stopped", 1, REACHED),
        (STOPPED, "error", 3, FAILED),
        (GONE, "deleting", 99, GO_ON),
        (GONE, "error", 99, GO_ON),
        (BACKED_UP, "in_progress", 99, GO_ON),
        (BACKED_UP, "completed", 1, REACHED),
        (BACKED_UP, "failed", 1, FAILED),
    ],
)
def test_the_verdict_on_a_look(wait: Wait, state: str, looks: int, expected: WaitVerdict) -> None:
    assert verdict(wait, state, looks) is expected


@pytest.mark.parametrize("wait", [CREATED, STARTED, STOPPED, GONE, BACKED_UP])
def test_waits_are_frozen_and_not_contradictory(wait: Wait) -> None:
    assert not wait.target & wait.failed
    with pytest.raises(AttributeError, match="immutable"):
        wait.name = "x"  # type: ignore[misc]  # this must fail
