"""The readings of the API guide that the emulator can play, with the lines of a platform file."""

from __future__ import annotations

import json
from typing import Any

from tests.support.platforms import READINGS
from tools.docs.marks import table

__all__ = ["readings"]


def readings() -> str:
    """Return a row for each reading."""
    rows = []
    for name, facts in READINGS.items():
        known = facts.as_json()
        del known["version"]
        lines = (f"`{section}: {_flow(settings)}`" for section, settings in known.items())
        rows.append((name, "<br>".join(lines)))
    return table(("Reading", "In the platform file"), rows)


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    is_word = isinstance(value, str) and value.replace("_", "").replace(".", "").isalnum()
    return value if is_word else json.dumps(value)
