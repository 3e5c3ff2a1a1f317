"""
What an answer tells about the rate limit (guide, "Rate Limiting"), with times turned into seconds from now.
"""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass
from typing import Final

from stacks_pulumi.api._call import Answer

__all__ = ["WINDOW", "Rates", "rates", "retry_after", "server_time"]

WINDOW: Final = 60.0
"""Limits are per minute."""

_LONGEST_LEFT: Final = WINDOW + 5
"""A window cannot end later than this from now; a larger figure is a wrong clock, ours or theirs."""

_COUNT: Final = re.compile(r"\s*(\d{1,9})(?!\w)")
_SECONDS: Final = re.compile(r"\s*(\d{1,11}(?:\.\d+)?)(?!\w)")


@dataclass(frozen=True)
class Rates:
    """
    The rate headers of an answer; `None` for those that it does not have, or that make no sense.

    Attributes:
        limit: Requests in a window.
        remaining: Requests left in this one.
        left: Seconds until it ends; 0 if it is over.
    """

    limit: int | None = None
    remaining: int | None = None
    left: float | None = None


def rates(answer: Answer) -> Rates:
    """The rate headers of an answer."""
    limit = _number(_COUNT, answer.headers.get("x-ratelimit-limit"))
    remaining = _number(_COUNT, answer.headers.get("x-ratelimit-remaining"))
    reset = _number(_SECONDS, answer.headers.get("x-ratelimit-reset"))
    left = None if reset is None else min(max(reset - _server_time(answer), 0.0), _LONGEST_LEFT)
    return Rates(int(limit) if limit else None, None if remaining is None else int(remaining), left)


def retry_after(answer: Answer) -> float | None:
    """Seconds that the answer asks to wait (a number or a date), or `None`."""
    text = answer.headers.get("retry-after")
    seconds = _number(_SECONDS, text)
    if seconds is not None:
        return seconds
    date = _date(text)
    return None if date is None else max(date - _server_time(answer), 0.0)


def server_time(answer: Answer) -> float | None:
    """When the server sent the answer, by its own clock, in seconds since the Unix epoch; `None` if it does not say."""
    return _date(answer.headers.get("date"))


def _server_time(answer: Answer) -> float:
    # Reset is a time by the server's clock, so it is compared with the server's clock where the answer shows it.
    date = server_time(answer)
    return answer.received if date is None else date


def _number(pattern: re.Pattern[str], text: str | None) -> float | None:
    found = pattern.match(text) if text else None
    return float(found.group(1)) if found else None


def _date(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
