"""What all rings share."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own."""
    parser.addoption("--write-docs", action="store_true", help="write what was seen into the documentation")
