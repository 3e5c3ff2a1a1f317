"""An agent deploys, exceeds its budget, is refused, asks a person, and applies the approved change."""

from __future__ import annotations

import json
from collections.abc import Callable

from stacks_pulumi.emulator import Emulator
from tests.support.agents import Agent, Talk, audited, containers

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
LARGE = SHOP.replace(
    "outputs:",
    "  big:\n    type: stacks:Container\n    properties: {template: nodejs, plan: premium}\noutputs:",
)


def test_an_agent_deploys_exceeds_asks_and_applies(
    make_agent: Callable[..., Agent], emulator: Emulator
) -> None:
    """It sees only its own containers, including those that a person has signed outside its budget."""
    agent = make_agent(emulator, {"max_total": 12, "only": "own"}, {"limits": {"max_total": 12}})
    agent.stack.cli("config", "set", "--secret", "tests:password", "correct-horse-battery")

    async def story(call: Talk) -> None:
        said = await call.fails("plan", program=f"{WEB}  x: ${{password}}\nvariables: {{password: mine}}\n")
        assert "a setting of the stack's configuration has this name" in said
        planned = await call("plan", program=WEB)
        assert (planned["verdict"], planned["adds_a_month"], planned["reasons"]) == ("free", "$4.00", []), (
            planned
        )
        assert [(one["resource"], one["operation"]) for one in planned["steps"]] == [("web", "create")]
        assert (await call("apply", record=planned["record"]))["verdict"] == "applied"
        assert call.progress, "the client sees what the engine does"
        listed = await call("list_resources")
        assert (listed["price_a_month"], [one["name"] for one in listed["resources"]]) == ("$4.00", ["web"])
        assert list(listed["program"]["resources"]) == ["web"]
        figures = await call("get_account")
        assert (figures["increase_a_day"], figures["left_today"]) == ("$5.00", "$1.00")

        asked = await call("plan", program=SHOP)
        assert asked["verdict"] == "needs_approval", asked
        assert "the container adds $4.00 a month, and only $1.00 of $5.00 is left for today" in str(
            asked["reasons"]
        )
        assert "needs an approval" in (said := await call.fails("apply", record=asked["record"])), said
        assert (list((await call("list_resources"))["program"]["resources"]), containers(emulator)) == (
            ["web"],
            {"web"},
        )
        shown = agent.approve(asked["approve_with"])
        assert "ann approved the change; the signature is at the broker" in shown
        assert '"name": "orders-db"' in shown
        assert (await call("apply", record=asked["record"]))["verdict"] == "applied"
        assert containers(emulator) == {"web", "orders-db"}

        refused = await call("plan", program=LARGE)
        assert (refused["verdict"], refused["record"], refused["approve_with"]) == ("refused", None, None)
        assert "max_total is $12.00" in str(refused["reasons"])
        # A deletion needs a person, and so does an older record that would undo changes.
        gone = await call("plan", program=WEB)
        assert gone["verdict"] == "needs_approval"
        assert "containers.delete always needs an approval" in str(gone["reasons"])
        assert "the stack has changed since the plan was made" in await call.fails(
            "apply", record=planned["record"]
        )
        assert containers(emulator) == {"web", "orders-db"}
        assert "correct-horse-battery" not in str(call.answers)

    desk = agent.in_process(story)

    verdicts = [
        line["result"] for line in audited(desk) if line["call"] in {"tools/call plan", "tools/call apply"}
    ]
    assert verdicts == [
        *(
            "error program-refused",
            "free",
            "began",
            "applied",
            "needs_approval",
            "began",
            "error gate-refused",
        ),
        *("began", "applied", "refused", "needs_approval", "began", "error gate-refused"),
    ]
    # The broker's journal contains all requests of the agent, even if the agent's machine is lost.
    done = [line for line in agent.bench.journal("forwarded") if line["path"] == "/containers"]
    assert [json.loads(line["body"])["name"] for line in done] == ["web", "orders-db"]
    assert agent.bench.journal("this request was not approved") == []
