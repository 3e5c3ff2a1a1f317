"""An agent with its broker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.agents import Agent


@pytest.fixture
def make_agent(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Return a function that creates an agent on an emulator's account."""
    with contextlib.ExitStack() as stack:

        def make(api: Emulator, policy: Any = None, settings: Any = None) -> Agent:
            agent = Agent(api, tmp_path / "agent", policy, settings)
            stack.callback(agent.bench.stop)
            return agent

        yield make


@pytest.fixture
def agent(make_agent: Callable[..., Agent], emulator: Emulator) -> Agent:
    """Return an agent that may add five dollars a day."""
    return make_agent(emulator, {"max_total": 12}, {"limits": {"max_total": 12}})
