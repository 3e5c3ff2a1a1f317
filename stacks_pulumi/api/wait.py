"""The states that a caller can wait for, and the function that evaluates the last known state."""

from __future__ import annotations

import enum
from typing import Final, Literal

import msgspec

from stacks_pulumi.api._words import ENDING_STATUSES, SETTLED_STATUSES


class WaitVerdict(enum.Enum):
    """What a single list tells a waiting caller."""

    GO_ON = "go on"
    REACHED = "reached"
    FAILED = "failed"
    VANISHED = "vanished"


class Wait(msgspec.Struct, frozen=True):
    """
    The target of a wait.

    If the state is neither in `target` nor in `failed`, the wait continues, because the API guide has no complete list
    of states.

    Attributes:
        name: The wanted state, as in the message "wanted ...".
        target: States that end the wait with success.
        failed: States from which the resource can no longer reach a target state.
        gone: Whether the resource's absence is the `target` of the wait or an `error`.
        acknowledged: Whether the API has acknowledged our delete request. If so, one absence proves the deletion.
        failures: The number of consecutive lists that must show a failed state before the wait fails. It is greater
            than one if the resource may already be in such a state when the wait begins.
        delay: Seconds before the first list.
        earliest: The minimum duration of the operation in seconds (guide). If few requests are left in the window of
            the rate limit, no list is requested until this time has passed.
        quick: The first seconds of the wait, within which a quick operation usually ends.
        often: The seconds between lists during that time, if the rate limit allows it.
    """

    name: str
    target: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    gone: Literal["target", "error"] = "error"
    acknowledged: bool = False
    failures: int = 1
    delay: float = 1.0
    earliest: float = 0.0
    quick: float = 5.0
    often: float = 1.0


_FAILED: Final = frozenset({"error"})
_STOPPED: Final = frozenset({"stopped"})

CREATED: Final = Wait(
    "running",
    frozenset({"running"}),
    _FAILED | _STOPPED | ENDING_STATUSES,
    failures=2,
    earliest=10.0,
    quick=2.0,
)
"""A new container is running (guide, "Create Container": after 10 to 30 seconds)."""

STARTED: Final = Wait("running", frozenset({"running"}), _FAILED, failures=3)
"""A container is running after a start or restart. It may have failed before the request."""

STOPPED: Final = Wait("stopped", _STOPPED, _FAILED, failures=3)
"""A container has stopped after a stop request."""

SETTLED: Final = Wait("settled", SETTLED_STATUSES, ENDING_STATUSES)
"""A container is no longer changing from one status to another."""

GONE: Final = Wait("gone", gone="target", acknowledged=True, often=0.5)
"""A container is deleted after an acknowledged delete request, and its name is free."""

ABSENT: Final = Wait("gone", gone="target")
"""A container is deleted although no delete request was acknowledged."""

BACKED_UP: Final = Wait("completed", frozenset({"completed"}), frozenset({"failed"}), quick=2.0)
"""A backup is complete."""


def verdict(wait: Wait, state: str, looks: int, *, may_be_old: bool = False) -> WaitVerdict:
    """
    Return what the state in a list tells a waiting caller.

    Args:
        wait: The target of the wait.
        state: The state of the resource.
        looks: The number of consecutive lists that have shown that state, including this one.
        may_be_old: Whether the state may be from before the request, because the lists may lag behind.
    """
    if state in wait.target:
        return WaitVerdict.REACHED
    has_failed = state in wait.failed and looks >= wait.failures and not may_be_old
    return WaitVerdict.FAILED if has_failed else WaitVerdict.GO_ON
