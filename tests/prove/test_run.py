"""The runner generates cases from a seed, reduces and stores the first failure, and repeats a file of cases."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.prove import __main__ as runner
from tests.prove import run
from tests.prove.proof import Case
from tests.prove.sums import Reports, Sums


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runner, "PROOFS", {"sums": Sums, "reports": Reports})
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run, "KEPT", tmp_path / "kept")
    return tmp_path


def test_without_a_proof_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main([]) == 0
    assert "sums       no number is above the limit\n" in capsys.readouterr().out


def test_a_seed_that_was_drawn_is_printed_and_draws_the_same_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(["sums", "--cases=3", "--limit=100"]) == 0
    (first,) = (folder / "results").iterdir()
    drawn = [one.case for one in Sums.read(first)]
    seed = first.stem.removeprefix("sums-")
    assert f"sums: seed {seed}," in capsys.readouterr().out

    assert runner.main(["sums", "--cases=3", "--limit=100", "--seed", seed]) == 0

    assert [one.case for one in Sums.read(first)] == drawn
    assert "3 cases, 0 failed" in (said := capsys.readouterr().out)
    assert "15 numbers" in said
    assert "added up" in said


def test_the_first_failure_is_reduced_and_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["sums", "--seed=1"]) == 1

    (kept,) = (folder / "kept" / "sums").iterdir()
    found = json.loads(kept.read_text(encoding="utf-8"))
    (number,) = found["case"]["numbers"]
    assert (kept.name, found["failure"]) == ("1.json", f"AssertionError: {number['is']} is above the limit")
    assert str(kept) in (said := capsys.readouterr().out)
    assert int(said.rpartition("\n")[0].rpartition("\n")[2].split()[0]) < Sums.cases

    assert runner.main(["sums", "--from", str(kept)]) == 1


def test_objects_of_inner_lists_are_left_out_too_and_other_values_are_not() -> None:
    case: Case = {
        "hosts": ["dynamic"],
        "steps": [{"do": "up", "faults": [{"at": 1}, {"at": 2}]}, {"do": "refresh"}],
    }
    before = copy.deepcopy(case)

    assert list(run.smaller(case)) == [
        {**case, "steps": case["steps"][:1]},
        {**case, "steps": case["steps"][1:]},
        {**case, "steps": [{"do": "up", "faults": [{"at": 1}]}, {"do": "refresh"}]},
        {**case, "steps": [{"do": "up", "faults": [{"at": 2}]}, {"do": "refresh"}]},
    ]
    assert case == before


def test_a_proof_that_does_not_search_reports_every_failure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(["reports", "--seed=1"]) == 1

    results = folder / "results" / "reports-1.json"
    failures = [one["failure"] for one in json.loads(results.read_text(encoding="utf-8"))]
    count = sum(failure is not None for failure in failures)
    assert f"30 cases, {count} failed" in capsys.readouterr().out
    assert 1 < count < 30
    assert not (folder / "kept").exists()


def test_what_fails_only_now_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [
        {"case": {"limit": 5, "numbers": [{"is": 4}]}, "failure": None},
        {"case": {"limit": 5, "numbers": [{"is": 6}]}, "failure": "AssertionError"},
        {"case": {"limit": 5, "numbers": [{"is": 7}]}, "failure": None},
    ]
    (folder / "before.json").write_text(json.dumps(before), encoding="utf-8")

    assert runner.main(["reports", "--from", str(folder / "before.json")]) == 1

    said = capsys.readouterr().out
    assert "3 cases, 2 failed" in said
    assert f"1 did not fail in {folder / 'before.json'}" in said


def test_no_case_starts_after_the_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["reports", "--minutes=0"]) == 0
    assert "0 cases, 0 failed" in capsys.readouterr().out


@pytest.mark.extra
def test_the_command_lists_the_real_proofs() -> None:
    done = subprocess.run(
        [sys.executable, str(Path(runner.__file__).parent)], capture_output=True, text=True, check=True
    )
    assert "chaos" in done.stdout
