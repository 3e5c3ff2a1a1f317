"""
Wait for a condition. Tests measure no time: a limit on a duration fails when the machine is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 300.0
"""
Seconds after which a wait is a hang. It is far above the duration of any test on a loaded machine, and below pytest's
timeout, so that the failure names the condition.
"""


def until(condition: Callable[[], object], *, alive: Callable[[], object] = lambda: True) -> None:
    """
    Return as soon as the condition holds.

    Args:
        condition: What to wait for.
        alive: Whether the process or thread that brings it about still runs.

    Raises:
        AssertionError: It can no longer hold, or does not hold in time.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        # The condition may have become true just before the end.
        assert alive() or condition(), "it has ended, and the condition does not hold"
        assert time.monotonic() < deadline, f"the condition did not hold within {PATIENCE:g} s"
        time.sleep(0.02)


def never(condition: Callable[[], object], *, seconds: float) -> None:
    """
    Check that a condition does not hold for some time. On a loaded machine it checks less often, and does not fail.

    Raises:
        AssertionError: It holds.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not condition(), "the condition holds"
        time.sleep(0.02)
