"""What goes wrong, and how often in a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MISHAPS", "TIMES", "Mishap"]


@dataclass(frozen=True)
class Mishap:
    """
    A fault of the emulator.

    Attributes:
        title: The column's head.
        kind: The emulator's name for it.
        options: Its options.
        slow: Whether it keeps the client waiting for its whole read time-out.
        late: Whether the request is carried out after the client gave it up, if it is carried out at all.
    """

    title: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    slow: bool = False
    late: bool = False


BEYOND = 31.5
"""Seconds; the client's read time-out is 30, and its first look at what became of a creation comes a second later."""

MISHAPS = (
    Mishap("lost before", "drop_before"),
    Mishap("lost after", "drop_after"),
    Mishap("429, told when", "rate_limited", {"retry_after": 1}),
    Mishap("429", "rate_limited"),
    Mishap("500", "status", {"code": 500}),
    Mishap("502", "status", {"code": 502}),
    Mishap("503", "status", {"code": 503}),
    Mishap("503, done", "html", {"code": 503}),
    Mishap("slow, done", "slow", {"seconds": BEYOND}, slow=True),
    Mishap("slow, done late", "slow", {"seconds": BEYOND, "done": False}, slow=True, late=True),
    Mishap("half the JSON", "truncated"),
    Mishap("HTML, done", "html"),
    Mishap("HTML, not done", "html", {"done": False}),
    Mishap("no body", "empty"),
    Mishap("other 2xx", "wrong_code"),
)

TIMES: Mapping[str, int | None] = {"once": 1, "twice": 2, "for good": None}
