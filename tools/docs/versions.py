"""The supported versions, from `tools/engine/pins.py` and `pyproject.toml`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tools.docs.marks import table
from tools.engine import pins

__all__ = ["pythons", "versions"]

_PROJECT: Final = Path(__file__).resolve().parents[2] / "pyproject.toml"


def pythons() -> list[str]:
    """Return the versions of Python, the oldest first."""
    return re.findall(r'Programming Language :: Python :: (3\.\d+)"', _PROJECT.read_text(encoding="utf-8"))


def versions() -> str:
    """Return a row for Python, the SDK and the engine."""
    oldest, newest, sdk = map(pins.line, (pins.OLDEST, pins.VERSION, pins.NEWEST_SDK))
    first, *_, last = pythons()
    return table(
        ("", "Supported", "Tested in CI"),
        [
            (
                "Python",
                f"{first} to {last}",
                f"all tests on {last}; the fast tests and one engine test on the others",
            ),
            ("Pulumi's Python SDK", f"{oldest} to {sdk}", "the oldest and the newest"),
            (
                "Pulumi's engine",
                f"{oldest} to {newest}",
                f"all tests on {pins.VERSION}; one test of each kind on {pins.OLDEST}; the newest engine every week",
            ),
        ],
    )
