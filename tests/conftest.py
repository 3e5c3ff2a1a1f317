"""Options of pytest for all tests."""

from __future__ import annotations

import pytest

from tests.support.forked import commands


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the project's options."""
    parser.addoption(
        "--write-docs", action="store_true", help="write the results of the run into the documentation"
    )
    parser.addoption(
        "--real-processes", action="store_true", help="start every host and program instead of forking it"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Choose the processes of a test before its fixtures start one."""
    wanted = item.config.getoption("--real-processes") or item.get_closest_marker("real_processes")
    commands.Mode.real = bool(wanted)
