"""
Reads property values of a preview, a state file or a policy request.

A value is `UNKNOWN` if it is an output that does not exist yet, a secret that the engine hides, or of a type that the
property cannot have. `UNKNOWN` is neither `None` (absent) nor a value, so that an unknown property is never mistaken
for a free, small or allowed one.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["SIGNATURE", "UNKNOWN", "Unknown", "boolean", "is_unknown", "text", "whole"]


class Unknown(enum.Enum):
    """The type of `UNKNOWN`; an enumeration, so that type checkers distinguish it from every real value."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown.UNKNOWN
"""A value that is not known yet, or that is hidden."""

_BLINDED: Final = "[secret]"

# How the engine writes an output that does not exist yet: one constant per type (Pulumi's resource protocol).
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
"""The key that marks an object as a secret (encrypted or not) or an asset (same protocol)."""


def is_unknown(value: Any) -> bool:
    """Whether a raw value is unknown or hidden."""
    if isinstance(value, str):
        return value in _SENTINELS or value == _BLINDED
    if isinstance(value, Mapping):
        return SIGNATURE in value
    return value is UNKNOWN


def text(properties: Mapping[str, Any], name: str) -> str | Unknown | None:
    """Return a property that is a string; `None` if it is absent."""
    value = properties.get(name)
    if value is None:
        return None
    return value if isinstance(value, str) and not is_unknown(value) else UNKNOWN


def whole(properties: Mapping[str, Any], name: str) -> int | Unknown | None:
    """Return a property that is a whole number, which the engine stores as a float; `None` if it is absent."""
    value = properties.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return UNKNOWN
    return int(value)


def boolean(properties: Mapping[str, Any], name: str) -> bool | Unknown | None:
    """Return a property that is true or false; `None` if it is absent."""
    value = properties.get(name)
    return value if value is None or isinstance(value, bool) else UNKNOWN
