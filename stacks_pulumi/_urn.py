"""The parts of a resource's URN: `urn:pulumi:<stack>::<project>::<types>::<name>`."""

from __future__ import annotations

from typing import Final

__all__ = ["name_of", "stack_and_project", "type_of"]

_PREFIX: Final = "urn:pulumi:"
_PARTS: Final = 4


def name_of(urn: str) -> str:
    """Return the resource's name in its program, which may contain `::`; empty for an empty URN."""
    return urn.split("::", _PARTS - 1)[-1]


def type_of(urn: str) -> str:
    """Return the resource's type; in a component, the URN has the types of its parents before it."""
    return urn.split("::", _PARTS - 1)[2].rpartition("$")[2]


def stack_and_project(urn: str) -> tuple[str | None, str | None]:
    """Return the names of the stack and of the project; `None` for a part that is missing in the URN."""
    parts = urn.removeprefix(_PREFIX).split("::")
    return (parts[0], parts[1]) if urn.startswith(_PREFIX) and len(parts) >= _PARTS else (None, None)
