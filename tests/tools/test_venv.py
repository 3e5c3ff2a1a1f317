"""When the environment is made, brought up to date, or left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import venv


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was run, in a checkout with a pyproject.toml of its own."""
    ran: list[list[str]] = []
    monkeypatch.setattr(venv, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text("first", encoding="utf-8")

    def run(*command: str | Path) -> None:
        ran.append([str(part) for part in command])
        (tmp_path / ".venv").mkdir(exist_ok=True)

    monkeypatch.setattr(venv, "run", run)
    return ran


def verbs(commands: list[list[str]]) -> list[str]:
    told = ["make" if "venv" in command else "install" for command in commands]
    commands.clear()
    return told


def test_it_is_made_once(tmp_path: Path, commands: list[list[str]]) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)

    assert verbs(commands) == ["make", "install", "install"]

    venv.bring_up(tmp_path / ".venv", exact=False)
    venv.bring_up(tmp_path / ".venv", exact=True)

    assert verbs(commands) == []


def test_a_changed_project_is_installed_again(tmp_path: Path, commands: list[list[str]]) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)
    verbs(commands)
    (tmp_path / "pyproject.toml").write_text("second", encoding="utf-8")

    venv.bring_up(tmp_path / ".venv", exact=False)

    assert verbs(commands) == ["install", "install"]


@pytest.mark.parametrize(("exact", "expected"), [(True, ["make", "install", "install"]), (False, [])])
def test_another_python_counts_when_it_was_asked_for(
    tmp_path: Path,
    commands: list[list[str]],
    exact: bool,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)
    verbs(commands)
    monkeypatch.setattr(venv, "PYTHON", "3.99")

    venv.bring_up(tmp_path / ".venv", exact=exact)

    assert verbs(commands) == expected


def test_what_an_interruption_left_is_not_trusted(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)
    verbs(commands)
    (tmp_path / "pyproject.toml").write_text("second", encoding="utf-8")
    working = venv.run

    def interrupted(*_: str | Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(venv, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        venv.bring_up(tmp_path / ".venv", exact=False)
    monkeypatch.setattr(venv, "run", working)

    venv.bring_up(tmp_path / ".venv", exact=False)

    assert verbs(commands) == ["make", "install", "install"]


def test_a_failure_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_folder: Path, *, exact: bool) -> None:
        del exact
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(venv, "bring_up", fail)
    monkeypatch.setattr(sys, "argv", ["venv.py", str(tmp_path / ".venv")])

    assert venv.main() == 1
    assert (
        capsys.readouterr().err == "setup: it failed; the reason stands above. Then run `make setup` again.\n"
    )
