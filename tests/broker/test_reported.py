"""The planner's report on steps without a request to STACKS: rules, own rules, policies and the engine's saved plan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import pytest
import yaml

from stacks_pulumi.broker.change import digest
from tests.broker.conftest import Bench
from tests.broker.test_workflow import Machine
from tests.support import emulators
from tests.support.gate import keys
from tests.support.packs import ROOT
from tests.support.stack import Stack
from tools.engine.ensure import ensure

pytestmark = pytest.mark.engine

LABEL: Final = """
from pulumi.dynamic import CreateResult, Resource, ResourceProvider, UpdateResult

class Label(ResourceProvider):
    def create(self, props):
        return CreateResult("label", props)
    def update(self, id, olds, news):
        return UpdateResult(news)

class Other(Resource):
    def __init__(self, name, **props):
        super().__init__(Label(), name, props)
"""
RULES: Final = """
def no_premium(changes):
    for change in changes:
        if change.kind == "Container" and change.after.get("plan") == "premium":
            yield change.refuse("premium is for production")

RULES = [no_premium]
"""
MORE: Final = """
def colours(changes):
    for change in changes:
        if change.after.get("colour") == "red":
            yield change.refuse(f"{change.name} is red")

RULES = [colours]
"""
SMALL: Final = {"allowed-plans": {"allowed": ["micro"]}}
PACK: Final = {"allowed-plans": {"allowed": ["micro", "basic", "premium"]}}


emulator = emulators.for_stacks


@pytest.fixture
def job(bench: Bench, tmp_path: Path) -> Machine:
    """Return a machine with the gate's folder, on which each command starts a broker."""
    bench.stop()
    made = Machine("job", Stack(tmp_path / "stack", ensure().bin, {}), "")
    for name in ("STACKS_BASE_URL", "STACKS_API_KEY"):
        made.env.pop(name, None)
    guard(bench)
    return made


def guard(bench: Bench) -> None:
    """Add a pack and an own rule to a gate."""
    shutil.copytree(
        ROOT / "policies" / "plans", bench.path / "plans", ignore=shutil.ignore_patterns("__pycache__")
    )
    (bench.path / "plans.json").write_text(json.dumps(PACK), encoding="utf-8")
    (bench.path / "rules.py").write_text(RULES, encoding="utf-8")
    settings = yaml.safe_load((bench.path / "gate.yaml").read_text(encoding="utf-8"))
    settings |= {
        "packs": [{"path": "plans", "config": "plans.json"}],
        "own_rules": ["rules.py"],
        "two_approvals": ["destroys-data"],
    }
    (bench.path / "gate.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def test_a_broker_elsewhere_sends_its_packs_and_own_rules(bench: Bench, tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", ensure().bin, {})
    guard(bench)
    planner = Machine("planner", stack, bench.url, bench.reader().token)

    def plan(size: str, code: int) -> str:
        stack.program(f'stacks.Container("web", template="nodejs", plan="{size}")')
        planner.checkout()
        return planner.gate("plan", "-s", "dev", code=code)

    assert "allowed-plans" in plan("standard", 2)
    assert "refused by no-premium: the planner reports: premium is for production" in plan("premium", 2)
    plan("basic", 3)
    planner.gate("approve", "change.json", "--key", str(keys() / "ann"))
    # The job has no token of its own; it reads the rules with the change's token.
    del planner.env["STACKS_API_KEY"]
    (bench.path / "plans.json").write_text(json.dumps(SMALL), encoding="utf-8")
    assert "allowed-plans" in planner.gate("apply", "change.json", "--gate", bench.url, code=1)
    assert bench.names == []


def test_what_a_plan_reports_is_approved_like_its_requests(bench: Bench, job: Machine) -> None:
    stack, gate = job.stack, ("--gate", str(bench.path))
    change, first = job.folder / "change.json", (bench.path / "ledger.sqlite").read_bytes()

    def plan(program: str, *words: str, code: int = 3) -> str:
        stack.program(LABEL + program)
        job.checkout()
        return job.gate("plan", *gate, "-s", "dev", *words, code=code)

    def approve(name: str, code: int = 0) -> str:
        return job.gate("approve", str(change), *gate, "--key", str(keys() / name), code=code)

    (bench.path / "prices.yaml").write_text("prices: []", encoding="utf-8")
    assert "the gate has mistakes: prices.yaml is not used" in plan("", code=2)
    (bench.path / "prices.yaml").unlink()

    said = plan('stacks.Container("web", template="nodejs")\nOther("it", colour="red")', "--save-plan")
    assert (
        "opens-access: the planner reports: 'it' may open access: if the type pulumi-python:dynamic:Resource never does"
        in said
    )
    # The approver's folder contains a rule that the planner's folder did not contain.
    (bench.path / "rules.py").write_text(MORE, encoding="utf-8")
    assert "the gate rules in this folder report: colours: it is red" in approve("ann", code=2)
    (bench.path / "rules.py").write_text(RULES, encoding="utf-8")
    saved = change.with_name("change.json.plan").read_bytes()
    assert f"the engine's plan is saved, SHA-256 {digest(saved)}" in approve("ann")
    for other in (saved + b" ", b""):
        change.with_name("change.json.plan").write_bytes(other)
        assert "is not the approved plan" in job.gate("apply", str(change), *gate, code=1)
    change.with_name("change.json.plan").write_bytes(saved)
    # The saved plan limits the resources of other providers to the displayed steps.
    stack.program(LABEL + 'stacks.Container("web", template="nodejs")\nOther("it", colour="blue")')
    job.checkout()
    said = job.gate("apply", str(change), *gate, "--accept-replay", code=1)
    assert "violates plan" in said
    stack.program(LABEL + 'stacks.Container("web", template="nodejs")\nOther("it", colour="red")')
    job.checkout()
    job.gate("apply", str(change), *gate)
    assert bench.names == ["web"]
    # The next run begins with the ledger of before. A tag of the stack marks the applied change.
    for file in bench.path.glob("ledger.sqlite*"):
        file.unlink()
    (bench.path / "ledger.sqlite").write_bytes(first)
    (bench.path / "ledger.sqlite").chmod(0o600)
    assert "was applied before" in job.gate("apply", str(change), *gate, code=2)

    # A deletion at another provider is not a request to STACKS, but it also needs two people.
    said = plan('stacks.Container("web", template="nodejs")')
    assert "destroys-data: the planner reports: 'it' is deleted, and may contain data: if the type" in said
    approve("ann")
    assert "the approvals of two people" in job.gate("apply", str(change), *gate, code=2)
    approve("bob")
    job.gate("apply", str(change), *gate)
    assert plan('stacks.Container("web", template="nodejs")', code=0).startswith("tests/dev: nothing changes")


def test_what_sends_no_request_is_not_free(bench: Bench, tmp_path: Path) -> None:
    bench.configure(
        {"rules": {"unpriced": "approve", "keeps-billed": "approve"}, "free": {"increase_per_day": 20}}
    )
    stack = Stack(tmp_path / "stack", ensure().bin, {})
    planner = Machine("planner", stack, bench.url, bench.reader(may_apply_free=True).token)
    options = "opts=pulumi.ResourceOptions({})"
    stack.program(
        f'stacks.Container("web", template="nodejs", {options.format("protect=True")})\n'
        f'stacks.Container("kept", template="redis", {options.format("retain_on_delete=True")})\n'
    )
    planner.checkout()
    planner.gate("plan", "-s", "dev")
    planner.gate("apply", "change.json")
    assert bench.names == ["kept", "web"]

    stack.program('stacks.Container("web", template="nodejs")')
    planner.checkout()
    said = planner.gate("plan", "-s", "dev", code=3)
    assert (
        "keeps-billed: the planner reports: 'kept' leaves the stack and is not deleted, so it still costs $4.00"
        in said
    )
    assert "never-free: the planner reports: 'web' is no longer protected from deletion" in said
    assert "it needs an approval" in planner.gate("apply", "change.json", code=2)
