"""
Checks of the arguments that a test or another process passes.

A control request can contain any JSON. A value of the wrong type would break a later request, the page, or the state
file, whose types are checked when it is read. The origin of the value would then be hard to find.
"""

from __future__ import annotations

import ipaddress
import math
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["address", "count", "dollars", "flag", "seconds", "text"]


def count(what: str, value: Any, *, least: int = 1) -> int | None:
    """
    Return a whole number, or `None` for no limit.

    Raises:
        ValueError: The value is neither, or less than `least`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{what} must be a whole number from {least} on, not {value!r}")
    return value


def dollars(what: str, value: Any) -> Decimal | None:
    """
    Return an amount of US dollars, which may be given as text, or `None` for no limit.

    Raises:
        ValueError: The value is neither.
    """
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    # In JSON it becomes a float, which has a smaller range than a Decimal.
    if not amount.is_finite() or amount < 0 or math.isinf(float(amount)):
        raise ValueError(f"{what} must be an amount of US dollars from 0 on, not {value!r}")
    return amount


def seconds(what: str, value: Any) -> float:
    """
    Return a duration of at most a day.

    Raises:
        ValueError: The value is more than a day, negative, or not a number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 86400:
        raise ValueError(f"{what} must be a number of seconds from 0 to 86400, not {value!r}")
    return value


def text(what: str, value: Any) -> str:
    """
    Return a text that is not empty.

    Raises:
        ValueError: The value is not text, or empty.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} must be text, not {value!r}")
    return value


def flag(what: str, value: Any) -> bool:
    """
    Return true or false.

    Raises:
        ValueError: The value is neither.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{what} must be true or false, not {value!r}")  # noqa: TRY004  (one type of error for all checks)
    return value


def address(what: str, value: Any) -> str:
    """
    Return an IPv4 or IPv6 address.

    Raises:
        ValueError: The value is not an address, or is a range.
    """
    try:
        # `ipaddress` accepts a number as well, and a zone, which has a meaning on one machine only.
        known = isinstance(value, str) and bool(ipaddress.ip_address(value)) and "%" not in value
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{what} must be an IPv4 or IPv6 address, not {value!r}")
    return str(value)
