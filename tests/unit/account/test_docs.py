"""The pages show the output of the commands, and describe every part of the output and every option."""

from __future__ import annotations

import argparse
import functools
import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stacks_pulumi.account.doctor_facts import LEVELS
from stacks_pulumi.cli import build_parser, main
from stacks_pulumi.commands import account, cost, doctor, scaffold
from stacks_pulumi.commands._shared import declare
from stacks_pulumi.emulator import Emulator
from tests.unit.account.conftest import CheckedMachine

DOCS = Path(__file__).parents[3] / "docs"
DOCTOR = (DOCS / "doctor.md").read_text(encoding="utf-8")
COMMANDS = (DOCS / "commands.md").read_text(encoding="utf-8")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://127.0.0.1:7822"),
    (re.compile(r"(?<=selected stack of )[^,]+"), "FOLDER"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "HEX"),
    (re.compile(r"\d+(\.\d)? kB|\b\d{5,}\b"), "SIZE"),
)


def shown(page: str) -> Iterator[tuple[str, str]]:
    """Return the commands in a page, each with the output below it."""
    for block in CONSOLE.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            yield line, output


def normal(text: str) -> str:
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    # The width of columns depends on varying values.
    return "\n".join(re.sub(r" {2,}", "  ", line).strip() for line in text.splitlines()).strip()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Run a line of a page and return its whole output."""

    def printed(line: str) -> str:
        out = io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", out)
        program, *arguments = line.split()
        assert program == "stacks-pulumi"
        main(arguments)
        return out.getvalue()

    return printed


def test_the_page_shows_the_output_of_the_doctor(
    machine: CheckedMachine, monkeypatch: pytest.MonkeyPatch, run: Callable[[str], str]
) -> None:
    machine.set("stacks:apiKey", machine.emulator.key)
    machine.set("stacks:baseUrl", machine.emulator.page_url.rstrip("/"))
    machine.set("stacks:adopt", "if_matching")
    monkeypatch.chdir(machine.project)
    ((line, output),) = shown(DOCTOR)

    assert normal(run(line)) == normal(output)


def test_the_page_shows_the_output_of_each_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Callable[[str], str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Emulator(boot_seconds=0, backup_seconds=0) as emulator:
        monkeypatch.setenv("STACKS_API_KEY", emulator.key)
        monkeypatch.setenv("STACKS_BASE_URL", emulator.url)
        emulator.load(
            [
                {"name": "orders-db", "template": "postgresql", "backups": 2},
                {"name": "orders", "template": "nodejs"},
                {"name": "vpn", "template": "stacks-vpn", "vpn_clients": ["laptop"]},
            ]
        )
        pairs = list(shown(COMMANDS))

        assert {line.split()[1] for line, _ in pairs} == {"logs", "backups", "credentials", "vpn-config"}
        for line, output in pairs:
            assert normal(run(line)) == normal(output), line


OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    # The page about commands has the options of the other commands in a generated table.
    "account": account.add_arguments,
    "cost": cost.add_arguments,
    "scaffold": scaffold.add_arguments,
    "doctor": functools.partial(declare, command=doctor.COMMANDS["doctor"]),
}


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option_is_described_on_the_page_of_its_command(command: str) -> None:
    page = (DOCS / f"{command}.md").read_text(encoding="utf-8")
    parser = argparse.ArgumentParser()
    OPTIONS[command](parser)
    options = [action.option_strings[-1] for action in parser._actions if action.option_strings]

    assert len(options) > 1
    assert [name for name in options if name != "--help" and f"`{name}" not in page] == []


def test_every_level_has_its_row() -> None:
    assert re.findall(r"^\| `(\w+)` \|", DOCTOR, re.MULTILINE) == [*LEVELS]


def test_every_command_is_in_the_list() -> None:
    listed = re.findall(r"^\| `stacks-pulumi (\S+?)[` ]", COMMANDS, re.MULTILINE)

    assert set(listed) == set(build_parser()[1])
