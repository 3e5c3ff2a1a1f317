"""Broken set-ups: the doctor recognises each set-up, with the correct fix and exit code."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from stacks_pulumi._clock import SystemClock
from stacks_pulumi.api import StacksClient
from stacks_pulumi.emulator import Emulator
from tests.support.machine import resource
from tests.unit.account.conftest import CheckedMachine

ALL = ("containers:read", "containers:create", "containers:manage", "containers:delete")


@dataclass
class Bench:
    """The parts of a set-up that a test can break."""

    machine: CheckedMachine
    emulator: Emulator
    monkeypatch: pytest.MonkeyPatch

    def key_with(self, *scopes: str) -> None:
        """Configure a key with these scopes."""
        self.machine.set("stacks:apiKey", self.emulator.new_key(scopes=scopes), secret=True)


def no_key(bench: Bench) -> None:
    bench.machine.set("stacks:apiKey", None)


def malformed_key(bench: Bench) -> None:
    bench.machine.set("stacks:apiKey", "sk_stacks_123", secret=True)


def revoked_key(bench: Bench) -> None:
    bench.emulator.drift.revoke_key("default")


def key_in_plain_text(bench: Bench) -> None:
    bench.machine.set("stacks:apiKey", bench.emulator.key)


def key_of_another_account(bench: Bench) -> None:
    other = bench.emulator.new_account()
    bench.machine.set("stacks:apiKey", bench.emulator.new_key(account=other), secret=True)
    with StacksClient(bench.emulator.new_key(account=other), base_url=bench.emulator.url) as client:
        client.containers.create(name="theirs", template="nodejs")
    bench.machine.state(
        [resource("Container", f"{bench.emulator.account}-web", origin="0123456789abcdef-01")]
    )


def read_only_key(bench: Bench) -> None:
    bench.key_with("containers:read")


def no_delete_scope(bench: Bench) -> None:
    bench.key_with(*ALL[:3])
    # A stack with resources needs this scope to destroy them, but not for an `up`.
    bench.emulator.load([{"name": "web", "template": "nodejs"}])
    bench.machine.state([resource("Container", f"{bench.emulator.account}-web")])


def wrong_base_url(bench: Bench) -> None:
    bench.machine.set("stacks:baseUrl", bench.emulator.page_url + "other/api/v1")


def base_url_without_the_version(bench: Bench) -> None:
    bench.machine.set("stacks:baseUrl", bench.emulator.page_url)


def unreachable_host(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    bench.machine.set("stacks:baseUrl", f"http://127.0.0.1:{port}/api/v1")


def plain_http_to_another_host(bench: Bench) -> None:
    bench.machine.set("stacks:baseUrl", "http://stacks.example.com/api/v1")


def misspelt_setting(bench: Bench) -> None:
    bench.machine.set("stacks:baseURL", bench.emulator.url)


def program_that_fails(bench: Bench) -> None:
    bench.machine.preview(error="error: no language plugin 'pulumi-language-python' found\n")


def clock_two_hours_off(bench: Bench) -> None:
    bench.monkeypatch.setattr(SystemClock, "wall", lambda self: time.time() + 7200)


def adopt_left_on(bench: Bench) -> None:
    bench.machine.set("stacks:adopt", "if_matching")


SETUPS: list[tuple[Callable[[Bench], None], str, str, str, tuple[str, ...]]] = [
    (no_key, "key", "problem", "pulumi config set stacks:apiKey --secret", ()),
    (malformed_key, "key", "problem", "pulumi config set stacks:apiKey --secret", ()),
    (revoked_key, "api", "problem", "pulumi config set stacks:apiKey --secret", ()),
    (key_in_plain_text, "key-storage", "warning", "pulumi config set stacks:apiKey --secret", ()),
    (key_of_another_account, "account", "problem", "pulumi config set stacks:apiKey --secret", ()),
    (read_only_key, "scopes", "problem", "create a new key in the STACKS dashboard", ("--probe-scopes",)),
    (no_delete_scope, "scopes", "warning", "create a new key in the STACKS dashboard", ("--probe-scopes",)),
    (wrong_base_url, "api", "problem", "pulumi config rm stacks:baseUrl", ()),
    (base_url_without_the_version, "api", "problem", "pulumi config set stacks:baseUrl {url}", ()),
    (unreachable_host, "api", "problem", "stacks-pulumi emulator --port ", ()),
    (
        plain_http_to_another_host,
        "base-url",
        "problem",
        "pulumi config set stacks:baseUrl https://stacks.example.com/api/v1",
        (),
    ),
    (
        misspelt_setting,
        "settings",
        "problem",
        " && pulumi config set stacks:baseUrl http://127.0.0.1:",
        (),
    ),
    (program_that_fails, "preview", "problem", "`pulumi preview --cwd ", ()),
    (clock_two_hours_off, "clock", "warning", "synchronise it: `sudo timedatectl", ()),
    (adopt_left_on, "adopt", "warning", "pulumi config rm stacks:adopt", ()),
]


@dataclass(frozen=True)
class Setup:
    """A broken set-up, and the line of the doctor about it."""

    break_it: Callable[[Bench], None]
    check: str
    level: str
    fix: str
    arguments: tuple[str, ...]


@pytest.fixture
def bench(machine: CheckedMachine, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(machine, emulator, monkeypatch)


@pytest.mark.parametrize("setup", [Setup(*row) for row in SETUPS], ids=[row[0].__name__ for row in SETUPS])
def test_a_broken_setup_is_recognised(setup: Setup, bench: Bench) -> None:
    setup.break_it(bench)
    before = len(bench.emulator.requests)

    report = bench.machine.doctor(*setup.arguments)

    lines = [line for line in report.of(setup.check) if line["level"] == setup.level]
    assert lines, report.checks
    assert setup.fix.format(url=bench.emulator.url) in lines[0]["fix"]
    assert report.code == (setup.level == "problem")
    # No other check reports an error, no line shows the key, and nothing was changed.
    assert report.levels("problem") == ({setup.check} if setup.level == "problem" else set())
    assert report.levels("warning") <= {setup.check}
    assert bench.emulator.key not in str(report.checks)
    asked = bench.emulator.requests[before:]
    assert [request for request in asked if request.method != "GET" and request.status < 400] == []


def test_a_healthy_setup_has_no_problem_and_no_warning(machine: CheckedMachine) -> None:
    report = machine.doctor()

    assert report.code == 0
    assert report.levels("problem") | report.levels("warning") == set()
    # Read requests cannot detect these two.
    assert report.levels("unknown") == {"scopes", "cap"}
    assert [request.operation for request in machine.emulator.requests] == ["containers.list"]
