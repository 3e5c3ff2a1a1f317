"""The server without an engine: the view of a client, the form of errors, and the audit log."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from mcp import Client, MCPError

from stacks_pulumi import catalog
from stacks_pulumi._pulumi_cli import StoredResource
from stacks_pulumi.agents import programs, running
from stacks_pulumi.agents.outcomes import ContainerMetrics
from stacks_pulumi.agents.reading import explanation, pages
from stacks_pulumi.agents.server import Audit, Exit, server_of
from stacks_pulumi.agents.tools import Desk, state_folder
from stacks_pulumi.api.models import Connection, Connections, Container, Listing
from stacks_pulumi.gate import workflow
from stacks_pulumi.gate.client import Broker
from stacks_pulumi.gate.workflow import RefusedError

Story = Callable[[Client], Awaitable[None]]

RECORD = "20261128-000000-00000000"


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Connect a client to a server whose stack cannot be read; return the lines of the audit log."""
    folder, project = tmp_path / "desk", tmp_path / "project"
    folder.mkdir()
    project.mkdir()
    # No broker answers at this address, and no command is found.
    broker = Broker("http://127.0.0.1:9/api/v1", "sk_stacks_57ac6b0c" + "0" * 56)
    monkeypatch.setenv("PATH", str(project))
    monkeypatch.setattr(Desk, "_monthly", lambda _desk, _api: catalog.monthly_price)

    def run(story: Story, *, may_apply: bool = True) -> list[dict[str, Any]]:
        desk = Desk(broker, project, "organization/shop/dev", folder, may_apply)
        audit = Audit(folder / "audit.jsonl")

        async def told() -> None:
            async with Client(server_of(desk, audit)) as client:
                await story(client)

        anyio.run(told)
        audit.close()
        return [
            json.loads(line) for line in (folder / "audit.jsonl").read_text(encoding="utf-8").splitlines()
        ]

    return run


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    """Call a tool; return its result or the text of its error."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    text = cast("Any", content).text
    if not result.is_error:
        assert json.loads(text) == result.structured_content
    return text if result.is_error else result.structured_content


def test_tools_have_schemas_and_say_what_they_do(talk: Callable[..., Any]) -> None:
    async def story(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == [
            *("list_resources", "get_account", "list_prices", "get_logs", "get_metrics", "explain_error"),
            *("plan", "apply"),
        ]
        for name, tool in tools.items():
            assert tool.description, name
            assert tool.output_schema, name
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is (name != "apply")
        assert tools["apply"].annotations.destructive_hint is True  # type: ignore[union-attr]  # asserted above
        assert list(tools["plan"].input_schema["properties"]) == ["program"]
        verdict = tools["plan"].output_schema["properties"]["verdict"]  # type: ignore[index]  # as above
        assert verdict["enum"] == ["free", "needs_approval", "refused"]

    talk(story)


def test_without_the_right_there_is_no_apply(talk: Callable[..., Any]) -> None:
    async def story(client: Client) -> None:
        assert "apply" not in {tool.name for tool in (await client.list_tools()).tools}
        assert "[invalid-argument]" in await called(client, "apply", record=RECORD)

    assert [line["result"] for line in talk(story, may_apply=False)] == ["began", "error invalid-argument"]


def test_every_call_is_one_line_in_the_audit_log(talk: Callable[..., Any]) -> None:
    async def story(client: Client) -> None:
        first = await called(client, "list_prices")
        assert (first["page"], first["pages"] > 1, len(first["templates"])) == (1, True, 25)
        assert {"micro": "$1.00", "basic": "$4.00"}.items() <= _prices(first)["nodejs"].items()
        last = await called(client, "list_prices", page=first["pages"])
        assert not {*_prices(first)} & {*_prices(last)}
        assert "[invalid-argument]" in await called(client, "list_prices", page=99)
        refused = await called(client, "plan", program="resources: {a: {type: aws:s3:Bucket}}")
        assert refused.endswith("(type) [program-refused]")
        assert "no such record" in await called(client, "apply", record="../../etc")
        assert "no such record" in await called(client, "apply", record=RECORD)
        await client.read_resource("stacks://docs/for-agents")
        await client.get_prompt("reduce_the_bill")
        await called(client, "get_logs", resource="web", lines=0)

    lines = talk(story)

    assert [(line["call"], line["result"]) for line in lines] == [
        ("tools/call list_prices", "ok"),
        ("tools/call list_prices", "ok"),
        ("tools/call list_prices", "error invalid-argument"),
        ("tools/call plan", "error program-refused"),
        ("tools/call apply", "error invalid-argument"),
        ("tools/call apply", "began"),
        ("tools/call apply", "error invalid-argument"),
        ("resources/read stacks://docs/for-agents", "ok"),
        ("prompts/get reduce_the_bill", "ok"),
        ("tools/call get_logs", "error invalid-argument"),
    ]
    assert lines[1]["arguments"] != lines[2]["arguments"]
    assert lines[-1]["arguments"] == hashlib.sha256(b'{"lines": 0, "resource": "web"}').hexdigest()
    assert [line["record"] for line in lines if line["call"].endswith("apply")] == [None, RECORD, RECORD]
    assert all(line["at"] and line["seconds"] >= 0 for line in lines)


def _prices(page: Any) -> dict[str, Any]:
    return {one["template"]: one["prices_a_month"] for one in page["templates"]}


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("list_prices", {"pgae": 1}, "pgae Extra inputs are not permitted"),
        ("list_prices", {"page": "x"}, "[invalid-argument]"),
        ("list_prices", {"page": -1}, "greater than or equal to 1"),
        ("list_prices", {"page": 2**80}, "[invalid-argument]"),
        ("plan", {}, "Field required"),
        ("plan", {"program": 7}, "[invalid-argument]"),
        ("plan", {"program": "[]"}, "[invalid-argument]"),
        ("plan", {"program": {"resources": []}}, "[program-refused]"),
        ("explain_error", {"code": "../errors"}, "this is not an error code"),
        ("explain_error", {"code": "x" * 200}, "[invalid-argument]"),
        ("get_logs", {"resource": "web", "lines": 10_000}, "[invalid-argument]"),
        ("get_logs", {"resource": "web"}, "[pulumi-failed]"),
        ("list_resources", {}, "[pulumi-failed]"),
        ("apply", {"record": "20261128-000000-00000000"}, "there is no such record"),
    ],
)
def test_an_error_is_one_line_with_a_code(
    talk: Callable[..., Any], tool: str, arguments: dict[str, Any], said: str
) -> None:
    async def story(client: Client) -> None:
        text = await called(client, tool, **arguments)
        assert said in text
        assert "\n" not in text
        assert text.endswith("]")

    talk(story)


def test_an_answer_has_no_key(talk: Callable[..., Any]) -> None:
    key = "sk_stacks_" + "c" * 64

    async def story(client: Client) -> None:
        for arguments in ({"resource": key}, {key: 1}, {"resource": [key]}):
            assert key not in await called(client, "get_metrics", **arguments)
        with pytest.raises(MCPError) as error:
            await client.read_resource(f"stacks://docs/{key}")
        assert key not in str(error.value)

    assert key not in json.dumps(talk(story))


def test_a_guess_is_not_told_from_a_secret(talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Known secrets are not hidden in repeated input of the client. Otherwise a list of guesses could find a secret."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "battery staple")

    async def story(client: Client) -> None:
        prompt = await client.get_prompt("deploy_app_with_database", {"app": "horse battery staple"})
        assert "horse battery staple" in prompt.model_dump_json()
        for reading in (client.read_resource, client.get_prompt):
            with pytest.raises(MCPError) as error:
                await reading("stacks://battery staple/" + "x" * 10_000)
            assert "battery staple" in str(error.value)
            assert len(str(error.value)) < 700
        for tool, arguments in (
            ("explain_error", {"battery staple": 1}),
            ("list_prices", {"page": "battery staple"}),
            ("plan", {"program": {"resources": {"web": {"type": "battery staple"}}}}),
        ):
            assert "battery staple" in await called(client, tool, **arguments)

    talk(story)


def test_what_the_server_says_itself_has_no_secret(
    talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "battery staple")

    def fail(_desk: Desk, **_arguments: Any) -> None:
        raise RefusedError("it is battery staple")

    def measured(_desk: Desk, resource: str) -> ContainerMetrics:
        return ContainerMetrics(resource, {"battery staple": []})

    monkeypatch.setattr(Desk, "list_prices", functools.wraps(Desk.list_prices)(fail))
    monkeypatch.setattr(Desk, "get_metrics", functools.wraps(Desk.get_metrics)(measured))

    async def story(client: Client) -> None:
        assert await called(client, "list_prices") == "it is [secret] [gate-refused]"
        assert (await called(client, "get_metrics", resource="web"))["series"] == {"[secret]": []}

    talk(story)


def test_a_few_lines_of_a_log_do_not_have_the_middle_of_a_key(
    talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ["-----BEGIN PRIVATE KEY-----", *("MIIE" * 9 for _ in range(20))]

    def logs(_id: str, lines: int) -> str:
        return "\n".join(log[-lines:])

    @contextlib.contextmanager
    def client(_desk: Desk) -> Iterator[Any]:
        def credentials(id_: str) -> Any:
            return SimpleNamespace(raw={"password": f"{id_}-password"})

        def status(_id: str) -> Any:
            return SimpleNamespace(created_at=created[0])

        calls = {"logs": logs, "credentials": credentials, "status": status, "metrics": status}
        there = Listing([Container(id="a-cache", name="Cache"), Container(id="other", name="other")])
        yield SimpleNamespace(
            containers=SimpleNamespace(**calls, list=lambda: there),
            connections=SimpleNamespace(list=lambda _id: Connections(outgoing=Listing(connected))),
        )

    # The stack's connection is identified by its id, even if the list does not name its target.
    connected = [Connection(id="1", target_name="cache"), Connection(id="link")]
    urn, kind = "urn:pulumi:dev::shop::{0}::{1}", "stacks:index:{0}"
    created = ["2026-11-28T10:00:00Z"]
    web = StoredResource(
        kind.format("Container"),
        urn.format("x", "web"),
        "web",
        custom=True,
        outputs={"createdAt": created[0]},
    )
    ends = {"source": "web", "target": "db"}
    link = StoredResource(
        kind.format("Connection"), urn.format("x", "link"), "link", custom=True, inputs=ends
    )
    monkeypatch.setattr(Desk, "_stack", lambda _desk: [web, link])
    monkeypatch.setattr(Desk, "_client", client)

    async def story(client: Client) -> None:
        answer = await called(client, "get_logs", resource="web", lines=5)
        assert answer["log"] == "[secret]"
        log.insert(0, "started")
        log.extend(["-----END PRIVATE KEY-----", "ready"])
        for lines, text in ((1, "ready"), (2, "[secret]\nready"), (500, "started\n[secret]\nready")):
            answer = await called(client, "get_logs", resource="web", lines=lines)
            assert answer["log"] == text
        # A connection adds its target's password to the container, even if only the platform knows the connection.
        log.append("web-password db-password a-cache-password other-password")
        answer = await called(client, "get_logs", resource="web", lines=1)
        assert answer["log"] == "[secret] [secret] [secret] other-password"
        # A password that is not known cannot be hidden.
        for name in ("gone", None):
            connected.append(Connection(id="2", target_name=name))
            text = await called(client, "get_logs", resource="web")
            assert "the log of 'web' is not shown" in text
            assert text.endswith("[not-found]")
            connected.pop()
        # The container was deleted, and another container has its name.
        created[0] = "2026-11-28T11:00:00Z"
        for tool in ("get_logs", "get_metrics"):
            text = await called(client, tool, resource="web")
            assert "web is no longer the stack's container" in text
            assert text.endswith("[identity-unclear]")

    talk(story)


def test_few_calls_read_at_the_same_time(talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call may start an engine, so many parallel calls of a client could fill the memory."""
    running: list[int] = []
    most = 0
    full, too_many = threading.Event(), threading.Event()

    def read(_desk: Desk, page: int) -> None:
        nonlocal most
        running.append(page)
        most = max(most, len(running))
        if len(running) >= 4:
            full.set()
        if len(running) > 4:
            too_many.set()
        full.wait(60)
        too_many.wait(0.05)
        running.remove(page)
        raise RefusedError("enough")

    monkeypatch.setattr(Desk, "list_resources", functools.wraps(Desk.list_resources)(read))

    async def story(client: Client) -> None:
        async with anyio.create_task_group() as group:
            for page in range(1, 21):
                group.start_soon(functools.partial(called, client, "list_resources", page=page))

    talk(story)
    assert most == 4


def test_two_servers_do_not_apply_to_one_project_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each server writes the project's file, so the engine of one stack could run the program of the other stack."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: yaml\n", encoding="utf-8")
    record = "20261128-000000-00000000"
    for stack in "12":
        (tmp_path / stack / record).mkdir(parents=True)
        (tmp_path / stack / record / "program.json").write_text('{"resources": {}}', encoding="utf-8")
    one, two = (
        Desk(Broker("http://127.0.0.1:9/api/v1"), tmp_path, f"o/p/{stack}", tmp_path / stack, may_apply=True)
        for stack in "12"
    )
    context: Any = None

    async def engine(*_: Any) -> int:
        with pytest.raises(RefusedError, match="another server applies"):
            await two.apply(record, context)
        return 0

    monkeypatch.setattr(Desk, "_way", lambda *_: ["pulumi", "up"])
    monkeypatch.setattr(Desk, "_configuration", lambda _desk: {})
    monkeypatch.setattr(one, "_run", engine)

    assert anyio.run(one.apply, record, context).verdict == "applied"


def test_the_newest_hundred_records_are_kept(talk: Callable[..., Any], tmp_path: Path) -> None:
    names = [f"20261128-000000-{number:08}" for number in range(105)]
    desk = Desk(Broker("http://127.0.0.1:9/api/v1"), tmp_path, "o/p/s", tmp_path, may_apply=True)
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "audit.jsonl").touch()

    desk._clean_up()

    assert {one.name for one in tmp_path.iterdir() if one.name[0] == "2"} == {*names[5:]}
    assert (tmp_path / "audit.jsonl").exists()


def test_a_copy_of_the_project_has_the_backend_and_the_passphrase_of_the_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file://./states?metadata=skip")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "phrase")
    monkeypatch.setenv("PULUMI_OPTION_REFRESH", "true")

    given = running.environment_of(tmp_path)

    assert given["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/states?metadata=skip"
    assert given["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(tmp_path / "phrase")
    assert "PULUMI_OPTION_REFRESH" not in given
    for elsewhere in ("file:///srv/states", "file://~", "s3://states"):
        monkeypatch.setenv("PULUMI_BACKEND_URL", elsewhere)
        assert running.environment_of(tmp_path)["PULUMI_BACKEND_URL"] == elsewhere


def test_a_line_of_the_audit_log_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "audit.jsonl"
    audit = Audit(file)
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda number, text, write=os.write: write(number, text[:20]))
        with pytest.raises(
            MCPError, match=r"the audit log cannot be written: the disk is full \[file-access\]"
        ):
            audit.write("tools/call plan", {}, "began", None, 0)
    audit.write("tools/call apply", {}, "began", RECORD, 0)
    audit.write("tools/call apply", {}, "applied", RECORD, 1)
    audit.close()

    with pytest.raises(MCPError, match=r"the audit log cannot be written: .* \[file-access\]"):
        audit.write("tools/call plan", {}, "began", None, 0)
    _, *lines = file.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["result"] for line in lines] == ["began", "applied"]
    assert {json.loads(line)["server"] for line in lines} == {os.getpid()}


@pytest.mark.parametrize(
    ("method", "name", "error", "result"),
    [
        ("resources/read", "stacks://docs/errors", None, "ok"),
        ("tools/call", "plan", ValueError("invalid parameters"), "error"),
        ("tools/call", "plan", asyncio.CancelledError(), "cancelled"),
    ],
)
def test_the_audit_log_says_what_was_called_and_how_it_ended(
    tmp_path: Path, method: str, name: str, error: BaseException | None, result: str
) -> None:
    file = tmp_path / "audit.jsonl"
    audit = Audit(file)
    context: Any = SimpleNamespace(
        method=method, params={"name": "plan", "uri": "stacks://docs/errors"}, request_id=7
    )

    async def answer(_context: Any) -> dict[str, Any]:
        if error is not None:
            raise error
        return {}

    with contextlib.suppress(MCPError, asyncio.CancelledError):
        anyio.run(Exit(audit), context, answer)
    audit.close()

    line = json.loads(file.read_text(encoding="utf-8"))
    assert (line["call"], line["result"]) == (f"{method} {name}", result)


def test_what_is_no_call_is_not_in_the_audit_log(tmp_path: Path) -> None:
    """A notification has no answer and calls no tool. A line about it would report an update that did not happen."""
    file = tmp_path / "audit.jsonl"
    audit = Audit(file)
    context: Any = SimpleNamespace(
        method="tools/call", params={"name": "apply", "arguments": {"record": RECORD}}, request_id=None
    )

    async def nothing(_context: Any) -> None:
        return None

    anyio.run(Exit(audit), context, nothing)
    audit.close()

    assert file.read_text(encoding="utf-8") == ""


def test_only_an_apply_begins_in_the_audit_log(talk: Callable[..., Any]) -> None:
    async def story(client: Client) -> None:
        await called(client, "explain_error", code="not-found", record=RECORD)

    assert [(line["result"], line["record"]) for line in talk(story)] == [("error invalid-argument", None)]


@pytest.mark.parametrize(
    "case",
    [
        ("needs_approval", [], [], "as planned", "pulumi up"),
        ("needs_approval", [], [], "changed", "the stack has changed since the plan was made"),
        ("needs_approval", ["too much"], [], "as planned", "it needs an approval"),
        ("needs_approval", ["too much"], ["ann"], "changed", "gate apply"),
        # A budget does not allow a change that a rule refuses; a change that has begun with a grant continues.
        ("refused", [], [], "as planned", "it is refused"),
        ("refused", [], ["ann"], "changed", "gate apply"),
        ("free", None, [], "as planned", "gate apply"),
    ],
)
def test_a_record_is_applied_by_the_budget_or_by_a_signed_change(
    talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: Any
) -> None:
    result, beyond, approvals, state, way = case
    ran: list[str] = []
    folder = tmp_path / "desk" / RECORD
    said = {
        "verdict": {"result": result},
        "beyond": beyond,
        "approvals": approvals,
        "missing": "it is refused" if result == "refused" else "",
    }
    change = SimpleNamespace(preview=None)
    monkeypatch.setattr(workflow, "statement_of", lambda _file: "")
    monkeypatch.setattr(workflow, "judged", lambda _broker, text: workflow.Judged(text, change, said))  # type: ignore[arg-type]  # only its report is read
    monkeypatch.setattr(Broker, "ask", lambda _broker, _method, _what: {"may_apply_free": beyond is None})
    monkeypatch.setattr(Desk, "_state", lambda _desk: state.encode())
    monkeypatch.setattr(Desk, "_configuration", lambda _desk: {})
    monkeypatch.setattr(Desk, "_export", lambda _desk: b"")

    async def run(words: Any, *_: Any) -> int:
        ran.append(" ".join(words))
        return 0

    monkeypatch.setattr(running, "run", run)

    async def story(client: Client) -> None:
        folder.mkdir()
        (folder / "program.json").write_text('{"resources": {}}', encoding="utf-8")
        (folder / "state.sha256").write_text("as planned", encoding="utf-8")
        (tmp_path / "project" / "Pulumi.yaml").write_text("name: shop", encoding="utf-8")
        answer = await called(client, "apply", record=RECORD)
        assert way in (answer if isinstance(answer, str) else " ".join(ran))

    talk(story)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "applied"),
        (1, "failed"),
        (2, "it was revoked [gate-refused]"),
        (-9, "the engine was killed (exit code -9)"),
        (137, "the engine was killed (exit code 137)"),
    ],
)
def test_the_program_of_a_record_becomes_the_projects_unless_the_broker_refuses_it(
    talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, said: str
) -> None:
    """The record's program is JSON with one value per line, which is longer than the agent's text."""
    program = {"resources": {}, "outputs": {"x": [[[[[1] * 400] * 11]]], "y": 0.1234567890123456}}
    folder, file = tmp_path / "desk" / RECORD, tmp_path / "project" / "Pulumi.yaml"
    file.write_text("name: shop\nruntime: yaml\nresources: {}\n", encoding="utf-8")
    old, text = file.read_bytes(), programs.check(program).text({})
    new = programs.check(program).text({"name": "shop", "runtime": "yaml"})
    assert len(text) > 65_536
    monkeypatch.setattr(Desk, "_way", lambda _desk, _folder: ["pulumi"])
    monkeypatch.setattr(Desk, "_export", lambda _desk: b"")
    monkeypatch.setattr(Desk, "_configuration", lambda _desk: {})

    async def run(_words: Any, where: Path, _environment: Any, outputs: Any, _report: Any) -> int:
        # All processes may be killed now.
        assert (where / "Pulumi.yaml").read_bytes() == new
        outputs[0].write_text("stacks-pulumi gate: it was revoked [grant-refused]\n", encoding="utf-8")
        return code

    monkeypatch.setattr(running, "run", run)

    async def story(client: Client) -> None:
        folder.mkdir()
        (folder / "program.json").write_bytes(text)
        answer = await called(client, "apply", record=RECORD)
        assert said in (answer if isinstance(answer, str) else answer["verdict"])

    talk(story)
    assert file.read_bytes() == (old if code == 2 else new)


def test_a_record_does_not_read_a_setting_that_a_person_has_added_since_the_plan(
    talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The engine takes `${token}` for the setting of this name, which may be a secret."""
    program = {"variables": {"token": "x"}, "outputs": {"shown": "${token}"}, "resources": {}}
    folder, ran = tmp_path / "desk" / RECORD, list[str]()
    monkeypatch.setattr(
        Desk, "_pulumi", lambda *_: b'{"shop:token": {"secret": true, "value": "of a person"}}'
    )
    monkeypatch.setattr(Desk, "_way", lambda _desk, _folder: ran.append("pulumi"))

    async def story(client: Client) -> None:
        folder.mkdir()
        (folder / "program.json").write_bytes(programs.check(program).text({}))
        answer = await called(client, "apply", record=RECORD)
        assert "a setting of the stack's configuration has this name" in answer

    talk(story)
    assert not ran


def test_the_pages_explain_every_code(talk: Callable[..., Any]) -> None:
    async def story(client: Client) -> None:
        listed = {str(one.uri) for one in (await client.list_resources()).resources}
        assert listed == {f"stacks://docs/{name}" for name in pages()}
        told = await called(client, "explain_error", code="[spending-cap]")
        assert "**Do this:**" in told["text"]
        assert {one.name for one in (await client.list_prompts()).prompts} == {
            *("deploy_app_with_database", "reduce_the_bill")
        }

    talk(story)
    assert len(pages()) == 6
    assert explanation("no-such-code") is None


def test_a_bug_tells_nothing(talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_desk: Desk, **_arguments: Any) -> None:
        raise ValueError("the password is hunter2")

    monkeypatch.setattr(Desk, "list_prices", functools.wraps(Desk.list_prices)(crash))

    async def story(client: Client) -> None:
        assert await called(client, "list_prices") == "a bug in this package (ValueError) [internal-error]"

    talk(story)


def test_no_two_stacks_share_a_folder() -> None:
    names = ("organization/shop/a-b", "organization/shop-a/b", "organization-shop/a/b")
    assert len({state_folder(name).name for name in names}) == len(names)
