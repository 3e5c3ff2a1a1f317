"""What the host ring starts from: an emulator, and a real host process that is configured for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.host import Host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a host."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.host)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The API, quick to boot; at the end every fault that was asked for has to have fired."""
    with Emulator(boot_seconds=0.05) as api:
        yield api
        left = [fault for fault in api.faults.left() if fault.times is not None]
        assert left == []


@pytest.fixture
def make_host() -> Iterator[Callable[..., Host]]:
    """Start a host with a configuration. In the end it must have written nothing, and least of all a key."""
    made: list[Host] = []

    def make(config: Mapping[str, str], python_path: str | None = None) -> Host:
        made.append(Host(config, python_path))
        return made[-1]

    yield make
    for host in made:
        errors = host.stop()
        assert errors == ""
        for line in host.engine.lines:
            assert "sk_stacks_" not in line.text


@pytest.fixture
def host(emulator: Emulator, make_host: Callable[..., Host]) -> Host:
    """A host on the emulator's account."""
    return make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
