"""Fixtures for the host tests: an emulator, and a real host process that is configured for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.clock import SPEED, fast_clock, fast_wall
from tests.support.host import HOSTS, PROMPT, FakeEngine, Host
from tools.engine import pins


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this folder as a host test."""
    for item in items:
        if item.nodeid.startswith("tests/host/"):
            item.add_marker(pytest.mark.host)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator with short boots and a fast clock; the test fails if a fault did not fire."""
    with Emulator(boot_seconds=0.5, clock=fast_clock()) as api:
        yield api
        left = [fault for fault in api.faults.left() if fault.times is not None]
        assert left == []


PATIENT: Final = {"stacks_pulumi.resources._restarts": {"GRACE": 1.0 * SPEED}}
"""The threads of a test send their calls in real time."""
ABOUT_ONE: Final = {
    "test_canary": "dynamic",
    "test_fallbacks": "dynamic",
    "test_listing": "native",
    "test_platforms": "dynamic",
    "test_plugin": "native",
    "test_second_look": "dynamic",
}
"""Files that test only one of the hosts. All others run with both."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with each host that it tests."""
    if "host_kind" in metafunc.fixturenames:
        one = ABOUT_ONE.get(Path(metafunc.module.__file__ or "").stem)
        # Per module, so that a slow fixture of a module runs only once for each host.
        metafunc.parametrize("host_kind", list(HOSTS) if one is None else [one], scope="module")


@pytest.fixture
def make_host(host_kind: str) -> Iterator[Callable[..., Host]]:
    """Start a host for an emulator with a fast clock. The test fails if the host wrote any output, such as a key."""
    made: list[Host] = []

    def make(
        config: Mapping[str, str], python_path: str | None = None, *, version: str | None = pins.VERSION
    ) -> Host:
        settings, engine = {**PROMPT, **config}, FakeEngine(version)
        host = HOSTS[host_kind](settings, python_path, SPEED, fast_wall(), PATIENT, engine)
        made.append(host)
        return host

    yield make
    for host in made:
        errors = host.stop()
        assert errors == ""
        for line in host.engine.lines:
            assert "sk_stacks_" not in line.text
            assert line.text == host.worded(line.text)


@pytest.fixture
def host(emulator: Emulator, make_host: Callable[..., Host]) -> Host:
    """A host that uses the emulator's account."""
    return make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
