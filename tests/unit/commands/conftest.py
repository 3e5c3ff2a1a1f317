"""An account with a database, an app and a VPN, and functions that run commands on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.support.codes import has_one_code

CONTAINERS: list[dict[str, Any]] = [
    {"name": "data", "template": "postgresql", "backups": 2},
    {"name": "app", "template": "nodejs"},
    {"name": "net", "template": "stacks-vpn", "vpn_clients": ["laptop"]},
]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(boot_seconds=0, backup_seconds=0) as api:
        api.load(CONTAINERS)
        monkeypatch.setenv("STACKS_API_KEY", api.key)
        monkeypatch.setenv("STACKS_BASE_URL", api.url)
        # This folder and its parents contain no project.
        monkeypatch.chdir(tmp_path)
        yield api
        api.faults.assert_none_left()


@pytest.fixture
def said(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command, which must succeed; return its output."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def document(said: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """Run a command with --json; return the document."""

    def run(*arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(said(*arguments, "--json"))
        return found

    return run


@pytest.fixture
def failed(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command, which must fail; return its error line."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert printed.err.startswith(f"stacks-pulumi {arguments[0]}: ")
        assert has_one_code(printed.err.rstrip("\n")), printed.err
        return printed.err

    return run
