"""Options of pytest for all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the project's options."""
    parser.addoption(
        "--write-docs", action="store_true", help="write the results of the run into the documentation"
    )
