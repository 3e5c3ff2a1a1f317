"""What goes wrong, and how often in a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FAILURES", "READ_SECONDS", "REFUSALS", "TIMES", "Failure"]


@dataclass(frozen=True)
class Failure:
    """
    A fault of the emulator.

    Attributes:
        title: The heading of the column.
        kind: The emulator's name for the fault.
        options: Its options.
        slow: Whether the client waits for its whole read timeout.
        late: Whether the API carries out the request after the client's timeout.
        refused: Whether later attempts are refused because the first was carried out. The first attempt alone meets
            `kind`; the row of `TIMES` says how many later attempts are refused.
    """

    title: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    slow: bool = False
    late: bool = False
    refused: bool = False


READ_SECONDS = 30.0
"""The client's read timeout."""
BEYOND = READ_SECONDS + 1.5
"""Seconds. The client looks for the result of a creation one second after its read timeout."""

FAILURES = (
    Failure("lost before", "drop_before"),
    Failure("lost after", "drop_after"),
    Failure("429, told when", "rate_limited", {"retry_after": 1}),
    Failure("429", "rate_limited"),
    Failure("500", "status", {"code": 500}),
    Failure("502", "status", {"code": 502}),
    Failure("503", "status", {"code": 503}),
    Failure("503, done", "status", {"code": 503, "done": True}),
    Failure("refused: already done", "drop_after", refused=True),
    Failure("slow, done", "slow", {"seconds": BEYOND}, slow=True),
    Failure("slow, done late", "slow", {"seconds": BEYOND, "done": False}, slow=True, late=True),
    Failure("half the JSON", "truncated"),
    Failure("HTML, done", "html"),
    Failure("HTML, not done", "html", {"done": False}),
    Failure("no body", "empty"),
    Failure("other 2xx", "wrong_code"),
)

REFUSALS: Mapping[str, tuple[tuple[int, int | None], ...]] = {
    "once": ((400, 1),),
    "twice": ((400, 1), (409, 1)),
    "every time": ((409, None),),
}
"""The statuses of later attempts that are refused because the first was carried out, and how often each."""

TIMES: Mapping[str, int | None] = {"once": 1, "twice": 2, "every time": None}
