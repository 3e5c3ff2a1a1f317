"""
Comparison of container identities: id, name and creation time.

Creation times are compared as instants, to the second, because the API writes them in more than one format.
"""

from __future__ import annotations

import datetime
from typing import Final

__all__ = ["account_of", "is_before", "same_instant", "same_name"]

_TOLERANCE: Final = datetime.timedelta(seconds=1)


def account_of(id_: str) -> str:
    """Return the account's part of an id: `usr-abc12345` for `usr-abc12345-web/laptop`."""
    return "-".join(id_.split("/", maxsplit=1)[0].split("-")[:2])


def same_name(one: str | None, other: str) -> bool:
    """Return whether two names are equal, ignoring case: the API may store a name in lower case."""
    return one is not None and one.casefold() == other.casefold()


def same_instant(first: str | None, second: str | None) -> bool:
    """Return whether two times are the same to the second; true if one of them is missing or unreadable."""
    one, other = _instant(first), _instant(second)
    if one is None or other is None:
        return True
    return abs(one - other) <= _TOLERANCE


def is_before(first: str | None, second: str | None) -> bool:
    """Return whether the first time is certainly earlier than the second."""
    one, other = _instant(first), _instant(second)
    return one is not None and other is not None and one < other - _TOLERANCE


def _instant(text: str | None) -> datetime.datetime | None:
    if not isinstance(text, str):
        return None
    try:
        # Python 3.10 does not parse a `Z`.
        parsed = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=datetime.timezone.utc)
