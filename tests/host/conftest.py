"""Fixtures for the host tests: an emulator, and a real host process that uses this emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    """Run an emulator with short boots and a fast clock; the test fails if a fault did not fire."""
    with Emulator(boot_seconds=0.5, clock=fast_clock()) as api:
        yield api
        left = [fault for fault in api.faults.left() if fault.times is not None]
        assert left == []


PATIENT: Final = {"stacks_pulumi.resources._restarts": {"GRACE": 1.0 * SPEED}}
"""The threads of a test send their calls in real time."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """
    Run a test with the hosts in its marker `hosts`, by default with the dynamic host.

    Both hosts call the same resources. Tests with the marker check the values, errors and lines that a host writes.
    """
    if "host_kind" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("hosts")
        # Per module, so that a slow fixture of a module runs only once for each host.
        metafunc.parametrize("host_kind", marker.args if marker else ["dynamic"], scope="module")


@pytest.fixture
def make_host(host_kind: str) -> Iterator[Callable[..., Host]]:
    """Return a function that starts a host with a fast clock. The test fails if the host wrote any output."""
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
