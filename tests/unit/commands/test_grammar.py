"""Common behaviour of all commands: options, key and address, exit codes, JSON, errors, colours and completion."""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi import cli
from stacks_pulumi.cli import main
from stacks_pulumi.commands import _shared
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.reports import Column, Document, PolicyViolation, Row, Table
from tests.support.forked import commands as forked
from tests.support.machine import Machine
from tests.support.previews import preview, step, web
from tools.docs.commands import commands

ROOT = Path(__file__).parents[3]
ALL = {name: (command, parser) for name, command, parser in commands()}
ENVELOPE = {"version", "incomplete", "errors"}

RESULTS: dict[str, list[str]] = {
    "account": ["--state", "state.json"],
    "backups": [],
    "cost": ["preview.json"],
    "credentials": ["data"],
    "gate check": ["--gate", "gate"],
    "logs": ["app"],
    "policies": ["--out", "packs"],
    "policy": ["check", "spend.json"],
    "scaffold": ["--owned", "--out", "taken"],
    "vpn-config": ["net", "--show-secrets"],
}
"""Arguments with which a command returns a result, in a folder with the files of `folder`."""

ELSEWHERE = {
    *("broker grant", "broker log", "broker requests", "broker status"),
    *("doctor", "emulator", "gate log", "gate plan", "gate show"),
}
"""Commands that need an engine, a record, a ledger or a process: their own tests check their results."""


@pytest.fixture
def folder(emulator: Emulator, tmp_path: Path) -> Path:
    """Return the working directory, with a file for each command that reads one."""
    (tmp_path / "state.json").write_text('{"version": 3, "deployment": null}', encoding="utf-8")
    (tmp_path / "preview.json").write_bytes(preview(step("create", "new", None, web())))
    limits = {name: {"max_monthly_usd": 5} for name in ("monthly-budget", "budget-warning", "spend-gate")}
    (tmp_path / "spend.json").write_text(json.dumps(limits), encoding="utf-8")
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "gate.yaml").write_text("version: 1\n", encoding="utf-8")
    return tmp_path


def words(name: str, *more: str) -> list[str]:
    return [*name.split(), *RESULTS[name], *more]


def options(name: str) -> set[str]:
    return {option for action in ALL[name][1]._actions for option in action.option_strings}


def test_every_command_with_a_result_is_tried() -> None:
    assert {name for name, (command, _) in ALL.items() if command.forms} == {*RESULTS, *ELSEWHERE}


@pytest.mark.parametrize("name", ALL)
def test_the_options_that_all_share_are_those_of_the_shared_place(name: str) -> None:
    command, parser = ALL[name]

    # The `--stack` of a grant names the stack that the grant is for, not a stack of this folder.
    shared = {"-C", "--cwd", "-s", "--stack"} - ({"--stack"} if name == "broker grant" else set())
    assert (shared & options(name)) == (shared if command.stack else set())
    assert ("--format" in options(name)) == bool(command.forms)
    for form in ("json", "markdown"):
        assert (f"--{form}" in options(name)) == (form in command.forms)
    assert parser.get_default("format") == (command.forms[0] if command.forms else "text")
    # If a command prints a result, a program can read the result.
    assert not command.forms or "json" in command.forms
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize("name", ALL)
def test_the_help_has_each_exit_code(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main([*name.split(), "--help"])

    shown = capsys.readouterr().out.partition("\nexit codes:\n")[2]
    assert re.findall(r"^  (\d+) ", shown, re.MULTILINE) == [str(code) for code in ALL[name][0].all_codes]
    assert {0, 1} <= ALL[name][0].all_codes.keys()


@pytest.mark.parametrize("form", [["--json"], ["--format", "json"], ["--format=json"]], ids=" ".join)
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_in_json_has_the_keys_of_all(
    name: str, form: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(words(name, *form))

    # Only the gate's folder has mistakes: there is no approver.
    assert code == (2 if name == "gate check" else 0)
    data = json.loads(capsys.readouterr().out)
    assert (data["version"], data["incomplete"], data["errors"]) == (1, None, [])
    assert data.keys() - ENVELOPE


def test_what_is_missing_in_a_result_is_named(
    folder: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"id": f"{emulator.account}-app", "name": "app", "template": "nodejs", "status": "running"}
    for name in ("account", "cost"):
        body = {"success": True, "data": [row], "has_more": True}
        emulator.faults.add("containers.list", "answer", 9, body=body)

        given = words("account") if name == "account" else ["cost", "--account"]
        assert main([*given, "--json"]) == 1

        emulator.faults.clear()
        assert "incomplete" in json.loads(capsys.readouterr().out)["incomplete"]


OF_AN_ACCOUNT = [name for name in RESULTS if ALL[name][0].stack]


def of_account(name: str, *more: str) -> list[str]:
    """Return the arguments of a command that reads the account."""
    return ["cost", "--account", *more] if name == "cost" else words(name, *more)


@pytest.mark.parametrize("name", OF_AN_ACCOUNT)
def test_an_error_is_json_too(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(folder / "none")

    assert main(of_account(name, "--json", "-C", missing)) == 1

    printed = capsys.readouterr()
    message = f"{missing} is not a folder: pass the project's folder with -C"
    assert json.loads(printed.out) == {
        "version": 1,
        "incomplete": message,
        "errors": [{"code": "file-access", "message": message}],
    }
    assert printed.err == f"stacks-pulumi {name}: {message} [file-access]\n"


@pytest.mark.parametrize("name", OF_AN_ACCOUNT)
def test_an_error_shows_no_key_and_is_a_line_of_text(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = f"sk_stacks_{'a' * 64}"

    assert main(of_account(name, "--json", "-C", f"{key}\x1b[2J\n{{")) == 1

    printed = capsys.readouterr()
    assert key not in printed.out + printed.err
    assert printed.err.count("\n") == 1
    assert "\x1b" not in printed.err
    assert json.loads(printed.out)["errors"][0]["message"].startswith("sk_stacks_...")


@pytest.mark.parametrize("name", ALL)
def test_a_wrong_option_ends_with_1(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        main([*name.split(), "--nonsense", "--json"])

    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].endswith("[invalid-argument]")
    assert [one["code"] for one in json.loads(printed.out)["errors"]] == ["invalid-argument"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["acount"], "account"),
        (["gate", "aprove"], "approve"),
        (["account", "--chidlren"], "--children"),
        (["account", "--max-totl=5"], "--max-total"),
        (["cost", "--format", "jsn"], "json"),
        (["policy", "chek", "x"], "check"),
    ],
)
def test_what_was_meant_is_suggested(
    given: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(given)

    assert f" (did you mean {meant!r}?) [invalid-argument]\n" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["xyzzy"], ["account", "--xyzzy"], ["logs", "a", "b"]])
def test_nothing_is_suggested_for_what_is_like_nothing(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(given)

    assert "did you mean" not in capsys.readouterr().err


class TestWhoseAccount:
    """Each command gets key and address in the same way; `test_on_one_container` tests the details with one command."""

    @pytest.fixture
    def machine(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
        return Machine(folder / "machine", monkeypatch)

    @pytest.mark.parametrize("name", ["account", "backups", "cost", "credentials", "logs", "scaffold"])
    def test_the_stacks_key_is_used_in_a_project(
        self, name: str, machine: Machine, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.set("stacks:apiKey", emulator.key, secret=True)
        machine.set("stacks:baseUrl", emulator.url)
        machine.variable("STACKS_API_KEY", f"sk_stacks_{'0' * 64}")

        assert main(of_account(name, "-C", str(machine.project))) == 0, capsys.readouterr().err

        assert {one.status for one in emulator.requests} == {200}

    @pytest.mark.parametrize("name", ["account", "backups", "cost", "credentials", "logs", "scaffold"])
    def test_the_environments_key_is_not_sent_to_an_address_of_the_project(
        self, name: str, machine: Machine, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.set("stacks:baseUrl", "https://collector.test/api/v1")
        machine.variable("STACKS_API_KEY", emulator.key)

        assert main(of_account(name, "-C", str(machine.project))) == 1

        assert "the key in STACKS_API_KEY is not sent to" in capsys.readouterr().err
        assert machine.leaked() == ""

    @pytest.mark.parametrize("name", ["account", "backups", "cost", "scaffold"])
    def test_without_a_key_the_address_is_named_too(
        self,
        name: str,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.delenv("STACKS_API_KEY")

        assert main(of_account(name)) == 1

        # Otherwise the key of an emulator would be sent to the platform.
        assert "STACKS_API_KEY. For an emulator or another platform, set STACKS_BASE_URL" in (
            capsys.readouterr().err
        )

    def test_a_command_that_is_advised_has_the_key_of_the_account_that_was_read(
        self, machine: Machine, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def advised() -> str:
            assert main(of_account("account", "--deletions", "-C", str(machine.project), "-s", "dev")) == 0
            return "".join(line for line in capsys.readouterr().out.splitlines() if "DELETE" in line)

        machine.set("stacks:apiKey", emulator.key, secret=True)
        machine.set("stacks:baseUrl", emulator.url)
        machine.variable("STACKS_API_KEY", f"sk_stacks_{'0' * 64}")
        of_stack = advised()
        machine.variable("STACKS_API_KEY", emulator.key)

        assert f'"$(pulumi config get stacks:apiKey --cwd {machine.project} --stack dev)"' in of_stack
        assert "STACKS_API_KEY" not in of_stack
        assert '"$STACKS_API_KEY"' in advised()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestColours:
    @pytest.mark.parametrize(
        ("variables", "expected"),
        [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    )
    def test_they_are_for_a_terminal_that_wants_them(
        self, variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        for name, value in {"TERM": "xterm", **variables}.items():
            monkeypatch.setenv(name, value)

        assert _shared.has_colours(Terminal()) is expected
        assert _shared.has_colours(io.StringIO()) is False

        monkeypatch.setattr(sys, "stdout", out := Terminal())
        table = Table((Column("Container"),), (Row(("web",), "create"),))
        violation = PolicyViolation("allowed-plans", "ours", "mandatory", "web", "The plan is too large.")
        _shared.show(
            Document("It costs $4.00.", tables=(table,), violations=(violation,)),
            cli.build_parser()[0].parse_args(["cost"]),
            frames=True,
        )

        assert ("\x1b[1;31mmandatory" in out.getvalue()) is expected
        assert ("\x1b[" in out.getvalue()) is expected
        assert "│" in out.getvalue()

    def test_an_ascii_terminal_gets_the_signs_of_ascii(self) -> None:
        dash, times = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
        text = f"┌─┬─┐ │±│ $4.00{dash}$9.00 2 {times} web · é"

        assert text.encode("ascii", "stacks-pulumi") == b"+-+-+ |*| $4.00-$9.00 2 x web . ?"

    def test_each_sign_of_an_output_has_one_in_ascii(self) -> None:
        signs: dict[str, str] = {}
        for file in (file for part in SHOWING for file in (ROOT / "stacks_pulumi" / part).glob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    node.value.value = None  # A docstring.
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    signs |= {sign: file.name for sign in node.value if not sign.isascii()}

        shown = {sign: name for sign, name in signs.items() if sign not in ON_A_PAGE}
        assert shown
        assert {
            sign: name for sign, name in shown.items() if b"?" in sign.encode("ascii", "stacks-pulumi")
        } == {}


SHOWING = ("account", "commands", "cost", "gate", "policy", "reports")
ON_A_PAGE = "❌⚠\N{VARIATION SELECTOR-16}\N{INFORMATION SOURCE}\N{ZERO WIDTH SPACE}"
"""Characters of Markdown, which a terminal does not render."""

SCRIPT = r"""
stacks-pulumi() { {command} "$@"; }
source ./script
try() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  _shtab_stacks_pulumi
  echo "${COMPREPLY[*]}"
}
"""


class TestCompletion:
    @pytest.fixture
    def completed(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
        """Return bash's completions of the last word."""
        assert main(["completion", "bash"]) == 0
        (folder / "script").write_text(capsys.readouterr().out, encoding="utf-8")
        start = SCRIPT.replace("{command}", f"{forked.folder() / 'python3'} -m stacks_pulumi")

        def offered(*typed: str) -> list[str]:
            done = subprocess.run(
                ["bash", "-c", f'{start}\ntry "$@"', "bash", "stacks-pulumi", *typed],
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stderr == ""
            return done.stdout.split()

        return offered

    def test_bash_offers_commands_options_files_and_the_names_of_containers(
        self, completed: Callable[..., list[str]]
    ) -> None:
        assert completed("lo") == ["logs"]
        assert completed("account", "--chi") == ["--children"]
        assert completed("account", "--format", "") == ["table", "json", "markdown"]
        assert completed("cost", "--state", "sta") == ["state.json"]
        assert completed("gate", "plan", "--gate", "") == ["gate"]
        assert completed("credentials", "") == ["data", "app", "net"]
        assert completed("logs", "--lines", "5", "d") == ["data"]

    def test_without_an_answer_nothing_is_offered_and_nothing_is_printed(
        self, completed: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STACKS_API_KEY", f"sk_stacks_{'0' * 64}")
        assert completed("logs", "") == []
        assert completed("logs", "-C", "none", "") == []

    def test_a_name_that_a_shell_could_carry_out_is_left_out(
        self, folder: Path, emulator: Emulator, completed: Callable[..., list[str]]
    ) -> None:
        names = ("$(touch${IFS}made)", "`touch made`", "-rf")
        for before, name in zip(("data", "app", "net"), names, strict=True):
            emulator.state.container(before).name = name
        assert completed("logs", "") == []

        emulator.state.container("-rf").name = "ok-1"
        assert completed("logs", "") == ["ok-1"]
        assert not (folder / "made").exists()

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_each_shell_asks_for_the_names(self, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["completion", shell]) == 0

        script = capsys.readouterr().out
        assert "stacks-pulumi completion --containers" in script
        # This command is for scripts, so no shell offers it.
        assert script.count("--containers") == script.count("completion --containers")

    @pytest.mark.extra
    @pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
    def test_fish_offers_the_names(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["completion", "fish"]) == 0
        (folder / "script").write_text(capsys.readouterr().out, encoding="utf-8")
        start = f"function stacks-pulumi; {sys.executable} -m stacks_pulumi $argv; end; source ./script"

        done = subprocess.run(
            ["fish", "-c", f"{start}; complete -C 'stacks-pulumi logs --lines 5 d'"],
            capture_output=True,
            text=True,
            check=True,
        )

        assert [line.split()[0] for line in done.stdout.splitlines()] == ["data"]

    def test_the_stack_on_the_line_is_used(
        self,
        folder: Path,
        emulator: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        machine = Machine(folder / "machine", monkeypatch)
        machine.set("stacks:apiKey", emulator.key, secret=True)
        machine.set("stacks:baseUrl", emulator.url)

        line = ["logs", "-f", "-C", str(machine.project), "--lines", "5", ""]
        assert main(["completion", "--containers", *line]) == 0

        assert capsys.readouterr().out.split() == ["data", "app", "net"]
        assert main(["completion", "--containers", "logs", "-s"]) == 1
        assert capsys.readouterr() == ("", "")
