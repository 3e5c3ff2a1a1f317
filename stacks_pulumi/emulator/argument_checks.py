"""
What a test or another process hands in, looked at before it is kept.

A control request can hold any JSON. A value of the wrong kind would break a later request, the page, or the state
file, which is read again by its types; there nobody could tell any more where it came from.
"""

from __future__ import annotations

import ipaddress
import math
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["address", "count", "dollars", "flag", "seconds", "text"]


def count(what: str, value: Any, *, least: int = 1) -> int | None:
    """
    A whole number, or `None` for no limit.

    Raises:
        ValueError: It is neither, or less than `least`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{what} must be a whole number from {least} on, not {value!r}")
    return value


def dollars(what: str, value: Any) -> Decimal | None:
    """
    An amount of US dollars, also one in text, or `None` for no limit.

    Raises:
        ValueError: It is neither.
    """
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    # As JSON it is a float, which cannot hold what a Decimal can.
    if not amount.is_finite() or amount < 0 or math.isinf(float(amount)):
        raise ValueError(f"{what} must be an amount of US dollars from 0 on, not {value!r}")
    return amount


def seconds(what: str, value: Any) -> float:
    """
    A time that one can wait for.

    Raises:
        ValueError: It is more than a day, negative, or no number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 86400:
        raise ValueError(f"{what} must be a number of seconds from 0 to 86400, not {value!r}")
    return value


def text(what: str, value: Any) -> str:
    """
    Text that says something.

    Raises:
        ValueError: It is none, or empty.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} must be text, not {value!r}")
    return value


def flag(what: str, value: Any) -> bool:
    """
    Yes or no.

    Raises:
        ValueError: It is neither.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{what} must be true or false, not {value!r}")  # noqa: TRY004  (one kind for all of them)
    return value


def address(what: str, value: Any) -> str:
    """
    An IPv4 or IPv6 address.

    Raises:
        ValueError: It is none; a range is none either.
    """
    try:
        # A number is an address to this module too, and a zone means something on one machine only.
        known = isinstance(value, str) and bool(ipaddress.ip_address(value)) and "%" not in value
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{what} must be an IPv4 or IPv6 address, not {value!r}")
    return str(value)
