"""The recorded seconds of each test file, and the order and the shards that follow from them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "tests/durations.json"
SHORT: Final = 1.0
"""Seconds of a file without a record: it is new, or takes less than this."""


def recorded() -> dict[str, float]:
    """Return the seconds of each file that takes longer than `SHORT`."""
    found: dict[str, float] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def file_of(test: pytest.Item | pytest.TestReport) -> str:
    """Return the path of a test's file, as the record has it."""
    return test.nodeid.partition("::")[0]


def rank(file: str, seconds: Mapping[str, float]) -> tuple[float, str]:
    """Return the key that sorts the longest file first: the short ones fill up the workers at the end of a run."""
    return -seconds.get(file, SHORT), file


def shard_of(files: Iterable[str], seconds: Mapping[str, float], shards: int) -> dict[str, int]:
    """Return the shard of each file, counted from 0: the longest first, each to the shard with the least to do."""
    load = [0.0] * shards
    found = {}
    for file in sorted(set(files), key=lambda it: rank(it, seconds)):
        found[file] = load.index(min(load))
        load[found[file]] += seconds.get(file, SHORT)
    return found


class Recorder:
    """A plugin of pytest that writes the seconds of the files that ran; the others keep theirs."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test's setup, call or teardown."""
        self._seconds[file_of(report)] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Write the file, with one significant digit, so that a new record changes few lines."""
        known = {file: took for file, took in recorded().items() if (ROOT / file).exists()}
        ran = {file: float(f"{took:.1g}") for file, took in self._seconds.items()}
        kept = {file: took for file, took in sorted({**known, **ran}.items()) if took > SHORT}
        FILE.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")
