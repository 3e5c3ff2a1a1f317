"""When the environment is created, updated, or kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.fake_executables import executable
from tools import venv


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands that run, in a checkout with a different pyproject.toml and a different lock."""
    ran: list[list[str]] = []
    monkeypatch.setattr(venv, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text("first", encoding="utf-8")
    (tmp_path / venv.LOCK).parent.mkdir(parents=True)
    (tmp_path / venv.LOCK).write_text("first", encoding="utf-8")

    def run(*command: str | Path) -> None:
        ran.append([str(part) for part in command])
        (tmp_path / ".venv/bin").mkdir(parents=True, exist_ok=True)
        python(tmp_path).unlink(missing_ok=True)
        python(tmp_path).symlink_to(sys.executable)

    monkeypatch.setattr(venv, "run", run)
    return ran


def python(checkout: Path) -> Path:
    return checkout / ".venv/bin/python"


def verbs(commands: list[list[str]]) -> list[str]:
    told = ["make" if "venv" in command else "install" for command in commands]
    commands.clear()
    return told


def test_the_environment_is_made_once(tmp_path: Path, commands: list[list[str]]) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)

    assert verbs(commands) == ["make", "install", "install"]

    venv.bring_up(tmp_path / ".venv", exact=False)
    venv.bring_up(tmp_path / ".venv", exact=True)

    assert verbs(commands) == []


@pytest.mark.parametrize("changed", ["pyproject.toml", venv.LOCK])
def test_a_changed_project_is_installed_again(
    tmp_path: Path, commands: list[list[str]], changed: str
) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)
    verbs(commands)
    (tmp_path / changed).write_text("second", encoding="utf-8")

    venv.bring_up(tmp_path / ".venv", exact=False)

    assert verbs(commands) == ["install", "install"]


@pytest.mark.parametrize(("exact", "expected"), [(True, ["make", "install", "install"]), (False, [])])
def test_a_requested_python_remakes_the_environment(
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


def test_only_what_the_lock_has_the_hash_of_is_installed(tmp_path: Path, commands: list[list[str]]) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)

    installs = [command for command in commands if "install" in command]
    assert len(installs) == 2
    for command in installs:
        assert "--require-hashes" in command or {"--no-deps", "--no-build-isolation"} <= set(command)


def test_an_environment_that_was_moved_is_made_again(tmp_path: Path, commands: list[list[str]]) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)
    verbs(commands)
    (tmp_path / ".venv").rename(tmp_path / "a new name")

    venv.bring_up(tmp_path / "a new name", exact=False)

    assert verbs(commands) == ["make", "install", "install"]


@pytest.mark.parametrize("name", ["moved", "a new name"])
def test_an_environment_outside_of_a_checkout_that_was_moved_is_made_again(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A checkout may have spaces in its path."""
    venv.bring_up(tmp_path / ".venv", exact=False)
    verbs(commands)
    moved = tmp_path / name
    moved.mkdir()
    for part in ("pyproject.toml", "tools"):
        (tmp_path / part).rename(moved / part)
    monkeypatch.setattr(venv, "ROOT", moved)

    for _ in range(2):
        venv.bring_up(tmp_path / ".venv", exact=False)

    assert verbs(commands) == ["make", "install", "install"]


@pytest.mark.parametrize("state", ["missing", "dangling", "failing"])
def test_an_environment_whose_python_does_not_run_is_made_again(
    tmp_path: Path, commands: list[list[str]], state: str
) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)
    verbs(commands)
    python(tmp_path).unlink()
    if state == "dangling":
        python(tmp_path).symlink_to(tmp_path / "nothing")
    if state == "failing":
        executable(python(tmp_path), "#!/bin/sh\nexit 1\n")

    venv.bring_up(tmp_path / ".venv", exact=False)

    assert verbs(commands) == ["make", "install", "install"]


def test_an_environment_whose_python_became_another_version_is_made_again(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    venv.bring_up(tmp_path / ".venv", exact=False)
    verbs(commands)
    stamp = tmp_path / ".venv" / venv.STAMP
    # As if its link to the system's python3 had pointed to a different version at the creation.
    stamp.write_text(stamp.read_text(encoding="utf-8").replace(venv.PYTHON, "3.9", 1), encoding="utf-8")

    venv.bring_up(tmp_path / ".venv", exact=False)

    assert verbs(commands) == ["make", "install", "install"]


def test_an_interrupted_environment_is_remade(
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
        capsys.readouterr().err
        == "setup: the setup failed; the reason is above. Fix it and run `make setup` again.\n"
    )
