"""Options of pytest for all tests, and the profile of hypothesis."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# No test depends on the speed of the machine.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the project's options."""
    parser.addoption(
        "--write-docs", action="store_true", help="write the results of the run into the documentation"
    )
