"""`stacks-pulumi account` and `scaffold` with real stacks: what owns what, and taking over what was made by hand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from stacks_pulumi import catalog
from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

WAIT = 30.0


@pytest.fixture
def by_hand(emulator: Emulator) -> Emulator:
    """An account that somebody made over HTTP."""
    call = Caller(emulator)
    web, data, vpn, idle = (
        call("POST", "containers", name=name, template=template, plan=plan)["data"]["id"]
        for name, template, plan in (
            ("web", "nodejs", "standard"),
            ("data", "postgresql", "basic"),
            ("vpn", "stacks-vpn", None),
            ("idle-micro", "nginx-micro", "micro"),
        )
    )
    until(lambda: all(one["status"] == "running" for one in call("GET", "containers")["data"]))
    call("PUT", f"containers/{web}/external-access", enabled=True)
    call(
        "POST",
        f"containers/{web}/allowed-ips",
        ip_address="198.51.100.0/24",
        description='the "office"\n${x}',
    )
    call("POST", f"containers/{web}/allowed-ips", ip_address="2001:DB8::7", service_type="tcp")
    call("POST", f"containers/{web}/connect/{data}", connectionName="primary-db")
    call("POST", f"containers/{vpn}/vpn-clients", name="laptop")
    call("POST", f"containers/{data}/backup")
    until(lambda: call("GET", f"containers/{data}/backups")["data"][0]["status"] == "completed")
    call("POST", f"backups/{call('GET', f'containers/{data}/backups')['data'][0]['id']}/pin")
    call("PUT", f"containers/{idle}/status", status="stopped")
    until(lambda: emulator.state.container(idle).status == "stopped")
    return emulator


class Caller:
    """A client with nothing of ours in it."""

    def __init__(self, emulator: Emulator) -> None:
        self._url = emulator.url
        self._headers = {"Authorization": f"Bearer {emulator.key}"}

    def __call__(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        given = {name: value for name, value in body.items() if value is not None}
        answer = requests.request(
            method, f"{self._url}/{path}", json=given or None, headers=self._headers, timeout=10
        )
        assert answer.ok, answer.text
        data: dict[str, Any] = answer.json()
        return data


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.05)


@pytest.fixture
def key_in_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKS_API_KEY", emulator.key)
    monkeypatch.setenv("STACKS_BASE_URL", emulator.url)


def changes(emulator: Emulator, since: int) -> list[tuple[str, str]]:
    """The requests that change something."""
    return [(one.method, one.path) for one in emulator.requests[since:] if one.method != "GET"]


@pytest.mark.slow
@pytest.mark.usefixtures("key_in_environment")
@pytest.mark.parametrize(
    ("protect", "kept"), [("databases", {"data"}), ("all", {"data", "idle-micro", "vpn", "web"})]
)
def test_an_account_made_by_hand_is_taken_over_without_a_change(
    protect: str, kept: set[str], by_hand: Emulator, stack: Stack, tmp_path: Path
) -> None:
    before = len(by_hand.requests)
    arguments = ["--out", str(tmp_path / "taken"), "--project", "tests", "--protect", protect]
    assert main(["scaffold", *arguments]) == 0
    for name in ("__main__.py", "Pulumi.yaml"):
        shutil.copy(tmp_path / "taken" / name, stack.folder / name)

    result = stack.up()

    created = {"Container": 4, "Connection": 1, "AllowedIp": 2, "VpnClient": 1, "PinnedBackup": 1}
    kinds = [one["type"].rpartition(":")[2] for one in stack.resources().values()]
    assert {kind: kinds.count(kind) for kind in kinds} == created
    assert result.changes["create"] == 1 + sum(created.values())
    assert stack.preview().changes == {}
    stack.refresh()
    assert changes(by_hand, before) == []

    # Now it is all owned, as the other command sees it.
    (tmp_path / "export.json").write_text(stack.export(), encoding="utf-8")
    arguments = [
        "--state",
        str(tmp_path / "export.json"),
        "--children",
        "--fail-on",
        "orphans,double,missing",
    ]
    assert main(["account", *arguments]) == 0

    error = stack.destroy_fails().text
    assert "protected" in error
    assert {one.name for one in by_hand.state.containers.values()} == kept
    assert (changes(by_hand, before) == []) is (protect == "all")


def account(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *options: str,
    code: int = 0,
) -> dict[str, Any]:
    """The command's JSON, with the stacks of this stack's backend."""
    for name, value in stack.env.items():
        if name.startswith("PULUMI_") or name == "PATH":
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(stack.folder)
    capsys.readouterr()
    ended = main(["account", "--json", *options])
    out, err = capsys.readouterr()
    assert ended == code, err or out
    data: dict[str, Any] = json.loads(out)
    return data


def owners(data: dict[str, Any]) -> dict[str, tuple[str, list[str]]]:
    return {one["name"]: (one["ownership"], one["stacks"]) for one in data["containers"]}


def bill(emulator: Emulator) -> Decimal:
    held = emulator.state.world.containers.values()
    return sum(
        (catalog.monthly_price(one.template, one.plan, one.storage_tier) or Decimal(0) for one in held),
        Decimal(0),
    )


PROGRAM = """
    name = f"web-{pulumi.get_stack()}"
    stacks.Container("web", name=name, template="nodejs", opts=pulumi.ResourceOptions(protect=True))
    stacks.Container("lost", name=f"lost-{pulumi.get_stack()}", template="redis")
    if not pulumi.Config().get_bool("small"):
        stacks.Container("shared", template="postgresql", plan="standard", adopt="if_matching")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("key_in_environment")
def test_each_container_of_two_stacks_is_named_with_its_owner_and_the_total_is_the_bill(
    stack: Stack,
    tmp_path: Path,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack.program(PROGRAM)
    stack.up(quiet_afterwards=False)
    stack.cli("stack", "init", "prod", "--copy-config-from", "dev")
    stack.up("--stack", "prod", quiet_afterwards=False)
    Caller(emulator)("POST", "containers", name="by-hand", template="nodejs", plan="premium")
    stack.cli("state", "delete", stack.resources()["lost"]["urn"], "--yes", "--stack", "prod")
    emulator.drift.delete("lost-dev")

    stack.cli("stack", "tag", "set", "team", "web", "--stack", "prod")
    (tmp_path / "budgets.yaml").write_text(
        "budgets: [{tags: {team: web}, max_total: 8}, {projects: [tests], max_total: 13}]", encoding="utf-8"
    )

    options = ["--fail-on", "orphans,double,missing", "--budgets", str(tmp_path / "budgets.yaml")]
    data = account(stack, monkeypatch, capsys, *options, code=2)

    assert [(one["passed"], one["text"]) for one in data["limits"]] == [
        (False, "the total is $9.00 at most, over the limit of $8.00"),
        # What both stacks have counts once.
        (True, "the total is $13.00 at most, within the limit of $13.00"),
    ]
    assert owners(data) == {
        "by-hand": ("orphan", []),
        "lost-prod": ("orphan", []),
        # Without the pattern in its name, both stacks have one container.
        "shared": ("double", ["tests/dev", "tests/prod"]),
        "web-dev": ("owned", ["tests/dev"]),
        "web-prod": ("owned", ["tests/prod"]),
    }
    assert [(one["id"], one["stack"]) for one in data["missing"]] == [
        (f"{emulator.account}-lost-dev", "tests/dev")
    ]
    web = next(one for one in data["containers"] if one["name"] == "web-dev")
    assert web["owners"][0]["protect"] is True
    total = {name: one["monthly_price_usd"] for name, one in data["totals"]["stacks"].items()}
    assert total == {"tests/dev": 9.0, "tests/prod": 9.0}
    assert Decimal(data["totals"]["account"]["price"]["low"]) == bill(emulator) == 4 + 4 + 5 + 4 + 10
    assert len(data["failed"]) == 3

    # What the commands of the report say works as it is written.
    both = next(one for one in data["containers"] if one["name"] == "shared")
    assert both["command"].startswith("pulumi state delete ")
    assert both["command"].endswith(" --stack organization/tests/prod") or both["command"].endswith(
        " --stack prod"
    )


@pytest.mark.slow
@pytest.mark.chaos
def test_a_container_of_a_stack_that_was_killed_half_way_is_named_with_that_stack(
    make_stack: Callable[..., Stack],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Emulator(boot_seconds=20.0) as emulator:
        monkeypatch.setenv("STACKS_API_KEY", emulator.key)
        monkeypatch.setenv("STACKS_BASE_URL", emulator.url)
        stack = make_stack(emulator)
        stack.program('stacks.Container("web", template="nodejs")')
        process = stack.start("up", "--yes", "--skip-preview")
        until(lambda: len(emulator.state.containers) == 1)
        time.sleep(1.0)
        # The provider first: it would roll back.
        for pid in sorted(_session(process.pid), reverse=True):
            os.kill(pid, signal.SIGKILL)
        process.wait(timeout=10)
        assert process.stdout is not None
        process.stdout.close()

        data = account(stack, monkeypatch, capsys, "--fail-on", "orphans", code=2)

        assert owners(data) == {"web": ("interrupted", [])}
        [web] = data["containers"]
        assert [one["stack"] for one in web["interrupted"]] == ["tests/dev"]
        assert Decimal(data["totals"]["none"]["price"]["low"]) == bill(emulator) == 4


def _session(leader: int) -> list[int]:
    """The processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
        except (OSError, IndexError):
            # It has ended while it was looked at.
            continue
        if session == leader:
            found.append(int(folder.name))
    return found


def test_a_state_of_another_account_is_left_out(
    stack: Stack,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack.program('stacks.Container("web", template="nodejs")')
    stack.up(quiet_afterwards=False)
    # The same seed, so the same ids: only the address and the creation time differ.
    with Emulator(boot_seconds=0) as other:
        other.load([{"name": "web", "template": "nodejs"}])
        monkeypatch.setenv("STACKS_API_KEY", other.key)
        monkeypatch.setenv("STACKS_BASE_URL", other.url)

        data = account(stack, monkeypatch, capsys)

    assert owners(data) == {"web": ("orphan", [])}
    assert data["missing"] == []
    assert emulator.url in data["other_accounts"][0]["reason"]
