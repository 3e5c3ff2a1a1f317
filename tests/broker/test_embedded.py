"""A broker that is started for one run, without a running server and without a ledger that is kept."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks_pulumi import cli
from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.broker import folder as folders
from stacks_pulumi.broker.change import canonical, instant
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate import start
from stacks_pulumi.gate.change import Change
from stacks_pulumi.gate.rules import written
from tests.broker.conftest import create, permit
from tests.broker.test_commands import BODY, CREATE
from tests.support.forked import commands
from tests.support.gate import keys, signer
from tests.support.waiting import until


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    # The emulator uses the real clock, as the started broker does.
    with Emulator(boot_seconds=0) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a broker without a server, whose key is in the environment."""
    path = tmp_path / "gate"
    start.init(path)
    settings = {"version": 1, "base_url": emulator.url, "rules": {"unpriced": "approve"}}
    (path / "gate.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (path / "allowed_signers").write_text(signer("ann"), encoding="utf-8")
    monkeypatch.setenv("STACKS_API_KEY", emulator.key)
    # A server that the command starts is a fork.
    monkeypatch.setattr(sys, "executable", str(commands.folder() / "python3"))
    return path


@pytest.fixture
def change(folder: Path) -> Path:
    """A signed change that creates `web`."""
    file = folder.parent / "change.json"
    said = {
        "version": 1,
        "stack": "shop/prod",
        "account": (folder / "broker.account").read_text(encoding="utf-8").strip(),
        "until": instant(SYSTEM_CLOCK.wall() + 3600),
        "nonce": "a-nonce-of-this-test",
        "permits": [{"n": 1, **permit("containers.create", create("web"))}],
    }
    file.write_bytes(canonical(said))
    assert cli.main(["gate", "approve", str(file), "--gate", str(folder), "--key", str(keys() / "ann")]) == 0
    return file


def apply(change: Path, *words: str, options: tuple[str, ...] = ()) -> int:
    return cli.main(
        [
            "gate",
            "apply",
            str(change),
            "--gate",
            str(change.parent / "gate"),
            "--accept-replay",
            *options,
            "--",
            *words,
        ]
    )


def test_the_command_has_a_token_and_not_the_key_and_the_server_ends_with_it(
    folder: Path,
    change: Path,
    emulator: Emulator,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PULUMI_OPTION_TARGET", "only-this")
    script = f"{CREATE}\nprint(os.environ, sorted(os.listdir(sys.argv[2])))"

    assert apply(change, sys.executable, "-c", script, BODY, str(folder)) == 0

    said = capfd.readouterr()
    assert "sk_stacks_57ac6b0c" in said.out
    assert "PULUMI_OPTION_TARGET" not in said.out
    assert emulator.key not in said.out + said.err
    assert "can read the broker's folder" in said.err
    assert [one.name for one in emulator.state.containers.values()] == ["web"]
    assert folders.announced(folder) == {}
    assert emulator.key not in (folder / "broker.log").read_text(encoding="utf-8")


@pytest.mark.real_processes
def test_what_a_killed_run_has_started_still_reaches_the_server(
    folder: Path, change: Path, emulator: Emulator, tmp_path: Path
) -> None:
    """The command and `apply` are killed; a process that the command has started continues, as a provider does."""
    go, done = tmp_path / "go", tmp_path / "done"
    os.mkfifo(go)
    script = tmp_path / "provider.py"
    script.write_text(
        f"open({str(go)!r}).read()\n{CREATE}\nopen({str(done)!r}, 'w').close()", encoding="utf-8"
    )
    start = tmp_path / "engine.py"
    start.write_text(
        "import subprocess, sys\n"
        f"words = [sys.executable, {str(script)!r}, {BODY!r}]\n"
        "subprocess.Popen(words, close_fds=False, start_new_session=True)\n"
        "print('started', flush=True)\n"
        "sys.stdin.read()\n",
        encoding="utf-8",
    )
    words = [sys.executable, "-m", "stacks_pulumi", "gate", "apply", str(change), "--gate", str(folder)]
    with subprocess.Popen(
        [*words, "--accept-replay", "--", sys.executable, str(start)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        os.killpg(process.pid, signal.SIGKILL)
    server = folders.announced(folder)
    assert server["while_used"]
    assert folders.is_used(folder)

    go.write_text("go", encoding="utf-8")

    until(done.exists)
    assert [one.name for one in emulator.state.containers.values()] == ["web"]
    until(lambda: not folders.is_used(folder))
    # The server would end 15 minutes later. The next run uses it and ends it.
    assert cli.main(["gate", "show", str(change), "--gate", str(folder)]) == 0
    assert folders.announced(folder) == {}


@pytest.mark.real_processes
def test_a_request_to_end_is_passed_on_to_the_command(folder: Path, change: Path) -> None:
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('started', flush=True)\n"
        "signal.pause()"
    )
    words = [sys.executable, "-m", "stacks_pulumi", "gate", "apply", str(change), "--gate", str(folder)]
    with subprocess.Popen(
        [*words, "--accept-replay", "--", sys.executable, "-c", script], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.terminate()
        assert process.wait(60) == 7
    assert folders.announced(folder) == {}


def test_strict_refuses_a_server_of_its_own(folder: Path, change: Path, emulator: Emulator) -> None:
    assert apply(change, "true", options=("--strict",)) == 2
    assert not emulator.state.containers


def test_a_new_ledger_does_not_know_whether_a_change_was_applied(
    folder: Path, change: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["gate", "apply", str(change), "--gate", str(folder)]

    assert cli.main([*words, "--", "true"]) == 2
    assert "--accept-replay" in capsys.readouterr().err
    assert cli.main([*words, "--accept-replay", "--", "false"]) == 1
    # No container was created, and the ledger contains the change, so it can continue. Now the ledger contains it: the
    # same change is the same grant, and no permit is left.
    assert cli.main([*words, "--", sys.executable, "-c", CREATE, BODY]) == 0
    assert emulator.calls("containers.create") == 1


PULUMI = f"""
import json, pathlib, sys
words = sys.argv[1:]
tags = pathlib.Path(__file__).with_name(words[words.index("--stack") + 1].replace("/", "+") + ".tags")
said = json.loads(tags.read_text()) if tags.exists() else {{{{}}}}
if words[:3] == ["stack", "tag", "set"]:
    tags.write_text(json.dumps(said | {{{{words[3]: words[4]}}}}))
elif words[0] == "up":
    sys.argv[1:] = [{{body!r}}]
{textwrap.indent(CREATE, "    ")}
else:
    print(json.dumps(said if words[0] == "stack" else {{{{}}}}))
"""
"""An engine that stores tags, and whose `up` creates a container."""


def test_a_ledger_that_is_younger_than_a_change_asks_the_tag_of_its_stack(
    folder: Path,
    change: Path,
    emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A later run has a new ledger. After its first change, it must still detect changes that were applied earlier."""
    project, engine = folder.parent / "shop", folder.parent / "bin" / "pulumi"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    engine.parent.mkdir()
    monkeypatch.setenv("PATH", str(engine.parent), prepend=os.pathsep)
    said = json.loads(change.read_text(encoding="utf-8"))

    def up(name: str, *options: str) -> int:
        body = create(name)
        nonce, permits = f"the-nonce-of-{name}-here", [{"n": 1, **permit("containers.create", body)}]
        change.write_bytes(canonical({**said, "nonce": nonce, "permits": permits}))
        shutil.rmtree(change.with_name("change.json.sig.d"), ignore_errors=True)
        engine.write_text(f"#!{sys.executable}\n{PULUMI.format(body=json.dumps(body))}", encoding="utf-8")
        engine.chmod(0o700)
        words = [str(change), "--gate", str(folder)]
        assert cli.main(["gate", "approve", *words, "--key", str(keys() / "ann")]) == 0
        return cli.main(["gate", "apply", *words, "-C", str(project), *options])

    def forget() -> None:
        for file in folder.glob("ledger.sqlite*"):
            file.unlink()
        emulator.state.containers.clear()

    assert (up("web", "--accept-replay"), up("data")) == (0, 0)
    forget()
    assert (up("new"), up("web"), up("data"), up("data", "-s", "other/prod")) == (0, 2, 2, 2)

    assert "applied before" in capsys.readouterr().err
    assert [one.name for one in emulator.state.containers.values()] == ["new"]


def test_what_is_free_needs_no_signature_and_no_token_is_left(
    folder: Path, change: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty ledger proves nothing, so the first change needs a signature; the next change is free."""
    settings = yaml.safe_load((folder / "gate.yaml").read_text(encoding="utf-8"))
    settings["free"] = {"increase_per_day": 5}
    (folder / "gate.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    signatures = change.with_name("change.json.sig.d") / "ann"
    kept = signatures.read_text(encoding="ascii")
    signatures.unlink()
    create_web = sys.executable, "-c", CREATE, BODY

    assert apply(change, *create_web) == 2
    assert "needs an approval" in capsys.readouterr().err
    signatures.write_text(kept, encoding="ascii")
    assert apply(change, *create_web) == 0

    said = json.loads(change.read_text(encoding="utf-8"))
    body = create("data")
    said |= {"nonce": "another-nonce-of-this", "permits": [{"n": 1, **permit("containers.create", body)}]}
    change.write_bytes(canonical(said))
    signatures.unlink()
    assert apply(change, sys.executable, "-c", CREATE, json.dumps(body)) == 0

    assert sorted(one.name for one in emulator.state.containers.values()) == ["data", "web"]
    with contextlib.closing(folders.Folder(folder, SYSTEM_CLOCK)) as opened:
        assert all(one.revoked is not None for one in opened.ledger.grants("kind = 'read'"))


@pytest.mark.real_processes
def test_no_file_of_the_working_directory_is_run_with_the_key(
    folder: Path, change: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An approver downloads the files of a job there, and the program of the author has run in that job."""
    here = folder.parent / "downloaded"
    (here / "stacks_pulumi").mkdir(parents=True)
    for name in ("stacks_pulumi/__init__.py", "stacks_pulumi/__main__.py", "yaml.py", "uvicorn.py"):
        (here / name).write_text("raise SystemExit('run')", encoding="utf-8")
    monkeypatch.chdir(here)

    assert cli.main(["gate", "show", str(change), "--gate", str(folder)]) == 0
    assert "approved by ann" in capsys.readouterr().out


def test_without_a_key_nothing_is_shown(
    folder: Path, change: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STACKS_API_KEY")

    assert cli.main(["gate", "show", str(change), "--gate", str(folder)]) == 1
    assert "the broker has no API key" in capsys.readouterr().err


def test_own_rules_run_again_where_a_change_is_approved(
    folder: Path, change: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The planner's machine may have different rules, or the program may have changed their findings."""
    rule = "def red(changes):\n    for one in changes:\n        if one.after:\n            yield one.approve('red')\n"
    (folder / "rules.py").write_text(f"{rule}\nRULES = [red]\n", encoding="utf-8")
    with (folder / "gate.yaml").open("a", encoding="utf-8") as file:
        file.write("own_rules: [rules.py]\n")
    said = json.loads(change.read_text(encoding="utf-8"))
    resource = Change("urn:pulumi:prod::shop::x::it", "x", None, "create", after={"colour": "red"})
    found = {"rule": "red", "action": "approve", "text": "red"}

    def approve(code: int, request: str | None = None, **preview: Any) -> str:
        change.write_bytes(canonical({**said, "request": request, "preview": preview or None}))
        shutil.rmtree(change.with_name("change.json.sig.d"), ignore_errors=True)
        words = ["gate", "approve", str(change), "--gate", str(folder), "--key", str(keys() / "ann")]
        assert cli.main(words) == code
        return capsys.readouterr().err

    assert "the plan lacks the input of the gate's own rules" in approve(2)
    # A planner without the folder has not run this rule; the approver sees its finding.
    assert "the gate rules in this folder report: red: red" in approve(0, resources=written([resource]))
    assert "the gate rules in this folder report" not in approve(
        0, resources=written([resource]), findings=[found]
    )
    assert "has no access request" in approve(2, request="r-1")
    with (folder / "gate.yaml").open("a", encoding="utf-8") as file:
        file.write("two_approvals: [red]\n")
    assert "the plan lacks the finding of red" in approve(2, resources=written([resource]))
    (folder / "rules.py").write_text(
        f"{rule.replace('approve', 'refuse')}\nRULES = [red]\n", encoding="utf-8"
    )
    assert "the plan lacks the finding of red" in approve(2, resources=written([resource]))
