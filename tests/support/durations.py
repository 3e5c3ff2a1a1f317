"""
The recorded processor seconds of each test file, and the order and shards computed from them.

Unlike elapsed time, processor seconds depend little on the load of the machine.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.forked import commands

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "tests/durations.json"
SHORT: Final = 1.0
"""The assumed seconds of a file without a record, which is new or uses less."""


def recorded() -> dict[str, float]:
    """Return the seconds of each file that uses more than `SHORT`."""
    found: dict[str, float] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def file_of(test: pytest.Item | pytest.TestReport) -> str:
    """Return the path of a test's file, as in the record."""
    return test.nodeid.partition("::")[0]


def rank(file: str, seconds: Mapping[str, float]) -> tuple[float, str]:
    """Return the sort key that puts the longest file first, so that short files fill the workers at the end."""
    return -seconds.get(file, SHORT), file


def shard_of(files: Iterable[str], seconds: Mapping[str, float], shards: int) -> dict[str, int]:
    """Return the shard of each file, counted from 0: the longest first, each to the shard with the least work."""
    load = [0.0] * shards
    found = {}
    for file in sorted(set(files), key=lambda it: rank(it, seconds)):
        found[file] = load.index(min(load))
        load[found[file]] += seconds.get(file, SHORT)
    return found


USED: Final = "processor seconds"
"""The property of a test's last report."""


def used() -> float:
    """Return the processor seconds of this process, its awaited child processes, and their forks."""
    return sum(os.times()[:4]) + commands.used()


class Meter:
    """A pytest plugin in each process that runs tests: it adds a test's seconds to its reports."""

    def __init__(self) -> None:
        self._before = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Read the seconds before the first fixture."""
        self._before = used()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Read them after the last fixture, before the report is made."""
        yield
        item.user_properties.append((USED, used() - self._before))


class Recorder:
    """A pytest plugin in the process that gets all reports: it writes the seconds of the files that ran."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the seconds of a test."""
        if report.when == "teardown":
            self._seconds[file_of(report)] += sum(
                float(str(value)) for name, value in report.user_properties if name == USED
            )

    def pytest_sessionfinish(self) -> None:
        """Write the file with one significant digit, so that few lines change; other files keep their seconds."""
        known = {file: took for file, took in recorded().items() if (ROOT / file).exists()}
        ran = {file: float(f"{took:.1g}") for file, took in self._seconds.items()}
        kept = {file: took for file, took in sorted({**known, **ran}.items()) if took > SHORT}
        FILE.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")
