"""`stacks-pulumi account` with real stacks: the owner of each container."""

from __future__ import annotations

import json
import shlex
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import catalog
from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.engine.test_takeover import Caller
from tests.support.stack import Stack


@pytest.fixture
def key_in_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # This folder and its parents contain no project.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKS_API_KEY", emulator.key)
    monkeypatch.setenv("STACKS_BASE_URL", emulator.url)


def account(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *options: str,
    code: int = 0,
) -> dict[str, Any]:
    """Return the command's JSON, with the stacks of this stack's backend."""
    for name, value in stack.env.items():
        if name.startswith(("PULUMI_", "VAULT_")) or name == "PATH":
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
    held = emulator.state.containers.values()
    return sum(
        (catalog.monthly_price(one.template, one.plan, one.storage_tier) or Decimal(0) for one in held),
        Decimal(0),
    )


PROGRAM = """
    stacks.Container("web", template="nodejs", opts=pulumi.ResourceOptions(protect=True))
    stacks.Container("lost", template="redis")
    # A name that is given is not shaped by the pattern.
    stacks.Container("shared", name="shared", template="postgresql", plan="standard", adopt="if_matching")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("key_in_environment")
def test_each_container_has_its_owner_and_the_total_is_the_bill(
    stack: Stack,
    tmp_path: Path,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack.set("stacks:namePattern", "${name}-${stack}")
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
        # A container in both stacks counts once.
        (True, "the total is $13.00 at most, within the limit of $13.00"),
    ]
    assert owners(data) == {
        "by-hand": ("orphan", []),
        "lost-prod": ("orphan", []),
        # Without the pattern in its name, both stacks contain one container.
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

    # The commands in the report work as written.
    both = next(one for one in data["containers"] if one["name"] == "shared")
    assert " --stack " in both["command"]
    stack.cli(*shlex.split(both["command"].removeprefix("pulumi ").replace(" -- ", " --yes -- ")))
    data = account(stack, monkeypatch, capsys, code=0)
    assert owners(data)["shared"] == ("owned", ["tests/dev"])


def test_no_command_prints_the_password_of_a_backend(stack: Stack, emulator: Emulator) -> None:
    """The engine masks a password before the host, but prints this one."""
    stack.env["PULUMI_BACKEND_URL"] = "postgres://127.0.0.1:1/state?user=ann&password=hunter2"
    stack.env["STACKS_API_KEY"] = emulator.key

    for words in (
        ("account",),
        ("doctor",),
        ("scaffold", "--out", "it"),
        ("gate", "plan", "--gate", "gate"),
    ):
        if words[0] == "gate":
            stack.python("-m", "stacks_pulumi", "gate", "init", "gate")
        done = stack.python("-m", "stacks_pulumi", *words)

        said = done.stdout + done.stderr
        assert done.returncode != 0
        # The engine's own message, which the user has requested.
        assert "unable to open state database" in said
        assert "postgres://(not shown)" in said, said
        assert "hunter2" not in said
