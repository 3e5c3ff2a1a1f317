"""Names of properties: `ip_address` in Python and in states of dynamic resources, `ipAddress` elsewhere."""

from __future__ import annotations

import re

__all__ = ["camel_case", "snake_case"]


def camel_case(name: str) -> str:
    """`ip_address` as `ipAddress`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def snake_case(name: str) -> str:
    """`ipAddress` as `ip_address`; a name in snake case stays as it is."""
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0].lower()}", name)
