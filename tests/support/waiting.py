"""
Waits for a condition. Tests do not limit durations, because such tests fail on a loaded machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 300.0
"""
Seconds after which a wait counts as a hang: far above any test's duration on a loaded machine, and below pytest's
timeout, so that the failure names the condition.
"""


def until(condition: Callable[[], object], *, alive: Callable[[], object] = lambda: True) -> None:
    """
    Return as soon as the condition is true.

    Args:
        condition: The condition to wait for.
        alive: Whether the process or thread that makes the condition true still runs.

    Raises:
        AssertionError: The condition can no longer become true, or is not true in time.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        # The condition may have become true just before the end.
        assert alive() or condition(), "it has ended, and the condition does not hold"
        assert time.monotonic() < deadline, f"the condition did not hold within {PATIENCE:g} s"
        time.sleep(0.02)


def never(condition: Callable[[], object], *, seconds: float) -> None:
    """
    Check that a condition stays false for some time. On a loaded machine, it checks less often and does not fail.

    Raises:
        AssertionError: The condition is true.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not condition(), "the condition holds"
        time.sleep(0.02)
