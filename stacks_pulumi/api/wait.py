"""
What can be waited for, as data, and the judgement on what is seen.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal

from stacks_pulumi.api.models.container import SETTLED_STATUSES

__all__ = ["BACKED_UP", "CREATED", "GONE", "SETTLED", "STARTED", "STOPPED", "Wait", "WaitVerdict", "verdict"]


class WaitVerdict(enum.Enum):
    """What one look means."""

    GO_ON = "go on"
    REACHED = "reached"
    FAILED = "failed"
    VANISHED = "vanished"


@dataclass(frozen=True)
class Wait:
    """
    What to wait for.

    A state in neither set is waited in: the API guide does not list all states.

    Attributes:
        name: What is waited for, for people: it completes "wanted ...".
        target: States that end it.
        failed: States from which none of those is reached any more.
        gone: What it means if the thing is not there: the target, or an error.
        absences: How many looks in a row must miss it before that counts.
        failures: How many looks in a row must show a failed state before that counts. More than one where the wait
            may begin in such a state.
        delay: Seconds before the first look.
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
"""A container that was just created runs (guide, "Create Container": 10 to 30 seconds)."""

STARTED: Final = Wait("running", frozenset({"running"}), _FAILED, failures=3)
"""A container runs that was asked to start or restart, perhaps because it had failed."""

STOPPED: Final = Wait("stopped", frozenset({"stopped", "exited"}), _FAILED, failures=3)
"""A container that was asked to stop has stopped."""

SETTLED: Final = Wait("settled", SETTLED_STATUSES, frozenset({"deleting", "deleted"}))
"""A container is no longer on its way from one status to another, whichever it is on its way to."""

GONE: Final = Wait("gone", gone="target", absences=1)
"""A container that was asked to be deleted is gone, and its name is free."""

BACKED_UP: Final = Wait("completed", frozenset({"completed"}), _FAILED)
"""A backup is complete."""


def verdict(wait: Wait, state: str | None, looks: int) -> WaitVerdict:
    """
    What a look means.

    Args:
        wait: What is waited for.
        state: The state seen, or `None` if the thing was not there.
        looks: How many looks in a row have seen just that, this one included.
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
