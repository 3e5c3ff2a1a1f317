"""
Pytest fixtures for programs that use STACKS. They run an emulated API on your machine, which needs no account and costs
nothing.

    # conftest.py
    from stacks_pulumi.testing import stacks_emulator, stacks_environment

`stacks_emulator` serves the API for one test. `stacks_environment` sets `STACKS_API_KEY` and `STACKS_BASE_URL`, so that
a Pulumi program uses the emulator, whether the Automation API or the command line starts it. Needs the extra
`emulator`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stacks_pulumi.emulator import Emulator

__all__ = ["stacks_emulator", "stacks_environment"]


@pytest.fixture
def stacks_emulator() -> Iterator[Emulator]:
    """Yield a new emulator for each test. Fail after the test if a fault that the test requested did not occur."""
    with Emulator() as emulator:
        yield emulator
        emulator.faults.assert_none_left()


@pytest.fixture
def stacks_environment(stacks_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Set the environment so that the client and the provider use the emulator, and return the emulator."""
    monkeypatch.setenv("STACKS_API_KEY", stacks_emulator.key)
    monkeypatch.setenv("STACKS_BASE_URL", stacks_emulator.url)
    return stacks_emulator
