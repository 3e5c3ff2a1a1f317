"""An agent deploys, exceeds what is free, is refused, asks a person, and applies what they approved."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import running
from tests.support.agents import Agent, Talk, audited, containers
from tests.support.stack import Stack

WEB = """\
resources:
  web:
    type: stacks:index:Container
    properties: {template: nodejs}
outputs:
  url: ${web.url}
"""
SHOP = WEB.replace(
    "outputs:",
    """\
  db:
    type: stacks:index:Container
    properties: {name: orders-db, template: postgresql}
  link:
    type: stacks:index:Connection
    properties: {source: "${web.id}", target: "${db.id}", name: primary-db}
outputs:""",
)


@pytest.fixture
def agent(stack: Stack, yaml_language_host: Path, tmp_path: Path) -> Agent:
    """An agent that may add five dollars a day."""
    return Agent(
        stack,
        yaml_language_host,
        tmp_path / "gated",
        {"free": {"increase_per_day": 5}, "limits": {"max_total": 12}},
    )


def test_an_agent_deploys_exceeds_asks_and_applies(agent: Agent, emulator: Emulator) -> None:
    agent.stack.cli("config", "set", "--secret", "tests:password", "correct-horse-battery")

    async def story(call: Talk) -> None:
        said = await call.fails("plan", program=f"{WEB}  x: ${{password}}\nvariables: {{password: mine}}\n")
        assert "a setting of the stack's configuration has this name" in said
        planned = await call("plan", program=WEB)
        assert (planned["verdict"], planned["price_before"], planned["price_after"]) == (
            "free",
            "$0.00",
            "$4.00",
        ), planned
        assert [step["operation"] for step in planned["steps"]] == ["create"]
        assert emulator.calls("containers.create") == 0
        applied = await call("apply", record=planned["record"])
        assert applied["verdict"] == "applied"
        assert call.progress
        assert containers(emulator) == {"web"}

        listed = await call("list_resources")
        assert [(one["name"], one["price_a_month"]) for one in listed["resources"]] == [("web", "$4.00")]
        assert listed["program"]["resources"]["web"]["properties"] == {"template": "nodejs"}

        more = await call("plan", program=SHOP)
        assert more["verdict"] == "needs_approval"
        assert "over the $5.00 that are free in a day" in str(more["reasons"])
        assert "it needs an approval" in await call.fails("apply", record=more["record"])
        assert containers(emulator) == {"web"}
        words = shlex.split(more["approve_with"])
        assert words[:3] == ["stacks-pulumi", "gate", "approve"]
        agent.gated.approve(to=Path(words[3]))
        assert (await call("apply", record=more["record"]))["verdict"] == "applied"
        assert containers(emulator) == {"web", "orders-db"}
        assert (await call("list_resources"))["total"] == 3

        big = SHOP.replace(
            "outputs:",
            "  big: {type: stacks:Container, properties: {template: nodejs, plan: premium}}\noutputs:",
        )
        too_much = await call("plan", program=big)
        assert too_much["verdict"] == "refused"
        assert "max_total" in str(too_much["reasons"])
        resized = SHOP.replace("template: nodejs", "template: nodejs, plan: premium")
        assert "[replacement-refused]" in await call.fails("plan", program=resized)
        gone = await call("plan", program="resources: {}")
        assert gone["verdict"] == "needs_approval"
        assert "destroys-data" in str(gone["reasons"])
        said = "".join(call.answers)
        assert emulator.key not in said
        assert "password" not in said.replace("variables.password", "")

    desk = agent.in_process(story)

    lines = audited(desk)
    assert [line["result"] for line in lines] == [
        *(
            "error program-refused",
            "free",
            "began",
            "applied",
            "ok",
            "needs_approval",
            "began",
            "error gate-refused",
            "began",
            "applied",
            "ok",
            "refused",
            "error pulumi-failed",
            "needs_approval",
        ),
    ]
    assert [entry.result for entry in agent.gated.log()] == ["succeeded", "succeeded"]
    assert agent.gated.log()[0].approvers == ("ann",)


def test_what_an_agent_gets_names_no_other_stack(
    stack: Stack, emulator: Emulator, yaml_language_host: Path, tmp_path: Path
) -> None:
    """The gate judges the whole account, and tells a person of each stack in it."""
    other = tmp_path / "bank"
    other.mkdir()
    (other / "Pulumi.yaml").write_text("name: bank\nruntime: yaml\n", encoding="utf-8")
    root = {"urn": "urn:pulumi:prod::bank::pulumi:pulumi:Stack::bank-prod", "type": "pulumi:pulumi:Stack"}
    vault = {
        "urn": "urn:pulumi:prod::bank::stacks:index:Container::vault",
        "type": "stacks:index:Container",
        "custom": True,
        "id": f"{emulator.account}-vault",
        "inputs": {"name": "vault", "template": "nodejs", "plan": "basic"},
    }
    running(emulator, "vault", "nodejs")

    state = {"version": 3, "deployment": {"resources": [root, vault]}}
    (other / "state.json").write_text(json.dumps(state), encoding="utf-8")
    for words in (("init", "prod"), ("import", "--file", "state.json", "--stack", "prod")):
        subprocess.run(["pulumi", "stack", *words], cwd=other, env=stack.env, check=True)
    agent = Agent(stack, yaml_language_host, tmp_path / "gated", {"free": {"increase_per_day": 50}})

    def gate(budgets: str, **more: object) -> None:
        (agent.gated.folder / "budgets.yaml").write_text(budgets, encoding="utf-8")
        agent.gated.add(budgets="budgets.yaml", **more)

    all_of_it = "{name: all of bank/prod, max_total: 50}"
    mine = "{name: mine, max_total: 50, stacks: [tests/dev]}"

    async def story(call: Talk) -> None:
        gate(f"budgets: [{all_of_it}, {mine}]\n")
        assert (await call("plan", program=WEB))["verdict"] == "free"
        # No budget covers it.
        gate(f"budgets: [{all_of_it}, {mine}]\ncovers: all\n")
        assert "more than this stack" in str((await refused(call))["reasons"])
        # It leaves nothing of a budget.
        gate("budgets: [{name: bank/prod and tests, max_total: 5, stacks: [bank/prod, tests/dev]}]\n")
        assert (record := (await refused(call))["record"])
        assert "more than this stack" in await call.fails("apply", record=record)
        # A pattern matches nothing, and the gate has mistakes.
        gate("budgets: [{name: bank, max_total: 5, stacks: [bank/live]}]\n")
        await refused(call)
        gate(f"budgets: [{mine}]\n", harmless=["*"])
        assert "more than this stack" in await call.fails("plan", program=WEB)
        gate("budgets: [{name: bank/prod, max_total: much}]\n", harmless=["random:*"])
        for tool in ("get_account", "list_prices"):
            assert "more than this stack" in await call.fails(tool)
        assert "bank" not in (said := "".join(call.answers)), said
        assert "prod" not in said.replace("production", ""), said

    async def refused(call: Talk) -> dict[str, object]:
        planned = await call("plan", program=WEB)
        assert planned["verdict"] == "refused", planned
        return planned

    agent.in_process(story)
