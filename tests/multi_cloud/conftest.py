"""
Fixtures for stacks of two clouds: an emulator of STACKS, and Pulumi's Kubernetes provider.

A test with a `cluster` runs twice: the provider renders to files, and it uses an API server with etcd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.broker.conftest import Bench
from tests.multi_cloud.clusters import ApiServer, Applied, Cluster, Rendered, serving
from tests.support import emulators
from tests.support.stack import Stack
from tools.engine.ensure import ensure
from tools.engine.kubernetes import Kubernetes, api_server, kubernetes

Make = Callable[..., Stack]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests of this folder to `make multi-cloud`."""
    for item in items:
        if item.nodeid.startswith("tests/multi_cloud/"):
            item.add_marker(pytest.mark.multi_cloud)


@pytest.fixture(scope="session")
def built() -> Kubernetes:
    return kubernetes()


@pytest.fixture(scope="session")
def server() -> Iterator[ApiServer]:
    with serving(api_server()) as running:
        yield running


@pytest.fixture(params=["rendered", "applied"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    if request.param == "rendered":
        return Rendered(tmp_path / "manifests")
    return Applied(request.getfixturevalue("server"), tmp_path / "kubeconfig")


emulator = emulators.for_stacks


@pytest.fixture
def benches(tmp_path: Path, emulator: Emulator) -> Iterator[Callable[..., Bench]]:
    """Return a function that creates brokers in front of the emulator."""
    made: list[Bench] = []

    def make(**settings: Any) -> Bench:
        made.append(Bench(tmp_path / f"broker{len(made)}", emulator, settings))
        return made[-1]

    yield make
    for bench in made:
        bench.stop()


@pytest.fixture
def make(tmp_path: Path, built: Kubernetes) -> Make:
    """Return a function that creates a stack with the provider; by default without a key."""

    def made(key: str = "", url: str = "") -> Stack:
        config = {"stacks:apiKey": key, "stacks:baseUrl": url} if key else {}
        stack = Stack(tmp_path / "stack", ensure().bin, config, python_path=built.sdk)
        install(built, Path(stack.env["PULUMI_HOME"]))
        # No test may find the cluster of the user who runs it.
        stack.env["HOME"] = str(stack.folder)
        stack.env.pop("KUBECONFIG", None)
        return stack

    return made


@pytest.fixture
def stack(make: Make, emulator: Emulator) -> Stack:
    """A stack on the emulator's account."""
    return make(emulator.key, emulator.url)


def install(built: Kubernetes, home: Path) -> None:
    """Install the provider as a plugin of the engine, as `pulumi plugin install` does."""
    plugin = home / "plugins" / built.plugin.name
    plugin.mkdir(parents=True)
    for file in built.plugin.iterdir():
        # The engine ignores a link to a folder.
        (plugin / file.name).symlink_to(file)
