"""A healthy machine on an emulator; each test breaks one part of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.support.codes import has_a_code
from tests.support.machine import Machine
from tools.docs.exports import Accounts


@dataclass(frozen=True)
class Report:
    """The output of the doctor."""

    code: int
    checks: list[dict[str, str]]

    def of(self, check: str) -> list[dict[str, str]]:
        """The lines of one check."""
        return [line for line in self.checks if line["check"] == check]

    def levels(self, level: str) -> set[str]:
        """The checks with a line of this level."""
        return {line["check"] for line in self.checks if line["level"] == level}


def only(report: Report, check: str) -> dict[str, str]:
    """The only line of a check."""
    (line,) = report.of(check)
    return line


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(boot_seconds=0) as api:
        yield api
        api.faults.assert_none_left()


@pytest.fixture
def key_in_environment(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Set the emulator's account in the environment, as for commands outside a project; its lists have no delay."""
    platform = tmp_path_factory.mktemp("platform") / "platform.yaml"
    platform.write_text("version: 1\nlists: {lag_seconds: 0}\n", encoding="utf-8")
    monkeypatch.setenv("STACKS_API_KEY", emulator.key)
    monkeypatch.setenv("STACKS_BASE_URL", emulator.url)
    monkeypatch.setenv("STACKS_PLATFORM", str(platform))
    # This folder and its parents contain no project.
    monkeypatch.chdir(platform.parent)


class Account(Accounts):
    """
    The emulator's account, exports of stacks, and the commands that read both.

    Attributes:
        capsys: The output of the commands.
    """

    def __init__(self, emulator: Emulator, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(emulator, folder)
        self.capsys = capsys

    def report(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run the command `account`, which must end with this exit code; return its JSON."""
        states = [word for file in arguments if file.endswith(".json") for word in ("--state", file)]
        options = [word for word in arguments if not word.endswith(".json")]
        ended = main(["account", "--json", *states, *options])
        out, err = self.capsys.readouterr()
        assert ended == code, err or out
        data: dict[str, Any] = json.loads(out)
        return data

    def budgets(self, text: str) -> str:
        """Write a file with budgets, and return its path."""
        file = self.folder / "budgets.yaml"
        file.write_text(text, encoding="utf-8")
        return str(file)


@pytest.fixture
def accounts(
    emulator: Emulator, key_in_environment: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Account:
    """Return the emulator's account without an export."""
    return Account(emulator, tmp_path, capsys)


class CheckedMachine(Machine):
    """
    A machine with a stack on the emulator's account, and the doctor that checks it.

    Attributes:
        emulator: The emulator.
        capsys: The output of the commands.
    """

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        emulator: Emulator,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        super().__init__(folder, monkeypatch)
        self.emulator = emulator
        self.capsys = capsys
        self.set("stacks:apiKey", emulator.key, secret=True)
        self.set("stacks:baseUrl", emulator.url)

    def doctor(self, *arguments: str) -> Report:
        """Run the command in the project's folder."""
        code = main(["doctor", "--json", "-C", str(self.project), *arguments])
        said: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        assert said["ok"] == (code == 0)
        assert [check for check in said["checks"] if has_a_code(check["text"])] == []
        return Report(code, said["checks"])


@pytest.fixture
def machine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
) -> CheckedMachine:
    """Return a healthy machine."""
    return CheckedMachine(tmp_path, monkeypatch, emulator, capsys)
