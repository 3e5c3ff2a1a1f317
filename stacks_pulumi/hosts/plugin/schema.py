"""The package's schema, which is generated at build time."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

__all__ = ["parsed", "schema"]


@functools.cache
def schema() -> str:
    """Return the schema as JSON."""
    return (importlib.resources.files(__package__) / "schema.json").read_text(encoding="utf-8")


@functools.cache
def parsed() -> dict[str, Any]:
    """Return the schema as a mapping, which callers must not change."""
    found: dict[str, Any] = json.loads(schema())
    return found
