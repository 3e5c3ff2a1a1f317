"""The example of a gated deployment, from preview to update: changes that pass and changes that fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.packs import ROOT
from tests.support.stack import Stack
from tests.tools.fake_executables import executable
from tools.engine.ensure import ensure
from tools.engine.search import numbers

# What pages and examples show: a change is tested without it.
pytestmark = pytest.mark.extra

EXAMPLE = ROOT / "examples" / "gated_deployment"


class Gate:
    """The example's script, with a separate stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        for file in EXAMPLE.iterdir():
            if file.name not in {"Pulumi.yaml", "gate"}:
                copy = shutil.copytree if file.is_dir() else shutil.copy
                copy(file, stack.folder / file.name)
        stack.env["PACKS"] = str(ROOT / "policies")
        self.out = stack.folder / "gate"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["./gate.sh", *arguments],
            cwd=self.stack.folder,
            env=self.stack.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def first_on_path(self, folder: Path) -> None:
        """Put a folder first on PATH."""
        self.stack.env["PATH"] = os.pathsep.join([str(folder), self.stack.env["PATH"]])

    def closed(self, code: int = 2) -> str:
        """Run the preview, which must end with this code (2: refused) and leave no plan; return the comment."""
        done = self.run("preview")
        assert done.returncode == code, done.stdout + done.stderr
        assert "The gate is closed: " in done.stderr
        assert not (self.out / "plan.json").exists()
        return (self.out / "comment.md").read_text(encoding="utf-8")


@pytest.fixture
def gate(stack: Stack) -> Gate:
    return Gate(stack)


def test_a_change_that_passes_is_applied_as_planned(gate: Gate, emulator: Emulator) -> None:
    preview = gate.run("preview")

    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert preview.stdout.startswith("The monthly cost changes by +$9.00: from $0.00 to $9.00.")
    comment = (gate.out / "comment.md").read_text(encoding="utf-8")
    assert comment.startswith("<!-- stacks-pulumi cost: gated-deployment/dev -->\n")
    assert "protect-data" in comment
    assert emulator.calls("containers.create") == 0

    applied = gate.run("apply")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert emulator.state.names() == ["shop", "shop-db", "shop-worker-0"]

    again = gate.run("preview")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.startswith("The monthly cost stays at $9.00.")


def test_a_forbidden_plan_closes_the_gate(gate: Gate, emulator: Emulator) -> None:
    gate.stack.set("plan", "premium")

    assert "❌ **allowed-plans** on **shop**" in gate.closed()
    assert gate.run("apply").returncode != 0
    assert emulator.state.names() == []


def test_a_change_over_the_budget_closes_the_gate(gate: Gate) -> None:
    gate.stack.set("workers", "20")

    comment = gate.closed()
    assert "❌ **monthly-budget** on" in comment
    assert "❌ the increase is \\+\\$28.00 at most, over the limit of \\$15.00" in comment


def test_unrestricted_access_closes_the_gate(gate: Gate) -> None:
    gate.stack.set("office", "0.0.0.0/0")

    assert "❌ **open-allowed-ip** on **office**" in gate.closed()


def test_the_configuration_of_another_pack_closes_the_gate(gate: Gate) -> None:
    policies = gate.stack.folder / "policies"
    shutil.copy(policies / "plans.json", policies / "spend.json")

    gate.closed(1)

    done = gate.run("preview")
    assert (
        "spend.json: the configuration names 'allowed-plans', which is not a policy of this pack"
        in done.stderr
    )


def test_a_change_after_the_approval_is_not_applied(gate: Gate, emulator: Emulator) -> None:
    assert gate.run("preview").returncode == 0
    gate.stack.set("plan", "standard")

    applied = gate.run("apply")

    assert applied.returncode == 1
    assert "violates plan" in applied.stdout + applied.stderr
    assert "shop" not in emulator.state.names()


def test_a_policy_that_stops_the_update_is_a_refusal(gate: Gate, emulator: Emulator) -> None:
    assert gate.run("preview").returncode == 0
    plans = gate.stack.folder / "policies" / "plans.json"
    config = json.loads(plans.read_text(encoding="utf-8"))
    config["allowed-plans"]["allowed"] = ["micro"]
    plans.write_text(json.dumps(config), encoding="utf-8")

    applied = gate.run("apply")

    assert applied.returncode == 2, applied.stdout + applied.stderr
    assert "Refused: a policy stopped the update." in applied.stderr
    assert "shop" not in emulator.state.names()
    assert not (gate.out / "apply.jsonl").exists()


def test_a_failure_of_the_api_is_no_refusal(gate: Gate, emulator: Emulator) -> None:
    assert gate.run("preview").returncode == 0
    emulator.faults.add("containers.create", 422)

    applied = gate.run("apply")

    assert applied.returncode == 1, applied.stdout + applied.stderr
    assert "Refused" not in applied.stderr


def test_a_wait_for_capacity_is_told_from_a_failure(gate: Gate, emulator: Emulator) -> None:
    assert gate.run("preview").returncode == 0
    emulator.faults.add("containers.create", 503, match="shop-db")

    applied = gate.run("apply")

    waits = numbers(ensure().version) >= (3, 272)
    assert applied.returncode == (10 if waits else 1), applied.stdout + applied.stderr
    assert ("Waiting: STACKS has no capacity" in applied.stderr) == waits
    assert "shop-db" not in emulator.state.names()
    if waits:
        # The rest is done, and the next gate makes what waited.
        assert emulator.state.names() == ["shop", "shop-worker-0"]
        for word in ("preview", "apply"):
            assert gate.run(word).returncode == 0
        assert emulator.state.names() == ["shop", "shop-db", "shop-worker-0"]


def test_options_of_the_environment_do_not_reach_the_engine(gate: Gate) -> None:
    gate.stack.set("protect", "true")
    for word in ("preview", "apply"):
        assert gate.run(word).returncode == 0
    (gate.stack.folder / "__main__.py").write_text("import pulumi\n", encoding="utf-8")
    gate.stack.env["PULUMI_OPTION_IGNORE_PROTECT"] = "true"
    assert gate.stack.engine("preview").code == 0

    gate.closed(1)


def test_an_exception_that_has_ended_closes_the_gate(gate: Gate, emulator: Emulator) -> None:
    file = gate.stack.folder / "policies" / "spend.json"
    limits = json.loads(file.read_text(encoding="utf-8"))
    exception = {
        "reason": "agreed",
        "expires": "2020-01-01",
        "match": [
            {
                "policies": ["monthly-budget"],
                "targets": ["urn:pulumi:dev::tests::pulumi:pulumi:Stack::tests-dev"],
            }
        ],
    }
    assert gate.run("preview").returncode == 0
    file.write_text(
        json.dumps({"version": 2, "policies": limits, "exceptions": {"a": exception}}), encoding="utf-8"
    )

    # Approved before the exception ended.
    applied = gate.run("apply")
    assert applied.returncode == 1
    assert "exception 'a' ended on 2020-01-01" in applied.stderr
    assert emulator.calls("containers.create") == 0
    gate.run("preview")
    assert not (gate.out / "plan.json").exists()


TOGETHER = """
import pulumi
import stacks_pulumi as stacks

web = stacks.Container("web", template="nodejs")
stacks.Container("kept", template="nodejs", opts=pulumi.ResourceOptions(deleted_with=web))
"""


def test_what_is_deleted_with_another_container_stays_billed(gate: Gate, emulator: Emulator) -> None:
    program = gate.stack.folder / "__main__.py"
    program.write_text(TOGETHER, encoding="utf-8")
    for word in ("preview", "apply"):
        done = gate.run(word)
        assert done.returncode == 0, done.stdout + done.stderr
    program.write_text("import pulumi\n", encoding="utf-8")

    comment = gate.closed()

    assert "The monthly cost changes by -$4.00: from $8.00 to $4.00." in comment.replace("\\", "")
    assert "kept (leaves the stack, still billed)" in comment.replace("\\", "")
    assert not (gate.out / "state.json").exists()
    # The engine would delete only one of them, and no later total would have the other.
    gate.stack.up(quiet_afterwards=False)
    assert emulator.state.names() == ["kept"]


SPENDS = """
import os
import requests

requests.post(
    os.environ["ADDRESS"] + "/containers",
    json={"name": "miner", "template": "nodejs", "plan": "premium"},
    headers={"Authorization": "Bearer " + os.environ["STACKS_API_KEY"]},
    timeout=30,
).raise_for_status()
"""


@pytest.mark.parametrize("scopes", [["containers:read"], None])
def test_a_program_can_do_in_a_preview_what_its_key_can_do(
    gate: Gate, emulator: Emulator, scopes: list[str] | None
) -> None:
    gate.stack.cli("config", "rm", "stacks:apiKey")
    gate.stack.env["STACKS_API_KEY"] = emulator.new_key(scopes=scopes) if scopes else emulator.key
    gate.stack.env["ADDRESS"] = emulator.url
    program = gate.stack.folder / "__main__.py"
    program.write_text(program.read_text(encoding="utf-8") + SPENDS, encoding="utf-8")

    done = gate.run("preview")

    if scopes:
        assert done.returncode == 1
        assert emulator.state.names() == []
    else:
        # The gate is open: nothing that Pulumi does is wrong. So the README gives previews a read-only key.
        assert done.returncode == 0, done.stdout + done.stderr
        assert emulator.state.names() == ["miner"]


def test_a_read_only_key_plans_and_another_applies(gate: Gate, emulator: Emulator) -> None:
    gate.stack.cli("config", "rm", "stacks:apiKey")
    keys = {"preview": emulator.new_key(scopes=["containers:read"]), "apply": emulator.key}

    for verb, key in keys.items():
        gate.stack.env["STACKS_API_KEY"] = key
        done = gate.run(verb)
        assert done.returncode == 0, done.stdout + done.stderr

    assert emulator.state.names() == ["shop", "shop-db", "shop-worker-0"]
    written = gate.stack.cli("stack", "export", "--show-secrets")
    written += "".join(path.read_text(encoding="utf-8") for path in gate.out.iterdir())
    assert [verb for verb, key in keys.items() if key in written] == []


@pytest.mark.parametrize("script", ["exit 1", 'case "$*" in *markdown*) exit 1 ;; esac'])
def test_a_change_without_a_price_closes_the_gate_with_a_comment(
    gate: Gate, tmp_path: Path, script: str
) -> None:
    executable(tmp_path / "fakes" / "stacks-pulumi", f"#!/bin/sh\n{script}\n")
    gate.first_on_path(tmp_path / "fakes")

    assert gate.closed(1).splitlines() == [
        "<!-- stacks-pulumi cost: gated-deployment/dev -->",
        "❌ The gate could not price this change; the log says why.",
    ]


def test_comment_without_its_marker_is_not_posted(gate: Gate) -> None:
    gate.out.mkdir()
    (gate.out / "comment.md").write_text("LGTM\n", encoding="utf-8")

    done = gate.run("comment", "github")

    assert done.returncode == 1
    assert "does not begin with its marker" in done.stderr


def test_the_configurations_of_the_example_are_valid() -> None:
    from stacks_pulumi.policy import EXPOSURE, PLANS, SPEND
    from stacks_pulumi.policy.guard import rules
    from stacks_pulumi.policy.options import Settings

    for pack, names in (("plans", PLANS), ("spend", SPEND), ("exposure", EXPOSURE)):
        config = json.loads((EXAMPLE / "policies" / f"{pack}.json").read_text(encoding="utf-8"))
        for policy, entry in config.items():
            assert policy in names
            if not isinstance(entry, str):
                assert Settings(rules()[policy].all_options, entry).problems == []
