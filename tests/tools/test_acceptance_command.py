"""`make acceptance` and `make sweep` as commands: their output, kept files and deletions, including after a crash."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.platforms import READINGS, play
from tests.support.waiting import until
from tools.acceptance.__main__ import main
from tools.acceptance.record import Record

ROOT = Path(__file__).parents[2]
FOREIGN = ["acc-other", "acc-0123abcd-Main", "acc-0123abcde", "acc-0123abcdx-1", "my-acc-0123abcd", "orders"]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(boot_seconds=0.1, action_seconds=0.1, delete_seconds=0.1, backup_seconds=0.1) as api:
        yield api


@pytest.fixture
def command(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setenv("STACKS_API_KEY", emulator.key)
    monkeypatch.setenv("STACKS_BASE_URL", emulator.url)

    def run(*arguments: str) -> int:
        return main([*arguments, "--interval", "0.05", "--records", str(tmp_path)])

    return run


def names(emulator: Emulator) -> set[str]:
    emulator.advance(60)
    return {container.name for container in emulator.state.containers.values()}


def records(folder: Path) -> list[str]:
    return [file.stem for file in folder.glob("acc-*.json")]


def polls(emulator: Emulator) -> bool:
    """Return whether the run has read the answer to its first create: the next request follows this answer."""
    earlier = emulator.requests[:-1]
    return any(request.operation == "containers.create" and request.status < 300 for request in earlier)


def interrupted(emulator: Emulator, folder: Path, by: signal.Signals) -> int:
    """Start a run and send it a signal as soon as it waits for its container."""
    # The boot is long, so the signal interrupts it.
    emulator.set_pace(boot_seconds=3600)
    process = subprocess.Popen(
        [sys.executable, "tools/acceptance", "run", "--interval", "0.05", "--records", str(folder)],
        cwd=ROOT,
        env={**os.environ, "STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: polls(emulator), alive=lambda: process.poll() is None)
        assert len(emulator.state.containers) == 1
        process.send_signal(by)
        return process.wait()
    finally:
        process.kill()
        process.wait()


def test_a_run_writes_its_report_and_leaves_nothing(
    command: Callable[..., int], emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.md"

    assert command("run", "--report", str(file)) == 0

    text = file.read_text(encoding="utf-8")
    assert "| Cost at most | $1.00 of $1.00 |" in text
    assert "| Left over | nothing |" in text
    assert emulator.key not in text + capsys.readouterr().out
    assert names(emulator) == set()
    assert records(tmp_path) == []


def test_a_container_that_no_list_shows_is_asked_about_and_deleted(
    command: Callable[..., int],
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    emulator.load([{"name": "acc-0123abcd-Main", "template": "ubuntu-micro"}])
    (id_,) = emulator.state.containers
    play(emulator, READINGS["stopped containers are hidden"])
    emulator.state.containers[id_].status = "stopped"
    record = Record("acc-0123abcd", tmp_path / "acc-0123abcd.json", emulator.url)
    record.create()
    record.add_ids(record.ask("acc-0123abcd-Main", 0), [id_])

    monkeypatch.setattr("builtins.input", lambda _: "no")
    assert command("sweep") == 1
    assert "acc-0123abcd-Main was requested and may exist." in capsys.readouterr().out
    assert names(emulator) == {"acc-0123abcd-Main"}

    assert command("sweep", "--yes") == 0

    assert names(emulator) == set()
    assert records(tmp_path) == []


def test_a_run_that_is_terminated_sweeps_itself_and_reports(emulator: Emulator, tmp_path: Path) -> None:
    assert interrupted(emulator, tmp_path, signal.SIGTERM) == 1

    assert names(emulator) == set()
    assert records(tmp_path) == []
    (file,) = tmp_path.glob("acc-*.md")
    assert "the run was interrupted" in file.read_text(encoding="utf-8")


def test_after_a_crash_the_sweep_lists_first_and_deletes_only_the_prefix(
    command: Callable[..., int],
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupted(emulator, tmp_path, signal.SIGKILL)
    (prefix,) = records(tmp_path)
    foreign = {*FOREIGN, f"{prefix}0-mine"}
    emulator.load([{"name": name, "template": "nodejs"} for name in foreign])
    (left,) = names(emulator) - foreign
    assert left.startswith(prefix)

    monkeypatch.setattr("builtins.input", lambda _: "no")
    assert command("sweep") == 1
    said = capsys.readouterr().out
    assert left in said
    assert "Nothing was deleted." in said
    assert names(emulator) == {left, *foreign}

    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert command("sweep") == 0

    assert names(emulator) == foreign
    assert records(tmp_path) == []
    assert command("sweep") == 0
    assert "There is no interrupted run here." in capsys.readouterr().out


def test_without_an_answer_nothing_is_deleted_and_yes_skips_the_prompt(
    command: Callable[..., int], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.load([{"name": name, "template": "nodejs"} for name in FOREIGN])

    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    assert command("sweep", "--prefix", "acc-0123abcd") == 1
    assert names(emulator) == set(FOREIGN)

    assert command("sweep", "--prefix", "acc-0123abcd", "--yes") == 0
    assert names(emulator) == set(FOREIGN) - {"acc-0123abcd-Main"}


@pytest.mark.parametrize("prefix", ["acc", "acc-", "orders", "acc-0123abc", ""])
def test_a_prefix_that_no_run_has_is_refused(
    command: Callable[..., int], emulator: Emulator, capsys: pytest.CaptureFixture[str], prefix: str
) -> None:
    emulator.load([{"name": name, "template": "nodejs"} for name in FOREIGN])

    code = command("sweep", "--yes", "--prefix", prefix)

    assert names(emulator) == set(FOREIGN)
    if prefix:
        assert code == 2
        assert f"{prefix!r} is not the prefix of a run" in capsys.readouterr().err


def test_a_truncated_record_is_swept(command: Callable[..., int], emulator: Emulator, tmp_path: Path) -> None:
    emulator.load([{"name": name, "template": "nodejs"} for name in FOREIGN])
    (tmp_path / "acc-0123abcd.json").write_text("", encoding="utf-8")

    assert command("sweep", "--yes") == 0

    assert names(emulator) == set(FOREIGN) - {"acc-0123abcd-Main"}
    assert records(tmp_path) == []


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ((f"sk_stacks_{'a' * 64}", "{url}"), "STACKS_API_KEY is wrong or was revoked"),
        (("{key}", "{url}/v2"), "STACKS_BASE_URL is not the address of the API"),
        (("{key}", "http://127.0.0.1:1/api/v1"), "could not be read: .*from http://127.0.0.1:1/api/v1"),
    ],
)
def test_a_wrong_key_or_url_stops_the_run_at_its_start(
    variables: tuple[str, str], reason: str, emulator: Emulator, tmp_path: Path
) -> None:
    key, base_url = (value.format(key=emulator.key, url=emulator.url) for value in variables)

    done = subprocess.run(
        [sys.executable, "tools/acceptance", "run", "--records", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "STACKS_API_KEY": key, "STACKS_BASE_URL": base_url},
        text=True,
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(reason, done.stderr)
    assert records(tmp_path) == []


def test_a_run_against_another_api_is_not_swept_here(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "acc-0123abcd.json"
    record.write_text(json.dumps({"prefix": "acc-0123abcd", "base_url": "https://other.example/api/v1"}))

    assert command("sweep", "--yes") == 0

    assert "There is no interrupted run here." in capsys.readouterr().out
    assert record.exists()


def test_a_creation_on_the_waitlist_keeps_the_record_for_a_later_sweep(
    command: Callable[..., int], emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.faults.add("containers.create", 503, match="main")

    assert command("run") == 1

    emulator.faults.assert_none_left()
    (prefix,) = records(tmp_path)
    assert "may appear later: run `make sweep` again later" in capsys.readouterr().err
    # STACKS creates it from the waitlist.
    emulator.load([{"name": f"{prefix}-main", "template": "ubuntu-micro"}])
    assert command("sweep", "--yes") == 0
    assert names(emulator) == set()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("STACKS_API_KEY", "", "set the environment variable STACKS_API_KEY"),
        ("STACKS_API_KEY", "sk_stacks_1", "malformed"),
        ("STACKS_BASE_URL", "http://api.example/api/v1", "in plain text"),
    ],
)
def test_a_wrong_setting_is_an_error_before_any_request(
    command: Callable[..., int],
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    variable: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(variable, value)

    assert command("run") == 2

    assert words in capsys.readouterr().err
    assert emulator.calls() == 0


def test_a_revoked_key_ends_the_run_before_anything_is_created(
    command: Callable[..., int], emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.drift.revoke_key("default")

    assert command("run") == 1

    assert "the list of containers could not be read" in capsys.readouterr().err
    assert records(tmp_path) == []


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        *(("minutes", value, "a number of minutes") for value in ("0", "-1", "soon", "nan")),
        *(("usd", value, "an amount of US dollars") for value in ("-1", "much", "NaN")),
    ],
)
def test_an_invalid_limit_is_refused(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], option: str, value: str, what: str
) -> None:
    with pytest.raises(SystemExit):
        command("run", f"--max-{option}={value}")

    assert f"{value!r} is not {what}" in capsys.readouterr().err
