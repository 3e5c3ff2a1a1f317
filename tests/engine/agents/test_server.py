"""The server over pipes, as a client starts it: reads, a cancelled call, and refusals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import anyio
import pytest

from stacks_pulumi import cli
from stacks_pulumi.emulator import Emulator, contents
from tests.support.agents import Agent, Talk, audited, containers
from tests.support.clock import fast_clock
from tests.support.stack import Stack
from tests.support.waiting import until

SHOP = """\
resources:
  web:
    type: stacks:index:Container
    properties: {template: nodejs}
  db:
    type: stacks:index:Container
    properties: {template: postgresql, name: orders-db}
  link:
    type: stacks:index:Connection
    properties: {source: "${web.id}", target: "${db.id}", name: primary-db}
  key:
    type: stacks:index:SshCertificate
    properties: {container: "${web.id}"}
"""
WEB = "resources:\n  web: {type: stacks:index:Container, properties: {template: nodejs}}\n"


def test_every_tool_over_pipes_and_no_secret_in_an_answer(agent: Agent, emulator: Emulator) -> None:
    facts = agent.stack.folder / "facts" / "platform.yml"
    facts.parent.mkdir()
    facts.write_text("version: 1", encoding="utf-8")
    agent.stack.cli("config", "set", "stacks:platform", "facts/platform.yml")
    said: list[str] = []

    async def story(call: Talk) -> None:
        tools = {tool.name: tool for tool in (await call.client.list_tools()).tools}
        assert list(tools) == [
            *("list_resources", "get_account", "list_prices", "get_logs", "get_metrics", "explain_error"),
            *("plan", "apply"),
        ]
        assert "stacks://docs/for-agents" in {
            str(page.uri) for page in (await call.client.list_resources()).resources
        }
        planned = await call("plan", program=SHOP)
        assert planned["verdict"] == "needs_approval", planned["reasons"]
        agent.approve(planned["approve_with"])
        done = await call("apply", record=planned["record"])
        assert done["verdict"] == "applied", done["output"]
        listed = await call("list_resources")
        shown = {one["name"]: one for one in listed["resources"]}
        assert shown["link"]["outputs"]["connectionString"] == "[secret]"
        assert shown["key"]["outputs"]["privateKey"] == "[secret]"
        assert shown["web"]["outputs"]["status"] == "running"
        figures = await call("get_account")
        # A change that a person has signed does not count towards the budget.
        assert (figures["containers"], figures["price_a_month"], figures["left_today"]) == (
            2,
            "$8.00",
            "$5.00",
        )
        assert (await call("get_logs", resource="web"))["log"]
        assert (await call("get_metrics", resource="db"))["series"]["cpu"]
        assert "[not-found]" in await call.fails("get_logs", resource="other")
        said.extend(call.answers)

    agent.over_pipes(story, "--allow", "apply")

    outputs = json.loads(agent.stack.cli("stack", "export", "--show-secrets"))
    secrets = [line for line in _secrets(outputs) if len(line) > 5]
    assert len(secrets) >= 4
    text = json.dumps([json.loads(one) for one in said])
    secrets += [emulator.key, agent.token]
    assert [secret for secret in secrets if secret in text or json.dumps(secret)[1:-1] in text] == []


def _secrets(export: object) -> list[str]:
    """Return the lines of all secrets in an export, without hosts and users."""
    found: list[str] = []

    def walk(value: object, *, secret: bool = False) -> None:
        if isinstance(value, dict):
            if "plaintext" in value:
                walk(json.loads(value["plaintext"]), secret=True)
            for name, one in value.items():
                walk(
                    one, secret=secret and not name.endswith(("_HOST", "_PORT", "_USER", "_DB", "_DATABASE"))
                )
        elif isinstance(value, list):
            for one in value:
                walk(one, secret=secret)
        elif secret and isinstance(value, str):
            found.extend(value.splitlines())

    walk(export)
    return found


@pytest.mark.real_processes
def test_a_cancelled_apply_leaves_nothing_behind(make_agent: Callable[..., Agent]) -> None:
    with Emulator(clock=fast_clock(), boot_seconds=3600.0) as emulator:
        agent = make_agent(emulator)

        async def story(call: Talk) -> None:
            planned = await call("plan", program=WEB)
            async with anyio.create_task_group() as rest, anyio.create_task_group() as group:

                async def apply() -> None:
                    await call("apply", record=planned["record"])

                async def boot() -> None:
                    # The engine waits for the operations in progress.
                    await anyio.to_thread.run_sync(until, lambda: "^C received" in outputs(agent))
                    emulator.advance(3600)

                rest.start_soon(boot)
                group.start_soon(apply)
                await anyio.to_thread.run_sync(until, lambda: containers(emulator) == {"web"})
                group.cancel_scope.cancel()

        desk = agent.in_process(story)

        assert audited(desk)[-1]["result"] == "cancelled"
        assert containers(emulator) == set(agent.stack.resources())
        assert [*_processes(agent.stack)] == []


@pytest.mark.real_processes
def test_an_update_whose_engine_is_killed_stays_spent(make_agent: Callable[..., Agent]) -> None:
    with Emulator(clock=fast_clock(), boot_seconds=3600.0) as emulator:
        agent = make_agent(emulator)

        async def story(call: Talk) -> None:
            planned = await call("plan", program=WEB)
            async with anyio.create_task_group() as group:

                async def kill() -> None:
                    await anyio.to_thread.run_sync(until, lambda: containers(emulator) == {"web"})
                    for process in _processes(agent.stack):
                        with contextlib.suppress(OSError):
                            if (process / "comm").read_text().strip() == "pulumi":
                                os.kill(int(process.name), signal.SIGKILL)

                group.start_soon(kill)
                said = await call.fails("apply", record=planned["record"])
                assert "the engine was killed" in said
                assert said.endswith("[outcome-unknown]")
            await anyio.to_thread.run_sync(until, lambda: _only_languages(agent.stack))
            await anyio.to_thread.run_sync(agent.stack.cli, "cancel", "--yes")
            # The provider may have removed the container: the daily budget is spent anyway.
            more = await call("plan", program=WEB.replace("web:", "api:"))
            assert more["verdict"] == "needs_approval", more
            assert "$1.00 of $5.00 is left for today" in str(more["reasons"])

        agent.in_process(story)


def test_an_error_does_not_have_the_log_of_a_container(
    agent: Agent, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only `get_logs` knows the passwords and can hide them."""
    emulator.fail_boot("web")
    monkeypatch.setattr(
        contents, "_log_lines", lambda one: [f"root, {contents.password(emulator.state, one)}"]
    )

    async def story(call: Talk) -> None:
        planned = await call("plan", program=WEB)
        done = await call("apply", record=planned["record"])
        assert done["verdict"] == "failed"
        assert "Its last log lines: see get_logs [unexpected-status]" in done["output"]
        assert (await call("get_logs", resource="web"))["log"] == "root, [secret]"
        (web,) = emulator.state.containers.values()
        assert contents.password(emulator.state, web) not in str([*call.answers, *call.progress])

    agent.in_process(story)


def outputs(agent: Agent) -> str:
    """Return the engine's output for the agent."""
    found = agent.stack.folder.parent.rglob("output.txt")
    return "".join(output.read_text(encoding="utf-8") for output in found)


def _processes(stack: Stack) -> Iterator[Path]:
    """Yield the processes that still run for a stack."""
    home = f"PULUMI_HOME={stack.env['PULUMI_HOME']}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if home in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                yield process


def _only_languages(stack: Stack) -> bool:
    """Return whether engine and provider have ended, and end Pulumi's own hosts, which may not notice this."""
    left = {}
    for process in _processes(stack):
        with contextlib.suppress(OSError):
            left[int(process.name)] = (process / "comm").read_text()
    if not all(name.startswith("pulumi-language") for name in left.values()):
        return False
    for number in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    return True


def test_a_container_of_another_stack_needs_a_person_who_sees_whose_it_is(
    agent: Agent, emulator: Emulator
) -> None:
    """An agent may try to name, adopt and connect another stack's container. The answers name no other stack."""
    row = agent.bench.made("vault")
    agent.bench.ledger.claim("bank/prod", row["id"], row["created_at"], "nodejs", "basic")
    adopted = (
        "  web: {type: stacks:Container, properties: {template: nodejs, name: vault, adopt: if_matching}}\n"
    )
    linked = (
        "  app: {type: stacks:Container, properties: {template: nodejs}}\n"
        f"  link: {{type: stacks:Connection, properties: {{source: '${{app.id}}', target: {row['id']}, name: x}}}}\n"
    )
    opened = (
        f"  ip: {{type: stacks:AllowedIp, properties: {{container: {row['id']}, ipAddress: 198.51.100.7}}}}\n"
    )

    async def story(call: Talk) -> None:
        for resources in (adopted, linked, opened):
            planned = await call("plan", program=f"resources:\n{resources}")
            assert planned["verdict"] == "needs_approval", planned
            assert "other-owner: only a person may see the reason" in planned["reasons"], planned
            assert "[gate-refused]" in await call.fails("apply", record=planned["record"])
        assert "owned by bank/prod" in agent.approve(planned["approve_with"])
        assert "bank" not in "".join(call.answers)

    agent.in_process(story)
    assert [one.method for one in emulator.requests if one.method != "GET"] == []


@pytest.fixture
def refused(agent: Agent, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that returns why the command does not serve."""

    def run(*words: str, **environment: str) -> str:
        with agent.environment(), mock.patch.dict(os.environ, environment):
            code = cli.main(["mcp", "-C", str(agent.stack.folder), *words])
        said = capfd.readouterr()
        assert (code, said.out) == (1, "")
        return said.err

    return run


def test_a_project_that_is_no_agents_is_refused(agent: Agent, refused: Callable[..., str]) -> None:
    for project, reason in {
        "runtime: python": "must have `runtime: yaml`",
        "runtime: {name: yaml, options: {compiler: id}}": "must have `runtime: yaml`",
        "runtime: yaml\nconfig: {size: {type: string}}": "contains `config`",
        "runtime: yaml\nmain: elsewhere": "contains `main`",
    }.items():
        (agent.stack.folder / "Pulumi.yaml").write_text(f"name: tests\n{project}\n", encoding="utf-8")

        assert reason in refused()


def test_a_server_has_the_grant_of_its_stack_and_no_key(
    agent: Agent, refused: Callable[..., str], emulator: Emulator
) -> None:
    assert "the broker runs as this user" in refused("--strict")
    token = agent.bench.agent(stack="shop/prod").token
    assert "is for the stack shop/prod, not for tests/dev" in refused(STACKS_API_KEY=token)
    assert "the token of a grant" in refused(STACKS_API_KEY=emulator.key)
    agent.stack.cli("config", "set", "--secret", "stacks:apiKey", emulator.key)
    assert "uses instead of the grant" in refused()
