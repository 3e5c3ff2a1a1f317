"""`stacks-pulumi doctor`, and the commands on one container, with a real engine and its stack."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.packs import with_packs
from tests.support.stack import PASSPHRASE, Stack

SHOP = """
    data = stacks.Container("data", template="postgresql")
    app = stacks.Container("app", template="nodejs")
    stacks.Connection("link", source=app, target=data)
"""


@dataclass(frozen=True)
class Diagnosis:
    """The output of the doctor."""

    code: int
    checks: dict[str, dict[str, str]]

    def level(self, check: str) -> str:
        """Return the level of a check."""
        return self.checks[check]["level"]


def command(stack: Stack, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `stacks-pulumi` in the project's folder, as a user does."""
    return stack.python("-m", "stacks_pulumi", *arguments, **environment)


def follow(stack: Stack, fix: str) -> None:
    """Follow a fix: delete the named setting from Pulumi.yaml, or paste the command into the shell."""
    if fix.startswith("delete "):
        file = stack.folder / "Pulumi.yaml"
        project = yaml.safe_load(file.read_text(encoding="utf-8"))
        del project["config"][fix.split()[1]]
        file.write_text(yaml.safe_dump(project), encoding="utf-8")
    else:
        subprocess.run(["sh", "-c", fix], cwd=stack.folder, env=stack.env, check=True)


def doctor(stack: Stack, *arguments: str, **environment: str) -> Diagnosis:
    done = command(stack, "doctor", "--json", *arguments, **environment)
    assert done.stderr == ""
    said: dict[str, Any] = json.loads(done.stdout)
    # For a check with several lines, keep the first line, which has the worst level.
    return Diagnosis(done.returncode, {line["check"]: line for line in reversed(said["checks"])})


@beyond_a_grant.KEY
def test_a_stack_that_works_has_no_problem_and_nothing_is_changed(stack: Stack, emulator: Emulator) -> None:
    stack.program(SHOP)
    stack.up(quiet_afterwards=False)
    state, before = stack.export(), emulator.calls()

    found = doctor(stack)

    assert found.code == 0
    assert {name for name in found.checks if found.level(name) != "ok"} == {"scopes", "cap"}
    assert found.checks["account"]["text"] == "the key belongs to the account of the stack's 3 resources"
    assert [request.operation for request in emulator.requests[before:]] == ["containers.list"]

    probed = doctor(stack, "--probe-scopes")

    assert probed.level("scopes") == "ok"
    assert stack.export() == state
    assert sorted(emulator.state.containers) == [
        f"{emulator.account}-app",
        f"{emulator.account}-data",
    ]
    assert stack.preview().changes == {}

    # The commands on one container use the key of the stack too.
    logs = command(stack, "logs", "app", "--json")
    assert json.loads(logs.stdout)["container"] == f"{emulator.account}-app"
    assert "[secret]" in command(stack, "credentials", "data").stdout
    assert command(stack, "backups", "data").stdout.startswith("There are no backups.")


@beyond_a_grant.KEY
def test_the_fixes_heal_settings_of_the_project(stack: Stack, emulator: Emulator) -> None:
    settings = "stacks:adopt: if_matching, stacks:maxConcurrency: none, stacks:baseUrl: 'ftp://x'"
    project = f"name: tests\nruntime: python\nconfig: {{{settings}, 'stacks:namePattern': '${{nam}}'}}\n"
    stack.folder.joinpath("Pulumi.yaml").write_text(project, encoding="utf-8")
    stack.cli("config", "set", "stacks:baseUrl", f"{emulator.url}/containers")

    found = command(stack, "doctor", "--json")
    checks = json.loads(found.stdout)["checks"]
    for line in checks:
        if line["level"] in {"problem", "warning"}:
            follow(stack, line["fix"])

    healed = command(stack, "doctor")
    assert [found.returncode, healed.returncode] == [1, 0]
    assert "warning" not in healed.stdout


def test_a_state_beside_a_half_written_file_is_whole(stack: Stack) -> None:
    stack.env["PULUMI_BACKEND_URL"] = stack.env["PULUMI_BACKEND_URL"].partition("?")[0]
    attributes = stack.folder / "state/.pulumi/stacks/tests/dev.json.attrs"
    attributes.touch()

    assert (
        "delete the empty file that ends with `.json.attrs`" in command(stack, "doctor", "-s", "dev").stdout
    )

    attributes.unlink()
    assert command(stack, "doctor", "-s", "dev").returncode == 0


@beyond_a_grant.KEY
def test_a_preview_tells_whether_an_up_can_start(stack: Stack, emulator: Emulator) -> None:
    stack.program("""
        import os

        assert not [name for name in os.environ if name.startswith("STACKS_")]
        stacks.Container("app", template="nodejs")
    """)
    with_plans = with_packs(stack.folder, {"plans": {}})[:2]
    environment = {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": "http://127.0.0.1:1/api/v1"}

    works = doctor(stack, **environment)
    assert (works.code, works.level("preview")) == (0, "ok")
    started = doctor(stack, *with_plans)
    assert (started.code, started.level("preview")) == (0, "ok")
    assert "starts 1 policy pack," in started.checks["preview"]["text"]
    assert emulator.state.containers == {}

    broken = stack.folder / "broken"
    broken.mkdir()
    (broken / "PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")
    (broken / "__main__.py").write_text("import no_such_module\n", encoding="utf-8")
    ended = doctor(stack, *with_packs(stack.folder, {broken: {}})[:2])
    assert (ended.code, ended.level("preview")) == (1, "problem")
    assert "failed to start" in ended.checks["preview"]["text"]
    assert "No module named 'no_such_module'" in ended.checks["preview"]["text"]

    stack.program("import no_such_module")
    failed = doctor(stack)
    assert (failed.code, failed.level("preview")) == (1, "problem")
    assert failed.checks["preview"]["text"].endswith("ModuleNotFoundError: No module named 'no_such_module'")


@beyond_a_grant.KEY
@pytest.mark.passphrase
def test_a_wrong_passphrase_and_a_missing_stack_are_recognised(stack: Stack) -> None:
    assert doctor(stack, PULUMI_CONFIG_PASSPHRASE="another").code == 1
    assert doctor(stack, "--stack", "none").checks["stack"]["fix"] == "pulumi stack ls"

    locked = command(stack, "logs", "app", PULUMI_CONFIG_PASSPHRASE="another")
    assert locked.returncode == 1
    assert locked.stderr.startswith(
        "stacks-pulumi logs: the stack's key cannot be decrypted: incorrect passphrase; STACKS_API_KEY is used"
    )
    assert PASSPHRASE not in locked.stdout + locked.stderr
