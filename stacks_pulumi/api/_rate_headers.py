"""
Reads the rate headers of an answer (guide, "Rate Limiting"), and converts their times to seconds from now.
"""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass
from typing import Final

from stacks_pulumi.api._call import Answer

__all__ = ["WINDOW", "Rates", "rates", "retry_after", "server_time"]

WINDOW: Final = 60.0
"""Length of a window in seconds: limits are per minute."""

_LONGEST_LEFT: Final = WINDOW + 5
"""A window ends at most this many seconds from now. A larger value means that one of the two clocks is wrong."""

_COUNT: Final = re.compile(r"\s*(\d{1,9})(?!\w)")
_SECONDS: Final = re.compile(r"\s*(\d{1,11}(?:\.\d+)?)(?!\w)")


@dataclass(frozen=True)
class Rates:
    """
    The rate headers of an answer. A header that is missing or invalid is `None`.

    Attributes:
        limit: Requests in a window.
        remaining: Requests left in this window.
        left: Seconds until the window ends; 0 if it has ended.
    """

    limit: int | None = None
    remaining: int | None = None
    left: float | None = None


def rates(answer: Answer) -> Rates:
    """Return the rate headers of an answer."""
    limit = _number(_COUNT, answer.headers.get("x-ratelimit-limit"))
    remaining = _number(_COUNT, answer.headers.get("x-ratelimit-remaining"))
    reset = _number(_SECONDS, answer.headers.get("x-ratelimit-reset"))
    left = None if reset is None else min(max(reset - _server_time(answer), 0.0), _LONGEST_LEFT)
    return Rates(int(limit) if limit else None, None if remaining is None else int(remaining), left)


def retry_after(answer: Answer) -> float | None:
    """Return the seconds that the answer asks to wait, given as a number or a date; `None` if it does not ask."""
    text = answer.headers.get("retry-after")
    seconds = _number(_SECONDS, text)
    if seconds is not None:
        return seconds
    date = _date(text)
    return None if date is None else max(date - _server_time(answer), 0.0)


def server_time(answer: Answer) -> float | None:
    """Return the date in the answer's header, in seconds since the Unix epoch; `None` if there is no date."""
    return _date(answer.headers.get("date"))


def _server_time(answer: Answer) -> float:
    # The reset time is by the server's clock, so it is compared with the answer's date if there is one.
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
