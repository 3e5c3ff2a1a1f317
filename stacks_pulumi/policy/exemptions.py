"""Exemptions from a rule: the resource's name or URN, a reason, and a last day."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stacks_pulumi.policy.options import Option, OptionError

__all__ = ["EXEMPT", "Exemption", "covering"]

_KEYS: Final = ("urn", "name", "reason", "expires")


@dataclass(frozen=True)
class Exemption:
    """
    A resource that a rule does not check.

    Attributes:
        name: The resource's name in the program, or `None` if `urn` is given.
        urn: The resource's URN, or `None` if `name` is given.
        reason: Why. Required, because a later reader must be able to judge the exemption.
        expires: The last day, in UTC. Required, because an exemption without an end disables the rule permanently.
    """

    name: str | None
    urn: str | None
    reason: str
    expires: datetime.date

    def covers(self, urn: str, name: str) -> bool:
        """Return whether the exemption applies to this resource."""
        return self.urn == urn if self.urn is not None else self.name == name


def _parse(raw: Any) -> tuple[Exemption, ...]:
    if not isinstance(raw, list | tuple):
        raise OptionError("is not a list")
    return tuple(_one(number, item) for number, item in enumerate(raw, 1))


def _one(number: int, raw: Any) -> Exemption:
    if not isinstance(raw, Mapping) or not all(isinstance(value, str) for value in raw.values()):
        raise OptionError(f"entry {number} is not an object of texts ({', '.join(_KEYS)})")
    unknown = [key for key in raw if key not in _KEYS]
    if unknown:
        raise OptionError(
            f"entry {number} has the unknown key {unknown[0]!r}; the keys are {', '.join(_KEYS)}"
        )
    if ("urn" in raw) == ("name" in raw):
        raise OptionError(f"entry {number} needs either urn or name, not both")
    if not raw.get("reason", "").strip():
        raise OptionError(f"entry {number} has no reason")
    try:
        expires = datetime.date.fromisoformat(raw.get("expires", ""))
    except ValueError:
        raise OptionError(f"entry {number} has no valid date in expires, such as 2030-12-31") from None
    return Exemption(raw.get("name"), raw.get("urn"), raw["reason"].strip(), expires)


EXEMPT: Final = Option(
    "exempt",
    {
        "type": "array",
        "description": "resources that the rule does not check, each with a reason and a last day (UTC)",
        "items": {
            "type": "object",
            "properties": {key: {"type": "string"} for key in _KEYS},
            "required": ["reason", "expires"],
            "additionalProperties": False,
        },
    },
    _parse,
    "resources that the rule does not check, each with a reason and a last day (UTC)",
)
"""The option that every rule has."""


def covering(
    exemptions: tuple[Exemption, ...], urn: str, name: str, today: datetime.date
) -> tuple[Exemption | None, Exemption | None]:
    """Return a resource's valid exemption and its expired one; each is `None` if it does not exist."""
    ours = [exemption for exemption in exemptions if exemption.covers(urn, name)]
    live = [exemption for exemption in ours if exemption.expires >= today]
    ended = [exemption for exemption in ours if exemption.expires < today]
    return (live[0] if live else None), (ended[-1] if ended else None)
