"""Each test runs in one of the two targets, each file in one shard, and the longest files first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support import durations
from tests.support.forked import commands

ROOT: Final = Path(__file__).parents[2]


def selected(target: str) -> str | None:
    """Return the expression with which a Makefile target selects tests."""
    # The arguments of the `make` that runs this test are left out.
    env = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    command = ["make", "--dry-run", "--no-print-directory", target, "ARGS="]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    (line,) = (it for it in done.stdout.replace("\\\n", "").splitlines() if " -m pytest " in it)
    found = re.search(r' -m (?:"([^"]*)"|(extra|multi_cloud))', line.partition(" -m pytest ")[2])
    return found and (found[1] or found[2])


def test_the_two_targets_divide_all_tests() -> None:
    assert selected("test") == "not extra"
    assert selected("test-extra") == "extra"
    assert selected("test-all") is None
    # No other target collects these: `pytest_ignore_collect` in `tests/conftest.py`.
    assert selected("multi-cloud") == "multi_cloud"
    assert "for target in lint test test-granted test-extra; do" in (ROOT / ".ci/run").read_text(
        encoding="utf-8"
    )


SECONDS: Final = {"long": 60.0, "middle": 30.0, "other": 30.0}
FILES: Final = ["new", "middle", "long", "also_new", "other"]


def test_the_longest_files_come_first_and_new_ones_last() -> None:
    ordered = sorted(FILES, key=lambda file: durations.rank(file, SECONDS))

    assert ordered == ["long", "middle", "other", "also_new", "new"]


def test_every_file_is_in_one_shard_and_the_shards_take_equally_long() -> None:
    assert durations.shard_of(FILES, SECONDS, 2) == {
        "long": 0,
        "middle": 1,
        "other": 1,
        "also_new": 0,
        "new": 1,
    }


def test_a_record_keeps_other_files_and_drops_those_that_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_kept.py").touch()
    file = tmp_path / "durations.json"
    file.write_text('{"test_gone.py": 9.0, "test_kept.py": 4.0}', encoding="utf-8")
    monkeypatch.setattr(durations, "ROOT", tmp_path)
    monkeypatch.setattr(durations, "FILE", file)
    recorder = durations.Recorder()
    for nodeid, used in (("test_ran.py::one", 12.0), ("test_ran.py::two", 11.0), ("test_short.py::one", 0.4)):
        for when in ("setup", "call", "teardown"):
            recorder.pytest_runtest_logreport(
                pytest.TestReport(
                    nodeid,
                    (nodeid, 0, ""),
                    {},
                    "passed",
                    None,
                    when,
                    user_properties=[(durations.USED, used)],
                )
            )

    recorder.pytest_sessionfinish()

    assert durations.recorded() == {"test_kept.py": 4.0, "test_ran.py": 20.0}


BUSY: Final = """
import time
while time.process_time() < 0.3:
    pass
"""
"""A program that uses a third of a second of processor time, on a machine of any speed."""


def test_started_processes_and_forks_are_counted(tmp_path: Path) -> None:
    program = tmp_path / "stacks-pulumi"
    program.write_text(BUSY, encoding="utf-8")
    before = durations.used()

    subprocess.run([sys.executable, program], check=True)
    after_one = durations.used()
    commands.start([str(program)], os.environ).communicate()

    # The kernel counts in hundredths.
    assert after_one - before >= 0.28
    assert durations.used() - after_one >= 0.28
