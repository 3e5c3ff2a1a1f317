"""How many parts of a long read are done?"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from stacks_pulumi.pricing.money import count

FEW: Final = 8
"""For at most this number of parts, nothing is printed, because reading them takes only seconds."""

_EVERY: Final = 10.0
"""Seconds between two lines."""


def progress(parts: int, noun: str, verb: str) -> Callable[[int], None]:
    """Return a function that is called with the number of finished parts, and prints this number every few seconds."""
    last = time.monotonic()

    def done(number: int) -> None:
        nonlocal last
        if parts > FEW and time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            sys.stderr.write(f"{number} of {count(parts, noun)} {verb}\n")

    return done
