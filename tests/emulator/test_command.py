"""The command `stacks-pulumi emulator`, in a separate process."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import requests

from stacks_pulumi import cli
from stacks_pulumi.commands import emulator as command
from stacks_pulumi.commands._shared import enveloped
from stacks_pulumi.config import load
from tests.support.forked import commands
from tests.support.terminal import UNDER_NOHUP
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class Running:
    """The running command, after it printed its address."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        stdout = process.stdout
        assert stdout is not None
        for line in stdout:
            self.said += line
            if "requestsPerMinute" in line or line.startswith("{"):
                break

    def find(self, pattern: str) -> str:
        """Return the first group of a pattern in the output."""
        found = re.search(pattern, self.said)
        assert found is not None, self.said
        return found.group(1)

    def ask(self, method: str, path: str, body: object = None) -> requests.Response:
        """Call the API with the printed key."""
        headers = {"Authorization": f"Bearer {self.find(r'Key +(sk_stacks_[0-9a-f]{64})')}"}
        url = self.find(r"API +(\S+)")
        return requests.request(method, url + path, json=body, headers=headers, timeout=60)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Send a signal; return the exit code and the rest of stdout and stderr."""
        self.process.send_signal(number)
        rest, complaints = self.process.communicate()
        return self.process.returncode, rest, complaints


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    processes = []

    def run(*arguments: str, before: Sequence[str] = ()) -> Running:
        port = () if "--port" in arguments else ("--port", "0")
        # A fork does not ignore the signals that `nohup` ignores.
        python = sys.executable if before else f"{commands.folder()}/python3"
        line = [*before, python, "-m", "stacks_pulumi", "emulator", *port, *arguments]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return Running(process)

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_two_signals_together_end_it(start: Callable[..., Running]) -> None:
    """If another thread receives the signal, a wait of the main thread continues: one of five servers did not stop."""
    several = [start() for _ in range(8)]
    for one in several:
        one.process.send_signal(signal.SIGINT)
        one.process.send_signal(signal.SIGTERM)

    assert [one.process.wait(timeout=60) for one in several] == [0] * 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_usage_and_stops_on_a_signal(start: Callable[..., Running], number: int) -> None:
    running = start("--boot-seconds", "0")
    url = running.find(r"API +(\S+)")
    configured = dict(re.findall(r"pulumi config set (stacks:\w+) (\S+)", running.said))

    assert running.ask("POST", "/containers", {"name": "myapp", "template": "nodejs"}).status_code == 202
    assert requests.get(running.find(r"Page +(\S+)"), timeout=60).text.startswith("<!DOCTYPE html>")
    settings = load(configured, {})
    assert (settings.base_url, settings.requests_per_minute) == (url, 60)
    assert settings.require_key() == running.find(r"Key +(\S+)")
    exported = dict(one.split("=") for one in running.find(r"export (.+)").split())
    assert (load({}, exported).base_url, load({}, exported).api_key) == (url, settings.api_key)

    code, rest, complaints = running.end(number)
    assert (code, rest, complaints) == (0, "\nStopped after 1 requests.\n", "")


@UNDER_NOHUP
def test_it_stops_with_its_terminal_and_saves_its_state(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    running = start("--state", str(file), "--boot-seconds", "0")
    running.ask("POST", "/containers", {"name": "myapp", "template": "nodejs"})

    # It prints nothing, because the terminal may be closed.
    assert running.end(signal.SIGHUP) == (0, "", "")
    # The end of the boot was saved last.
    (kept,) = json.loads(file.read_text(encoding="utf-8"))["world"]["containers"].values()
    assert (kept["name"], kept["status"]) == ("myapp", "running")


def test_nohup_keeps_it_running_without_its_terminal(start: Callable[..., Running]) -> None:
    running = start(before=["nohup"])
    running.process.send_signal(signal.SIGHUP)

    assert running.ask("GET", "/containers").status_code == 200
    # After a signal of the terminal, it would print nothing.
    assert running.end()[:2] == (0, "\nStopped after 1 requests.\n")


def test_the_options_set_the_limits(start: Callable[..., Running]) -> None:
    running = start("--rate-limit", "2", "--spending-cap", "3", "--seed", "7")
    answers = [running.ask("POST", "/containers", {"name": "myapp", "template": "nodejs"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [402, 402, 429]
    assert "stacks:requestsPerMinute 2\n" in running.said
    # One shell command, because Pulumi reads the lines that are pasted after one of its commands.
    assert re.findall(r"^  pulumi config set .* (\S+)$", running.said, re.MULTILINE) == ["&&", "&&", "2"]


def test_by_default_the_port_is_fixed_and_there_is_no_cap(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = parser.parse_args([])

    assert (options.port, options.host, options.spending_cap) == (7822, "127.0.0.1", None)


def test_programs_read_the_first_line_and_docker_the_file(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    file = tmp_path / "stacks.env"
    # An existing file that everyone can read.
    file.touch(0o644)
    running = start("--json", "--env-file", str(file))
    told = json.loads(running.said)
    comment, *lines = file.read_text().splitlines()
    written = dict(line.split("=", 1) for line in lines)

    assert told.keys() - enveloped().keys() == {"key", "page", "url"}
    assert comment.startswith("# Written by stacks-pulumi emulator")
    assert written == {"STACKS_BASE_URL": told["url"], "STACKS_API_KEY": told["key"]}
    assert file.stat().st_mode & 0o777 == 0o600
    assert load({}, written).base_url == told["url"]
    answer = requests.get(
        told["url"] + "/containers", headers={"Authorization": f"Bearer {told['key']}"}, timeout=60
    )
    assert answer.json()["count"] == 0
    assert running.end() == (0, "", "")


@pytest.mark.parametrize(
    "kind", ["link to a file", "link to nothing", "a key of the platform", "one more line", "folder"]
)
def test_a_file_that_is_not_its_own_is_not_overwritten(
    start: Callable[..., Running], tmp_path: Path, kind: str
) -> None:
    file, target = tmp_path / "stacks.env", tmp_path / "target"
    if kind == "folder":
        file.mkdir()
    elif kind in {"a key of the platform", "one more line"}:
        # A change of a user below the first line.
        assert start("--json", "--env-file", str(file)).end()[0] == 0
        added = "STACKS_API_KEY=mine\n" if kind == "a key of the platform" else "DB=1\n"
        file.write_text(file.read_text() + added)
    else:
        file.symlink_to(target)
        if kind == "link to a file":
            target.write_text("STACKS_API_KEY=mine\n")
    before = file.read_bytes() if file.is_file() else None

    code, said, complaint = start("--env-file", str(file)).end()

    assert (code, said) == (1, "")
    assert complaint.startswith(f"stacks-pulumi emulator: --env-file does not overwrite {file}")
    assert (file.read_bytes() if file.is_file() else None) == before
    assert not (kind == "link to nothing" and target.exists())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_its_own_file_is_replaced_and_readable_only_for_its_owner(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    file, other = tmp_path / "stacks.env", tmp_path / "other"
    key = "sk_stacks_" + "0" * 64
    assert start("--json", "--env-file", str(file), "--key", key).end()[0] == 0
    file.chmod(0o644)
    # A hard link keeps the old content, because the file is replaced instead of overwritten.
    other.hardlink_to(file)

    running = start("--json", "--env-file", str(file))

    assert json.loads(running.said)["key"] in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert key in other.read_text()
    assert key not in file.read_text()


def test_on_all_addresses_its_control_api_needs_the_token(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    file = tmp_path / "stacks.env"
    running = start("--host", "0.0.0.0", "--control-token", "abc/1", "--env-file", str(file))
    page = running.find(r"Page +(\S+)#token=abc%2F1")

    assert running.said.startswith("Warning: listening on 0.0.0.0.")
    assert "STACKS_ALLOW_HTTP=true" in file.read_text()
    assert requests.get(f"{page}_emulator/health", timeout=60).json()["status"] == "ok"
    assert requests.get(f"{page}_emulator/clock", timeout=60).status_code == 401
    allowed = {"Authorization": "Bearer abc/1"}
    assert requests.get(f"{page}_emulator/clock", headers=allowed, timeout=60).status_code == 200


def test_a_token_on_this_machine_brings_no_warning_about_others(start: Callable[..., Running]) -> None:
    said = start("--control-token", "abc").said

    assert "Warning" not in said
    assert said.startswith("The page and the control API need the token in the page's address.")


def test_data_is_loaded_at_start_and_later_lists_are_behind(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    file = tmp_path / "data.json"
    file.write_text('{"containers": [{"name": "myapp", "template": "nodejs"}]}')
    running = start("--load", str(file), "--lenient", "--list-lag", "3600")

    micro = {"name": "small", "template": "nodejs", "plan": "micro"}
    assert running.ask("POST", "/containers", micro).status_code == 202
    assert [found["status"] for found in running.ask("GET", "/containers").json()["data"]] == ["running"]


def test_a_state_is_filled_once_and_a_revoked_key_is_named(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    file, state = tmp_path / "data.json", tmp_path / "state.json"
    file.write_text('{"containers": [{"name": "myapp", "template": "nodejs"}]}')
    options = ("--state", str(state), "--load", str(file))
    running = start(*options)
    page = running.find(r"Page +(\S+)")
    revoked = requests.post(f"{page}_emulator/drift/revoke_key", json={"label": "default"}, timeout=60)
    assert revoked.status_code == 200
    assert running.end()[0] == 0

    again = start(*options)

    assert "(revoked: requests with it get a 401; use --key to start with a different key)" in again.said
    assert again.ask("GET", "/containers").status_code == 401
    code, _, complaints = again.end()
    assert code == 0
    assert (
        f"{file} was not loaded: {state} contains the data of an earlier start: remove it and its journal"
        in complaints
    )
    told = start(*options, "--json")
    assert json.loads(told.said)["key"] == again.find(r"Key +(\S+)")
    assert "the key is revoked: requests with it get a 401" in told.end()[2]
    added, env = f"sk_stacks_{'a' * 64}", tmp_path / ".env"
    third = start(*options, "--key", added, "--env-file", str(env))
    assert [one["name"] for one in third.ask("GET", "/containers").json()["data"]] == ["myapp"]
    assert third.end()[0] == 0
    # If the new key was not added, the file is kept, because it contains the working key.
    fourth = start(*options, "--env-file", str(env))
    assert f"{env} was not written: the key is revoked: " in fourth.end()[2]
    assert added in env.read_text(encoding="utf-8")


def test_without_limits_no_request_is_limited(start: Callable[..., Running]) -> None:
    running = start("--rate-limit", "none", "--spending-cap", "none", "--key", "sk_stacks_" + "cd" * 32)
    answers = [
        running.ask("POST", "/containers", {"name": f"box-{number}", "template": "nodejs", "plan": "premium"})
        for number in range(70)
    ]

    assert {answer.status_code for answer in answers} == {202}
    assert running.find(r"Key +(\S+)") == "sk_stacks_" + "cd" * 32


def test_it_resumes_from_its_file_even_after_sigkill(start: Callable[..., Running], tmp_path: Path) -> None:
    file = str(tmp_path / "state.json")
    first = start("--state", file, "--rate-limit", "none")
    answered: list[str] = []

    def create_until_it_is_gone() -> None:
        for number in range(10_000):
            try:
                first.ask("POST", "/containers", {"name": f"box-{number}", "template": "nodejs"}).json()
            except requests.RequestException:
                return
            answered.append(f"box-{number}")

    creating = threading.Thread(target=create_until_it_is_gone)
    creating.start()
    until(lambda: len(answered) >= 40, alive=creating.is_alive)
    first.process.kill()
    creating.join()
    first.process.communicate()
    second = start("--state", file)

    assert second.find(r"Key +(\S+)") == first.find(r"Key +(\S+)")
    kept = [found["name"] for found in second.ask("GET", "/containers").json()["data"]]
    # The last container may have been saved although the request got no answer.
    assert kept[: len(answered)] == answered
    assert len(kept) <= len(answered) + 1


def test_an_unwritable_state_file_is_one_clear_line(start: Callable[..., Running], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    running = start("--state", str(folder / "state.json"))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    code, rest, complaints = running.end()

    assert (code, rest) == (1, "")
    assert "cannot be written" in complaints
    assert complaints.count("\n") == 1


@pytest.mark.parametrize("journal", ["kept", "lost"])
def test_two_do_not_share_a_state_file(start: Callable[..., Running], tmp_path: Path, journal: str) -> None:
    file = tmp_path / "state.json"
    if journal == "lost":
        start("--state", str(file)).end()
        (tmp_path / "state.json.journal").unlink()
    first = start("--state", str(file))
    code, said, complaint = start("--state", str(file)).end()

    assert (code, said) == (1, "")
    assert f"another emulator uses {file}: stop it, or give another --state" in complaint
    assert first.ask("POST", "/containers", {"name": "myapp", "template": "nodejs"}).status_code == 202
    first.end(signal.SIGKILL)
    again = start("--state", str(file))
    assert [one["name"] for one in again.ask("GET", "/containers").json()["data"]] == ["myapp"]


def test_a_file_that_is_not_its_own_gets_no_journal(start: Callable[..., Running], tmp_path: Path) -> None:
    file = tmp_path / "seed.json"
    file.write_text('{"containers": []}')

    assert start("--state", str(file)).end()[0] == 1
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_printed_line_for_curl_works(start: Callable[..., Running]) -> None:
    line = start().find(r"(curl .*)")

    answer = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["count"] == 0


def test_a_taken_port_is_one_clear_line(start: Callable[..., Running]) -> None:
    port = start().find(r"127\.0\.0\.1:(\d+)")
    second = start("--port", port)
    code, rest, complaints = second.end()

    assert (code, rest, second.said) == (1, "", "")
    assert complaints.startswith(f"stacks-pulumi emulator: port {port} is in use, perhaps by another")
    assert complaints.count("\n") == 1
    # A program that reads only the first line gets the reason.
    told = json.loads(start("--json", "--port", port).said)
    assert told["errors"][0]["message"].startswith(f"port {port} is in use")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--state", "/"], "the state file / cannot be read"),
        (["--host", "nowhere"], "host must be an IPv4 or IPv6 address, not 'nowhere'"),
        (["--host", "198.51.100.7", "--port", "0"], "cannot listen on 198.51.100.7 port 0"),
        (["--port", "0", "--load", "/nowhere.json"], "/nowhere.json: No such file or directory"),
        (["--port", "0", "--load", "pyproject.toml"], "pyproject.toml cannot be loaded: "),
        (
            ["--port", "0", "--load", "tests/emulator/wrong-seed.json"],
            'wrong-seed.json cannot be loaded: containers[1] ("web"), template "nginxx": Unknown container template',
        ),
        (["--port", "0", "--env-file", "/nowhere/.env"], "/nowhere/.env: No such file or directory"),
        (["--your-ip", "nonsense"], "your_ip must be an IPv4 or IPv6 address, not 'nonsense'"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    held_back = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        assert cli.main(["emulator", *arguments]) == 1
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_back)
    told = capsys.readouterr()

    assert told.out == ""
    assert complaint in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--port", "-1"],
        ["--rate-limit", "0"],
        ["--rate-limit", "many"],
        ["--spending-cap", "-1"],
        ["--spending-cap", "nan"],
        ["--spending-cap", "much"],
        ["--boot-seconds", "-1"],
        ["--list-lag", "-1"],
        ["--boot-seconds", "inf"],
        ["--cors-origin", "localhost:3000"],
        ["--cors-origin", "http://localhost:3000/"],
        ["--allow-host", "http://emulator"],
        ["--allow-host", "emulator:7822"],
    ],
)
def test_an_invalid_value_is_refused_with_its_option(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["emulator", *arguments])

    assert caught.value.code == 1
    told = capsys.readouterr().err
    assert f"argument {arguments[0]}: {arguments[1]!r} is not a" in told


def test_a_malformed_key_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        cli.main(["emulator", "--key", "hush-hush"])

    told = capsys.readouterr().err
    assert "argument --key: a key is sk_stacks_ and 64 hexadecimal digits" in told
    assert "hush" not in told


def test_help_works_without_the_extra() -> None:
    script = "import sys; sys.modules['werkzeug'] = None; from stacks_pulumi.cli import main; main(['emulator', '-h'])"
    helped = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert helped.returncode == 0, helped.stderr
    assert "--spending-cap" in helped.stdout
