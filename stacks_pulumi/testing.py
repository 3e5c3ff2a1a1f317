"""
Pytest fixtures for programs that use STACKS: the API on your own machine, with no account and no bill.

    # conftest.py
    from stacks_pulumi.testing import stacks_emulator, stacks_environment

`stacks_emulator` serves the API for one test; `stacks_environment` sets `STACKS_API_KEY` and `STACKS_BASE_URL` so that
a Pulumi program (started by the Automation API or by the command line) talks to it. Needs the extra `emulator`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stacks_pulumi.emulator import Emulator

__all__ = ["stacks_emulator", "stacks_environment"]


@pytest.fixture
def stacks_emulator() -> Iterator[Emulator]:
    """An emulator of its own for each test; in the end, every fault that was asked for has to have fired."""
    with Emulator() as emulator:
        yield emulator
        emulator.faults.assert_none_left()


@pytest.fixture
def stacks_environment(stacks_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, with the environment set so that the client and the provider use it."""
    monkeypatch.setenv("STACKS_API_KEY", stacks_emulator.key)
    monkeypatch.setenv("STACKS_BASE_URL", stacks_emulator.url)
    return stacks_emulator
