"""The output of the command line on a call without arguments, an interruption, and a missing extra."""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import subprocess
import sys
import termios
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import stacks_pulumi
from stacks_pulumi import cli
from stacks_pulumi.cli import advice
from tests.support.waiting import until

COMMAND = [sys.executable, "-m", "stacks_pulumi"]


def test_a_bare_call_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0

    out = capsys.readouterr().out
    assert out.startswith("usage: stacks-pulumi")
    assert all(name in out for name in cli.build_parser()[1])


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"stacks-pulumi {stacks_pulumi.__version__}\n"


def unread(pipe: Any) -> int:
    """Return the number of bytes in a pipe that its reader has not read yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_ctrl_c_ends_a_command_with_one_line() -> None:
    with subprocess.Popen(
        [*COMMAND, "cost"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("{")
        process.stdin.flush()
        # The command reads its input only after it can handle interruptions.
        until(lambda: unread(process.stdin) == 0, alive=lambda: process.poll() is None)
        process.send_signal(signal.SIGINT)
        # Python delays an interruption between two reads until the second read ends.
        process.stdin.close()
        errors = process.stderr.read()

    assert process.returncode == 130
    assert errors == "\nInterrupted.\n"


@pytest.mark.parametrize(
    ("command", "module"),
    [("emulator", "werkzeug"), ("completion", "shtab"), ("mcp", "pydantic")],
)
def test_a_missing_extra_is_one_line_with_the_command_that_installs_it(command: str, module: str) -> None:
    program = (
        f"import sys; sys.modules[{module!r}] = None; from stacks_pulumi.cli import main; sys.exit(main())"
    )
    arguments = {"completion": ["bash"]}.get(command, [])

    done = subprocess.run(
        [sys.executable, "-c", program, command, *arguments], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith(
        f"stacks-pulumi {command}: {module} is not installed. It comes with the extra "
    )
    assert done.stderr.endswith(" [missing-extra]\n")
    assert done.stderr.count("\n") == 1


def test_a_file_of_something_else_does_not_start_the_emulator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.json").write_text("buy milk", encoding="utf-8")

    assert cli.main(["emulator", "--state", str(tmp_path / "notes.json"), "--port", "0"]) != 0

    assert capsys.readouterr().err.endswith(" [emulator-start]\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_the_completion_knows_every_command_and_its_options(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["completion", shell]) == 0

    script = capsys.readouterr().out
    assert all(word in script for word in ("emulator", "cost", "rate-limit", "max-increase"))


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "werkzeug"),
        (
            {"url": "file:///src/a%20b", "dir_info": {"editable": True}},
            "-e '/src/a b[emulator]'",
        ),
        ({"url": "file:///src/it", "dir_info": {}}, "'/src/it[emulator]'"),
        (
            {"url": "file:///d/stacks_pulumi-1-py3-none-any.whl", "archive_info": {}},
            "'stacks-pulumi[emulator] @ file:///d/stacks_pulumi-1-py3-none-any.whl'",
        ),
        (
            {"url": "https://example.com/it.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "'stacks-pulumi[emulator] @ git+https://example.com/it.git@abc'",
        ),
        (
            {"url": "https://example.com/it.whl", "archive_info": {"hashes": {"sha256": "ab"}}},
            "'stacks-pulumi[emulator] @ https://example.com/it.whl#sha256=ab'",
        ),
    ],
)
def test_the_advice_names_what_the_package_was_installed_from(
    origin: Any, requirement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = None if origin is None else json.dumps(origin)
    monkeypatch.setattr(metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: text))

    told = advice(ModuleNotFoundError("No module named 'werkzeug'", name="werkzeug.serving"))

    assert told is not None
    assert told.endswith(f"pip install {requirement}")


def test_a_package_of_no_extra_is_not_advised_on() -> None:
    assert advice(ModuleNotFoundError("No module named 'numpy'", name="numpy")) is None


@pytest.mark.parametrize("command", ["account", "cost", "emulator"])
def test_a_key_among_the_arguments_is_not_printed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    key = "sk_stacks_" + "a" * 64

    with contextlib.suppress(SystemExit):
        cli.main([command, f"{key}\n{key}"])

    said = capsys.readouterr().err
    assert said.splitlines()[-1].count("sk_stacks_...") == 2
    assert key not in said
