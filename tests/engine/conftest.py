"""What the engine ring starts from: an emulator of its own for each test, and a stack that talks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack
from tools.engine.ensure import ensure
from tools.engine.hosts import code_hosts, yaml_host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the engine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def engine() -> Path:
    """Folder of the engine's binaries."""
    return ensure().bin


@pytest.fixture(scope="session")
def yaml_language_host() -> Path:
    """Folder of the language host for YAML programs."""
    return yaml_host()


@pytest.fixture(scope="session")
def language_hosts() -> Path:
    """Folder of the language hosts for TypeScript, Go and Python, which generate code too."""
    return code_hosts()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The API, quick to boot; at the end every fault that was asked for has to have fired."""
    with Emulator(boot_seconds=0.2) as api:
        yield api
        api.faults.assert_none_left()


@pytest.fixture
def make_stack(tmp_path: Path, engine: Path) -> Callable[..., Stack]:
    """Make a stack on an emulator's account; several can be made in one test."""
    made: list[Stack] = []

    def make(api: Emulator, key: str | None = None, python_path: Path | None = None) -> Stack:
        config = {"stacks:apiKey": key or api.key, "stacks:baseUrl": api.url}
        made.append(Stack(tmp_path / f"stack{len(made)}", engine, config, python_path=python_path))
        return made[-1]

    return make


@pytest.fixture
def stack(emulator: Emulator, make_stack: Callable[..., Stack]) -> Stack:
    """A stack on the emulator's account."""
    return make_stack(emulator)
