"""Versions that this package supports and is tested with; README.md states the same."""

from __future__ import annotations

from typing import Final

__all__ = ["ENGINE", "PYTHON", "SDK"]

ENGINE: Final = "3.259"
"""The oldest supported engine."""

SDK: Final = ("3.259", "3.272")
"""The oldest supported and the newest tested SDK for Python."""

PYTHON: Final = ("3.10", "3.13")
"""The oldest supported and the newest tested Python."""
