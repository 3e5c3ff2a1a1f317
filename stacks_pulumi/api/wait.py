"""
The states that a caller can wait for, and the function that judges the state seen last.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal

from stacks_pulumi.api.models import SETTLED_STATUSES


class WaitVerdict(enum.Enum):
    """What one list means for a wait."""

    GO_ON = "go on"
    REACHED = "reached"
    FAILED = "failed"
    VANISHED = "vanished"


@dataclass(frozen=True)
class Wait:
    """
    What to wait for.

    In a state of neither set the wait goes on, because the API guide does not list all states.

    Attributes:
        name: The wanted state, for messages: it completes "wanted ...".
        target: States that end the wait with success.
        failed: States from which the resource can no longer reach a target state.
        gone: Whether the absence of the resource is the target or an error.
        absences: How many lists in a row must not contain the resource before it counts as absent.
        failures: How many lists in a row must show a failed state before it counts. It is more than one if the resource
            may be in such a state when the wait begins.
        delay: Seconds before the first list.
    """

    name: str
    target: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    gone: Literal["target", "error"] = "error"
    absences: int = 3
    failures: int = 1
    delay: float = 1.0


_FAILED: Final = frozenset({"error", "failed"})
_ENDED: Final = frozenset({"stopped", "exited", "deleting", "deleted"})

CREATED: Final = Wait("running", frozenset({"running"}), _FAILED | _ENDED)
"""A new container is running (guide, "Create Container": 10 to 30 seconds)."""

STARTED: Final = Wait("running", frozenset({"running"}), _FAILED, failures=3)
"""A container is running after a start or restart, perhaps after a failure."""

STOPPED: Final = Wait("stopped", frozenset({"stopped", "exited"}), _FAILED, failures=3)
"""A container has stopped after a stop request."""

SETTLED: Final = Wait("settled", SETTLED_STATUSES, frozenset({"deleting", "deleted"}))
"""A container is no longer changing from one status to another."""

GONE: Final = Wait("gone", gone="target", absences=1)
"""A container is gone after a delete request, and its name is free."""

BACKED_UP: Final = Wait("completed", frozenset({"completed"}), _FAILED)
"""A backup is complete."""


def verdict(wait: Wait, state: str | None, looks: int) -> WaitVerdict:
    """
    Return what a list means for a wait.

    Args:
        wait: What is waited for.
        state: The state of the resource, or `None` if the list does not contain it.
        looks: How many lists in a row have shown that state, including this one.
    """
    if state is None:
        if looks < wait.absences:
            return WaitVerdict.GO_ON
        return WaitVerdict.REACHED if wait.gone == "target" else WaitVerdict.VANISHED
    if state in wait.target:
        return WaitVerdict.REACHED
    if state in wait.failed and looks >= wait.failures:
        return WaitVerdict.FAILED
    return WaitVerdict.GO_ON
