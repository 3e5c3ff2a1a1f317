"""Pytest options for all tests, the distribution of a run over workers, and the profile of hypothesis."""

from __future__ import annotations

import gc
import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import clock, durations
from tests.support.forked import commands
from tests.support.golden import Golden

# No test may depend on the speed of the machine.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")

# Many container images set this variable. Without bytecode, each worker compiles all tests again (6 s), and each host
# of a test compiles the package. The stacks of the engine tests remove the variable themselves.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# gRPC writes a line to standard error when an engine ends during a call, and tests compare a host's standard error.
# Processes inherit the variable, and gRPC reads it at its import.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# Commands in the background of a shell ignore it, and so do their processes. An engine stops its host with it, and
# would wait five seconds each time.
signal.signal(signal.SIGINT, signal.default_int_handler)

EXTRA_FIXTURES = {"language_hosts", "oldest_engine", "sdks", "site", "yaml_language_host"}
"""Fixtures that take minutes: they build engines or language hosts, generate SDKs, or build the site."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the project's options."""
    parser.addoption(
        "--write-docs", action="store_true", help="write the results of the run into the documentation"
    )
    parser.addoption(
        "--write-golden", action="store_true", help="write the documents of the tests into tests/golden"
    )
    parser.addoption(
        "--real-processes", action="store_true", help="start every host and program instead of forking it"
    )
    parser.addoption(
        "--write-durations", action="store_true", help="write the processor seconds of each file that runs"
    )
    parser.addoption(
        "--granted",
        action="store_true",
        help="run the stories of the engine, each change with a grant of its preview",
    )
    parser.addoption(
        "--shard", type=_shard, metavar="N/ALL", help="run one of several equal parts, such as 1/3"
    )


def _shard(text: str) -> tuple[int, int]:
    """Return the number of the shard, counted from 1, and the number of all shards."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(text)
    return int(match[1]), int(match[2])


def pytest_configure(config: pytest.Config) -> None:
    """Measure the tests in each process, and record the seconds in the process that gets all reports."""
    # The items of ten thousand tests live as long as the run: see `pytest_collection_finish`.
    gc.disable()
    if not config.getoption("write_durations"):
        return
    config.pluginmanager.register(durations.Meter())
    if not hasattr(config, "workerinput"):
        if config.getoption("markexpr") or config.getoption("keyword"):
            raise pytest.UsageError(
                "--write-durations needs whole files: run `make test-all`, without -k and -m"
            )
        config.pluginmanager.register(durations.Recorder())


def pytest_collection_finish() -> None:
    """Make the garbage collector skip the items, which would take a seventh of the fast tests' time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests with a second cloud to `make multi-cloud`, even if they are selected."""
    is_chosen = config.getoption("markexpr") == "multi_cloud"
    return True if collection_path.name == "multi_cloud" and not is_chosen else None


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Mark tests as extra by their fixtures, then keep this shard's files, the longest first in a parallel run."""
    for item in items:
        if EXTRA_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.extra)
    yield
    seconds = durations.recorded()
    if shard := config.getoption("shard"):
        number, shards = shard
        place = durations.shard_of(map(durations.file_of, items), seconds, shards)
        here = [place[durations.file_of(item)] == number - 1 for item in items]
        config.hook.pytest_deselected(items=list(itertools.compress(items, [not it for it in here])))
        items[:] = itertools.compress(items, here)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: durations.rank(durations.file_of(item), seconds))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare complete documents with those in `tests/golden`."""
    return Golden(writes=request.config.getoption("--write-golden"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Choose the processes and the clocks of a test before its fixtures start a process."""
    wanted = item.config.getoption("--real-processes") or item.get_closest_marker("real_processes")
    commands.Mode.real = bool(wanted)
    clock.begin()
