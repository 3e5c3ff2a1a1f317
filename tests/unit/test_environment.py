"""The environment of commands that need no secrets."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi import _pulumi_cli
from stacks_pulumi._environment import without_secrets
from stacks_pulumi.broker import git, signatures
from stacks_pulumi.commands._package import Place, required
from tests.support.packs import ROOT
from tests.tools.fake_executables import executable

SECRETS = {
    "STACKS_API_KEY": "hunter-1",
    "PULUMI_ACCESS_TOKEN": "hunter-2",
    "PULUMI_CONFIG_PASSPHRASE": "hunter-3",
    "PULUMI_BACKEND_URL": "postgres://ann:hunter-4@h/state",
    "PGPASSWORD": "hunter-5",
    "AWS_SECRET_ACCESS_KEY": "hunter-6",
    "GITHUB_TOKEN": "hunter-7",
    # An unknown variable.
    "ANYTHING": "hunter-8",
}


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put secrets into the environment."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


BACKEND = """
import json, os, pathlib, zipfile

def build_wheel(folder, settings=None, metadata=None):
    pathlib.Path(__file__).with_name("environment.json").write_text(json.dumps(dict(os.environ)))
    name = "stacks_pulumi-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        info = "stacks_pulumi-1.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: stacks-pulumi\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


def test_the_build_of_a_wheel_gets_no_secret_and_runs_no_file_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('run')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "backend.py").write_text(BACKEND, encoding="utf-8")
    (checkout / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n', encoding="utf-8"
    )
    # Variables that pip needs are passed on.
    monkeypatch.setenv("PIP_NO_INPUT", "1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")

    found = required(
        tmp_path / "shop", {"requirements.txt": ""}, Place(str(checkout), checkout, editable=True)
    )

    assert not found.problem
    given = (checkout / "environment.json").read_text(encoding="utf-8")
    assert "hunter" not in given
    assert all(word in given for word in ('"PATH"', '"PIP_NO_INPUT"', "http://proxy:1"))


def test_commands_that_need_no_secret_get_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("git", "ssh-keygen", "ps"):
        executable(tmp_path / "bin" / name, f"#!/bin/sh\nenv >{tmp_path}/{name}.txt\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("SSH_AUTH_SOCK", "a socket")
    (tmp_path / ".git").mkdir()
    commands: dict[str, Callable[[], object]] = {
        "git": lambda: git.author(tmp_path),
        "ssh-keygen": lambda: signatures._run(["-Y", "sign"]),
        "ps": lambda: _pulumi_cli._below(os.getpid()),
    }

    for name, run in commands.items():
        run()
        given = (tmp_path / f"{name}.txt").read_text(encoding="utf-8")
        assert "hunter" not in given, name
        assert "PATH=" in given
        assert ("SSH_AUTH_SOCK=a socket" in given) is (name in {"git", "ssh-keygen"})


def test_a_name_with_a_star_is_the_beginning_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "an index")
    monkeypatch.setenv("LC_TIME", "C")

    assert "PIP_INDEX_URL" not in without_secrets()
    assert without_secrets()["LC_TIME"] == "C"
    assert without_secrets("PIP_*")["PIP_INDEX_URL"] == "an index"
    assert "PIP_INDEX_URL" not in without_secrets("PIP_INDEX")


def test_no_command_is_started_with_whatever_the_environment_has() -> None:
    started = {"run", "Popen", "call", "check_call", "check_output", "open_process"}
    without = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in (ROOT / "stacks_pulumi").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in started
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"subprocess", "anyio"}
        and not (node.func.value.id == "anyio" and node.func.attr == "run")
        and "env" not in {keyword.arg for keyword in node.keywords}
    ]

    assert without == []
