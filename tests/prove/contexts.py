"""
Which tests reach a line of the package: found with coverage, and kept in the user's cache for the same code and tests.

pytest loads this module as a plugin in the run that finds it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import coverage
import pytest
from hypothesis import Phase, settings

from tests.prove.checkout import ROOT

__all__ = ["Reached", "reached"]

FOLDERS: Final = ("unit", "policy", "emulator", "broker", "host")
"""The tests of these folders need one to three seconds each."""
NEAR: Final = 12
"""A line that coverage does not know is a part of a statement that begins at most so many lines before."""

_SETTINGS: Final = """[run]
parallel = true
source_pkgs = stacks_pulumi
sigterm = true
context = ${PYTEST_CURRENT_TEST-}
data_file = {data}
disable_warnings = module-not-measured,module-not-imported,no-data-collected,module-not-python
"""


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Run few random examples: they reach most lines."""
    settings.register_profile(
        "few", settings.default, max_examples=8, phases=[Phase.explicit, Phase.generate], database=None
    )
    settings.load_profile("few")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tell coverage which test runs. The processes that it starts read its name from the environment."""
    measured = coverage.Coverage.current()
    if measured is not None:
        measured.switch_context(item.nodeid)
    yield


@dataclass(frozen=True)
class Reached:
    """
    The lines of each module that each test function reaches, as the bits of a number.

    Attributes:
        lines: The lines by module and test; those that an import reaches have no test.
        breadth: How many lines each test reaches.
    """

    lines: dict[str, dict[str, int]]
    breadth: dict[str, int]

    def tests(self, file: str, line: int) -> list[str]:
        """
        Return the tests that reach a line, those first that reach little else.

        If only an import reaches it, they are all tests that reach anything in its file.
        """
        reaching = self.lines.get(file, {})
        for near in range(line, max(line - NEAR, 0), -1):
            if found := [test for test, lines in reaching.items() if lines >> near & 1]:
                break
        if found == [""]:
            found = list(reaching)
        return sorted(filter(None, found), key=lambda test: (self.breadth[test], test))


def reached() -> Reached:
    """Return which tests reach which lines; the first time, that takes the minutes of a run of the tests."""
    data = _cache() / "data"
    if not data.exists():
        _measure(data)
    lines: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    with sqlite3.connect(data) as stored:
        rows = stored.execute(
            "select file.path, context.context, numbits from line_bits"
            " join file on file.id = file_id join context on context.id = context_id"
        )
        for path, context, numbits in rows:
            # Behind a name with parameters are its phase, or the name again.
            test = context.partition("[")[0].partition(" ")[0].partition("|")[0]
            file = "stacks_pulumi/" + path.rpartition("/stacks_pulumi/")[2]
            lines[file][test] |= int.from_bytes(numbits, "little")
    breadth: dict[str, int] = defaultdict(int)
    for tests in lines.values():
        for test, bits in tests.items():
            breadth[test] += bits.bit_count()
    return Reached(lines, breadth)


def _cache() -> Path:
    """Return a folder for the present code and tests."""
    digest = hashlib.sha256()
    for folder in ("stacks_pulumi", *(f"tests/{name}" for name in FOLDERS)):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "stacks-pulumi/reached" / digest.hexdigest()[:16]


def _measure(data: Path) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data.parent) as made:
        options = Path(made) / "coverage.ini"
        options.write_text(_SETTINGS.replace("{data}", f"{made}/data"), encoding="utf-8")
        env = {**os.environ, "COVERAGE_PROCESS_START": str(options), "COVERAGE_RCFILE": str(options)}
        measured = [sys.executable, "-m", "coverage"]
        quick = ["-m", "not slow and not extra", *(f"tests/{name}" for name in FOLDERS)]
        parallel = ["-n2", "--dist=loadfile", "--no-loadscope-reorder"]
        command = [*measured, "run", "-m", "pytest", "-q", "-p", "tests.prove.contexts", *parallel, *quick]
        # A test that fails, because it is slower than usual, has still reached its lines.
        subprocess.run(command, cwd=ROOT, env=env, check=False)
        subprocess.run([*measured, "combine", "--quiet"], cwd=ROOT, env=env, check=True)
        (Path(made) / "data").rename(data)
