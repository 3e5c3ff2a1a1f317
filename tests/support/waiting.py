"""Wait for a condition, with a limit that is long enough for a loaded machine."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], object], *, seconds: float = 60) -> None:
    """
    Return as soon as the condition holds.

    Raises:
        AssertionError: It does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {seconds:g} s"
        time.sleep(0.02)


def never(condition: Callable[[], object], *, seconds: float) -> None:
    """
    Check that a condition does not hold for some time.

    Raises:
        AssertionError: It holds.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not condition(), "the condition holds"
        time.sleep(0.02)
