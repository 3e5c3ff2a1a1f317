"""
Property values as they come out of a preview, a state file or a policy request.

A value may be unknown: because it is an output that does not exist yet, because it is a secret that the engine
blinded, or because it is of a type that the property cannot have. All three are `UNKNOWN`, which is neither `None`
(absent) nor any value, so that nothing can be mistaken for free, small or allowed.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["SIGNATURE", "UNKNOWN", "Unknown", "boolean", "is_unknown", "text", "whole"]


class Unknown(enum.Enum):
    """The type of `UNKNOWN`; an enumeration, so that type checkers tell it from every real value."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown.UNKNOWN
"""A value that will only be known later, or that is hidden."""

_BLINDED: Final = "[secret]"

# The engine writes an output that does not exist yet as one of these, one for each type (Pulumi's resource protocol).
_SENTINELS: Final = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""Marks an object that stands for a secret, encrypted or not, and for assets (the same protocol)."""


def is_unknown(value: Any) -> bool:
    """Whether a raw value stands for one that cannot be read."""
    if isinstance(value, str):
        return value in _SENTINELS or value == _BLINDED
    if isinstance(value, Mapping):
        return SIGNATURE in value
    return value is UNKNOWN


def text(properties: Mapping[str, Any], name: str) -> str | Unknown | None:
    """A property that is a string; `None` if it is absent."""
    value = properties.get(name)
    if value is None:
        return None
    return value if isinstance(value, str) and not is_unknown(value) else UNKNOWN


def whole(properties: Mapping[str, Any], name: str) -> int | Unknown | None:
    """A property that is a whole number (the engine makes floats of them); `None` if it is absent."""
    value = properties.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return UNKNOWN
    return int(value)


def boolean(properties: Mapping[str, Any], name: str) -> bool | Unknown | None:
    """A property that is true or false; `None` if it is absent."""
    value = properties.get(name)
    return value if value is None or isinstance(value, bool) else UNKNOWN
