"""The package's schema, which is generated at build time."""

from __future__ import annotations

import functools
import importlib.resources

__all__ = ["schema"]


@functools.cache
def schema() -> str:
    """Return the schema as JSON."""
    return (importlib.resources.files(__package__) / "schema.json").read_text(encoding="utf-8")
