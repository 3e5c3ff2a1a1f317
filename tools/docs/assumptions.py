"""The table of the emulator's assumptions, where the API guide is open."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

from tools.docs.marks import table

__all__ = ["assumptions"]


def assumptions() -> str:
    """Return the decisions of each operation, from the marks in `openapi.yaml`."""
    text = resources.files("stacks_pulumi.emulator").joinpath("openapi.yaml").read_text(encoding="utf-8")
    contract: dict[str, Any] = yaml.safe_load(text)
    rows = []
    for path, methods in contract["paths"].items():
        for method, found in methods.items():
            cells = (" ".join(found.get(mark, ())) for mark in ("x-assumed", "x-strict"))
            rows.append((f"`{method.upper()} {path}`", *cells))
    for status, answer in contract["components"]["responses"].items():
        if answer.keys() & {"x-assumed", "x-strict"}:
            cells = (" ".join(answer.get(mark, ())) for mark in ("x-assumed", "x-strict"))
            rows.append((f"every {status} answer", *cells))
    return table(("Endpoint", "Assumed", "Refused by default"), rows)
