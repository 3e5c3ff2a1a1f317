"""Fixtures for the engine tests: an emulator for each test, and a stack that uses it."""

from __future__ import annotations

import functools
import itertools
import operator
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator, platform
from tests.support import emulators
from tests.support.stack import Stack
from tools.engine.ensure import ensure
from tools.engine.hosts import code_hosts
from tools.sdk.generate import generate


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test in this folder as an engine test; with grants, keep those that make a stack."""
    for item in items:
        if item.nodeid.startswith("tests/engine/"):
            item.add_marker(pytest.mark.engine)
    if config.getoption("granted"):
        are_stories = ["make_stack" in getattr(item, "fixturenames", ()) for item in items]
        config.hook.pytest_deselected(items=list(itertools.compress(items, map(operator.not_, are_stories))))
        items[:] = itertools.compress(items, are_stories)


@pytest.fixture(autouse=True)
def _no_nightly_backups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the time of nightly backups to twelve hours from now: tests that count all backups run at any time."""
    monkeypatch.setattr(platform, "_SCHEDULE", (time.time() + platform.DAY / 2) % platform.DAY)


@pytest.fixture(scope="session")
def engine() -> Path:
    """Return the folder of the engine's binaries."""
    return ensure().bin


@pytest.fixture(scope="session")
def yaml_language_host(engine: Path) -> Path:
    """Return the folder of the language host for YAML programs, which `make engine` puts next to the engine."""
    return engine


@pytest.fixture(scope="session")
def language_hosts() -> Path:
    """Return the folder of the language hosts for TypeScript, Go and Python, which also generate code."""
    return code_hosts()


@pytest.fixture(scope="session")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that generates the SDK of a language once and returns its folder."""

    @functools.cache
    def generated(language: str) -> Path:
        (folder,) = generate(tmp_path_factory.mktemp("sdks"), [language])
        return folder

    return generated


emulator = emulators.for_stacks


@pytest.fixture
def make_stack(
    request: pytest.FixtureRequest, tmp_path: Path, engine: Path
) -> Iterator[Callable[..., Stack]]:
    """Return a function that creates a stack on an emulator's account."""
    made: list[Stack] = []
    passphrase = request.node.get_closest_marker("passphrase") is not None

    def make(api: Emulator, key: str | None = None, python_path: Path | None = None) -> Stack:
        config = {"stacks:apiKey": key or api.key, "stacks:baseUrl": api.url}
        folder = tmp_path / f"stack{len(made)}"
        made.append(Stack(folder, engine, config, python_path=python_path, passphrase=passphrase))
        return made[-1]

    if not request.config.getoption("granted"):
        yield make
        return
    # No other run needs a broker, which takes time to import.
    from tests.support import granted

    if mark := request.node.get_closest_marker(granted.MARK):
        pytest.skip(mark.args[0])
    with granted.Brokers(tmp_path) as brokers:

        def make_granted(api: Emulator, key: str | None = None, python_path: Path | None = None) -> Stack:
            folder = tmp_path / f"stack{len(made)}"
            options: Any = {"python_path": python_path, "passphrase": passphrase}
            made.append(granted.GrantedStack(brokers, api, key or api.key, folder, engine, **options))
            return made[-1]

        yield make_granted


@pytest.fixture
def stack(emulator: Emulator, make_stack: Callable[..., Stack]) -> Stack:
    """A stack on the emulator's account."""
    return make_stack(emulator)
