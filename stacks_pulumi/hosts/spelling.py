"""Names of properties: `ip_address` in Python and in states of dynamic resources, `ipAddress` elsewhere."""

from __future__ import annotations

import re

__all__ = ["camel_case", "snake_case"]


def camel_case(name: str) -> str:
    """Return `ipAddress` for `ip_address`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def snake_case(name: str) -> str:
    """Return `ip_address` for `ipAddress`; a name in snake case is returned unchanged."""
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0].lower()}", name)
