"""A recorded mutant must fail a test that passes without it, the cheapest first. Mutants of removed code count."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.prove import mutants, recorded
from tests.prove.__main__ import options
from tests.prove.checkout import ROOT
from tests.prove.mutants import Mutants
from tests.prove.proof import Seen
from tests.prove.recorded import Recorded
from tests.support import durations

HOST, LONG, SHORT = (
    "tests/host/test_a.py::test_a",
    "tests/unit/test_b.py::test_b",
    "tests/unit/test_c.py::test_c",
)


class Checkout:
    """A substitute that runs no tests: it knows which tests fail with a change, and which always fail."""

    def __init__(self, with_the_change: set[str], always: frozenset[str]) -> None:
        self.ran: list[list[str]] = []
        self._with_it, self._always = with_the_change, always
        self._is_changed = False

    @contextlib.contextmanager
    def changed(self, file: str, text: str) -> Iterator[None]:
        assert (file, "return 13" in text) == ("package/retry.py", True)
        self._is_changed = True
        yield
        self._is_changed = False

    def failures(self, tests: Sequence[str], *, most: int = 1, options: Sequence[str] = ()) -> list[str]:
        self.ran.append(list(tests))
        failing = self._always | (self._with_it if self._is_changed else set())
        return [name for name in tests if name in failing][:most]


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "retry.py").write_text("def most():\n    return 12\n", encoding="utf-8")
    monkeypatch.setattr(recorded, "PACKAGE", package)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(recorded, "present", list)
    monkeypatch.setattr(mutants, "_files", lambda ring, file: [])
    monkeypatch.setattr(durations, "recorded", lambda: {"tests/unit/test_b.py": 30.0})
    for name in ("_modules", "_text", "_mutations"):
        getattr(recorded, name).cache_clear()


def run(
    change: str, with_the_change: set[str], always: frozenset[str] = frozenset()
) -> tuple[Seen, list[list[str]]]:
    proof, seen, checkout = Mutants(options(["mutants"])), Seen(), Checkout(with_the_change, always)
    proof.__dict__["_checkout"] = checkout
    one = Recorded("retry.py", "most", change, (HOST, LONG, SHORT), more=False)
    try:
        proof.run(vars(one), seen)
    except AssertionError as error:
        seen.note = str(error)
    return seen, checkout.ran


def test_the_cheapest_killer_is_run_alone_first() -> None:
    seen, ran = run("return «12 → 13»", {HOST, LONG, SHORT})

    assert seen.counts == {"died as before": 1}
    assert ran == [[SHORT], [SHORT]]


def test_the_others_are_run_if_it_passes() -> None:
    seen, ran = run("return «12 → 13»", {HOST})

    assert (seen.counts, ran) == ({"died as before": 1}, [[SHORT], [LONG, HOST], [HOST]])


def test_a_test_that_fails_without_the_change_kills_nothing() -> None:
    seen, _ = run("return «12 → 13»", set(), frozenset({SHORT}))

    assert seen.counts == {"survived": 1}
    assert "return 13" in seen.note


def test_code_that_is_gone_is_counted() -> None:
    seen, ran = run("return «11 → 12»", {SHORT})

    assert (seen.counts, ran) == ({"gone": 1}, [])
    assert "its code is gone" in seen.note


@pytest.mark.extra
@pytest.mark.parametrize(
    ("name", "complete"),
    [("test_half_of_the_tests_are_near_and_the_others_of_other_files", True), ("test_gone", False)],
)
def test_a_test_that_is_gone_shows_nothing(name: str, complete: bool) -> None:
    request = {"tests": [f"tests/prove/test_contexts.py::{name}"], "most": 1, "seconds": 60, "options": []}
    forks = [sys.executable, str(ROOT / "tests/prove/forks.py"), str(ROOT)]

    run = subprocess.run(forks, input=json.dumps(request) + "\n", capture_output=True, text=True, check=True)

    assert json.loads(run.stdout) == {"failed": [], "complete": complete}
