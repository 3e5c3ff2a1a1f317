"""The server over pipes, as a client starts it: it reads, it is cancelled, and two of them share what is free."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from stacks_pulumi.emulator import Emulator, contents
from tests.support import key_service
from tests.support.agents import PROJECT, Agent, Talk, audited, containers
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


def test_every_tool_over_pipes_and_no_secret_in_an_answer(
    stack: Stack, emulator: Emulator, yaml_language_host: Path, tmp_path: Path
) -> None:
    agent = Agent(stack, yaml_language_host, tmp_path / "gated", {"free": {"increase_per_day": 5}})
    (stack.folder / "facts.yml").write_text("version: 1", encoding="utf-8")
    stack.cli("config", "set", "stacks:platform", "facts.yml")
    said: list[str] = []

    async def story(call: Talk) -> None:
        tools = {tool.name: tool for tool in (await call.client.list_tools()).tools}
        assert list(tools) == [
            *("list_resources", "get_account", "list_prices", "get_logs", "get_metrics", "explain_error"),
            *("plan", "apply"),
        ]
        assert all(tool.input_schema and tool.output_schema for tool in tools.values())
        assert [prompt.name for prompt in (await call.client.list_prompts()).prompts] == [
            "deploy_app_with_database",
            "reduce_the_bill",
        ]
        assert "stacks://docs/for-agents" in {
            str(page.uri) for page in (await call.client.list_resources()).resources
        }
        planned = await call("plan", program=SHOP)
        assert planned["verdict"] == "needs_approval", planned["reasons"]
        assert "--accept-unknown" in planned["approve_with"]
        agent.gated.approve(to=Path(planned["approve_with"].split()[3]))
        done = await call("apply", record=planned["record"])
        assert done["verdict"] == "applied", done["output"]
        listed = await call("list_resources")
        shown = {one["name"]: one for one in listed["resources"]}
        assert shown["link"]["outputs"]["connectionString"] == "[secret]"
        assert shown["key"]["outputs"]["privateKey"] == "[secret]"
        assert shown["web"]["outputs"]["status"] == "running"
        figures = await call("get_account")
        assert (figures["containers"], figures["price_a_month"], figures["created_in_24_hours"]) == (
            2,
            "$8.00",
            "$8.00",
        )
        assert figures["free_increase_a_day"] == "$5.00"
        assert (await call("get_logs", resource="web"))["log"]
        assert (await call("get_metrics", resource="db"))["series"]["cpu"]
        assert "[not-found]" in await call.fails("get_logs", resource="other")
        assert "this record was applied before" in await call.fails("apply", record=planned["record"])
        said.extend(call.answers)

    agent.over_pipes(story, "--allow", "apply")

    outputs = json.loads(stack.cli("stack", "export", "--show-secrets"))
    secrets = [line for line in _secrets(outputs) if len(line) > 5]
    assert len(secrets) >= 4
    text = json.dumps([json.loads(one) for one in said])
    assert [
        secret for secret in [emulator.key, *secrets] if secret in text or json.dumps(secret)[1:-1] in text
    ] == []


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
def test_a_cancelled_apply_leaves_nothing_behind(
    make_stack: Callable[..., Stack], yaml_language_host: Path, tmp_path: Path
) -> None:
    with Emulator(clock=fast_clock(), boot_seconds=3600.0) as emulator:
        stack = make_stack(emulator)
        agent = Agent(stack, yaml_language_host, tmp_path / "gated", {"free": {"increase_per_day": 5}})

        async def story(call: Talk) -> None:
            planned = await call("plan", program=WEB)
            async with anyio.create_task_group() as group:

                async def apply() -> None:
                    await call("apply", record=planned["record"])

                group.start_soon(apply)
                await anyio.to_thread.run_sync(until, lambda: containers(emulator) == {"web"})
                group.cancel_scope.cancel()

        desk = agent.in_process(story)

        assert audited(desk)[-1]["result"] == "cancelled"
        assert containers(emulator) == set(stack.resources())
        assert [*_processes(stack)] == []
        # What it has begun counts, and the next plan shows the truth.
        assert agent.gated.log()[0].result == "failed"


@pytest.mark.real_processes
@pytest.mark.parametrize("killed", ["engine", "provider"])
def test_an_engine_or_a_provider_that_is_killed_counts_in_full(
    make_stack: Callable[..., Stack], yaml_language_host: Path, tmp_path: Path, killed: str
) -> None:
    with Emulator(clock=fast_clock(), boot_seconds=3600.0) as emulator:
        stack = make_stack(emulator)
        agent = Agent(
            stack,
            yaml_language_host,
            tmp_path / "gated",
            {"free": {"increase_per_day": 8}, "limits": {"max_total": 10}},
        )

        async def story(call: Talk) -> None:
            planned = await call("plan", program=WEB)
            assert planned["verdict"] == "free"
            async with anyio.create_task_group() as group:

                async def kill() -> None:
                    await anyio.to_thread.run_sync(until, lambda: containers(emulator) == {"web"})
                    mark = next((tmp_path / "gated").glob("machine/stacks-pulumi/gate/begun-*.json"))
                    engine = json.loads(mark.read_bytes())["engine"]
                    for number in [engine] if killed == "engine" else _providers(stack):
                        os.kill(number, signal.SIGKILL)

                group.start_soon(kill)
                if killed == "engine":
                    said = await call.fails("apply", record=planned["record"])
                    assert "the engine was killed (signal 9)" in said
                    assert said.endswith("[outcome-unknown]")
                else:
                    # The engine only says that the provider does not answer, and no state has the container.
                    assert (await call("apply", record=planned["record"]))["verdict"] == "failed"
            await anyio.to_thread.run_sync(until, lambda: _only_languages(stack))
            if killed == "engine":
                await anyio.to_thread.run_sync(stack.cli, "cancel", "--yes")
            # The provider may have rolled the create back: that is not known, so it counts.
            other = await call(
                "plan", program=WEB.replace("web:", "api:").replace("nodejs", "nodejs, plan: premium")
            )
            assert other["verdict"] == "refused"
            assert "after the change is $14.00 at most" in str(other["reasons"])
            more = await call(
                "plan", program=WEB.replace("web:", "api:").replace("nodejs", "nodejs, plan: standard")
            )
            assert more["verdict"] == "needs_approval", more
            assert "are free in a day" in str(more["reasons"])

        agent.in_process(story)


def test_an_error_does_not_have_the_log_of_a_container(
    stack: Stack,
    emulator: Emulator,
    yaml_language_host: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only `get_logs` knows the passwords, and hides them."""
    agent = Agent(stack, yaml_language_host, tmp_path / "gated", {"free": {"increase_per_day": 5}})
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


def _processes(stack: Stack) -> Iterator[Path]:
    """Yield the processes that still run for a stack."""
    home = f"PULUMI_HOME={stack.env['PULUMI_HOME']}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if home in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                yield process


def _providers(stack: Stack) -> list[int]:
    """Return the processes of a stack's providers."""
    found = [(one, (one / "cmdline").read_bytes()) for one in _processes(stack)]
    return [int(one.name) for one, command in found if b"pulumi-resource-stacks" in command]


def _only_languages(stack: Stack) -> bool:
    """Return whether engine and provider have ended. Pulumi's own hosts may not notice that, and are ended here."""
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


def test_two_agents_on_two_stacks_share_what_is_free(
    make_stack: Callable[..., Stack], emulator: Emulator, yaml_language_host: Path, tmp_path: Path
) -> None:
    agents = []
    for name in ("one", "two"):
        stack = make_stack(emulator)
        agents.append(Agent(stack, yaml_language_host, tmp_path / name, {"free": {"increase_per_day": 5}}))
        stack.env["XDG_STATE_HOME"] = str(tmp_path / "machine")
        (stack.folder / "Pulumi.yaml").write_text(PROJECT, encoding="utf-8")
    results: list[str] = []

    async def first(call: Talk) -> None:
        mine = await call("plan", program=WEB)
        also_mine = await call("plan", program=WEB.replace("web:", "api:"))

        async def second(other: Talk) -> None:
            # Both are free when they are planned, and only one of them when it is applied.
            theirs = await other("plan", program=WEB.replace("web:", "shop:"))
            assert (mine["verdict"], theirs["verdict"]) == ("free", "free")
            assert (await call("apply", record=mine["record"]))["verdict"] == "applied"
            results.append(await other.fails("apply", record=theirs["record"]))
            results.append(await call.fails("apply", record=also_mine["record"]))

        await agents[1].talking(second, "--allow", "apply")

    agents[0].over_pipes(first, "--allow", "apply")

    assert "it needs an approval" in results[0], results
    assert "the state was changed after the plan was made" in results[1], results
    assert containers(emulator) == {"web"}


def test_of_three_agents_at_once_the_one_that_is_first_has_the_budget(
    make_stack: Callable[..., Stack], emulator: Emulator, yaml_language_host: Path, tmp_path: Path
) -> None:
    """Two are on one stack, and the third on another stack of the budget."""
    settings = {"free": {"increase_per_day": 40}, "budgets": "budgets.yaml"}
    agents = []
    for name in ("one", "two"):
        stack = make_stack(emulator)
        agent = Agent(stack, yaml_language_host, tmp_path / name, settings)
        (agent.gated.folder / "budgets.yaml").write_text(
            "budgets: [{name: all, max_total: 7}]", encoding="utf-8"
        )
        stack.env["XDG_STATE_HOME"] = str(tmp_path / "machine")
        agents.append(agent)
    one, two = (agent.stack for agent in agents)
    # They are two stacks of one backend.
    two.env["PULUMI_BACKEND_URL"] = one.env["PULUMI_BACKEND_URL"]
    two.cli("stack", "init", "two", "--secrets-provider", key_service.PROVIDER)
    two.cli("config", "set", "--secret", "stacks:apiKey", emulator.key)
    two.cli("config", "set", "stacks:baseUrl", emulator.url)
    planned: list[str] = []
    said: dict[str, str] = {}

    async def all_at_once() -> None:
        all_planned = anyio.Event()

        async def talk(agent: Agent, name: str, *words: str) -> None:
            async def story(call: Talk) -> None:
                mine = await call("plan", program=WEB.replace("web:", f"{name}:"))
                assert mine["verdict"] == "free", mine["reasons"]
                planned.append(name)
                if len(planned) == 3:
                    all_planned.set()
                await all_planned.wait()
                result = await call.client.call_tool("apply", {"record": mine["record"]})
                said[name] = str(result.content)

            await agent.talking(story, "--allow", "apply", *words)

        async with anyio.create_task_group() as group:
            group.start_soon(talk, agents[0], "web", "-s", "dev")
            group.start_soon(talk, agents[0], "api", "-s", "dev")
            group.start_soon(talk, agents[1], "shop", "-s", "two")

    anyio.run(all_at_once)

    applied = [name for name, text in said.items() if '"applied"' in text]
    assert len(applied) == 1, said
    assert containers(emulator) == set(applied)
    refused = " ".join(text for name, text in said.items() if name not in applied)
    assert "a person sees why with `stacks-pulumi gate plan`" in refused, said
    others = {"web", "api"} - {*applied}
    assert len(others) == 2 or "the state was changed after the plan was made" in said[others.pop()], said


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        ("name: tests\nruntime: python\n", "must have `runtime: yaml`"),
        ("name: tests\nruntime: {name: yaml, options: {compiler: id}}\n", "must have `runtime: yaml`"),
        ("name: tests\nruntime: yaml\nconfig: {size: {type: string}}\n", "has `config`"),
        ("name: tests\nruntime: yaml\nmain: elsewhere\n", "has `main`"),
    ],
)
def test_a_project_that_is_no_agents_is_refused(
    stack: Stack, yaml_language_host: Path, tmp_path: Path, project: str, reason: str
) -> None:
    agent = Agent(stack, yaml_language_host, tmp_path / "gated")
    (stack.folder / "Pulumi.yaml").write_text(project, encoding="utf-8")

    words = ["mcp", "--gate", str(agent.gated.folder), "-C", str(stack.folder)]
    done = subprocess.run(
        [sys.executable, "-m", "stacks_pulumi", *words],
        env=stack.env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert reason in done.stderr, done.stderr
    assert done.stdout == ""
