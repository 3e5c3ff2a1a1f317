"""
An author who is hostile, and cannot edit the gate's folder: without an approval the gate makes nothing with the key.
"""

from __future__ import annotations

import http.server
import io
import json
import shutil
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate import flow, record
from stacks_pulumi.gate.engine import Engine
from stacks_pulumi.gate.flow import RefusedError
from stacks_pulumi.pricing.recognition import SIGNATURE
from tests.support.gate import Gated
from tests.support.stack import Stack

BASIC: dict[str, Any] = {
    "type": "stacks:index:Container",
    "properties": {"template": "nodejs", "plan": "basic"},
}
PREMIUM = {"type": "stacks:index:Container", "properties": {"template": "nodejs", "plan": "premium"}}


def project(runtime: Any = "yaml", **resources: Any) -> str:
    return json.dumps({"name": "tests", "runtime": runtime, "resources": resources})


def test_a_second_set_of_resources_in_the_plan_is_not_applied(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    """The engine reads `ResourcePlans` too, so `show` would show one container, and the update make two."""
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5}})
    stack.yaml(project(web=BASIC, big=PREMIUM), yaml_language_host)
    assert gated.plan().verdict.result == "needs_approval"

    plan = json.loads((gated.record / record.PLAN).read_bytes())
    every = plan.pop("resourcePlans")
    hidden = {urn: every.pop(urn) for urn in list(every) if urn.endswith("::big")}
    # The order decides nothing here: both are read.
    forged = json.dumps({**plan, "ResourcePlans": hidden, "resourcePlans": every}).encode()
    events = (gated.record / record.EVENTS).read_bytes().splitlines(keepends=True)
    shown = b"".join(line for line in events if b"::big" not in line)
    content = json.loads((gated.record / record.RECORD).read_bytes())
    digests = {"plan": record.digest_of(forged), "events": record.digest_of(shown)}
    content["digests"] |= digests
    for name, data in (
        (record.PLAN, forged),
        (record.EVENTS, shown),
        (record.RECORD, json.dumps(content).encode()),
    ):
        (gated.record / name).write_bytes(data)

    assert "the plan has the field 'ResourcePlans' beside 'resourcePlans'" in gated.refused()
    assert emulator.state.names() == []


def test_a_program_of_data_that_changes_while_it_is_applied_is_the_one_that_was_compared(
    stack: Stack,
    emulator: Emulator,
    tmp_path: Path,
    yaml_language_host: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5}})
    stack.yaml(project(web=BASIC), yaml_language_host)
    assert gated.plan().verdict.result == "free"
    real, ran = Engine.up, tmp_path / "ran"
    compiler = stack.folder / "compiler"
    swapped = []

    def up(self: Engine, *arguments: Any, **named: Any) -> int:
        # Between the comparison and the engine.
        compiler.write_text(f"#!/bin/sh\nenv >{ran}\n", encoding="utf-8")
        compiler.chmod(0o700)
        runtime = {"name": "yaml", "options": {"compiler": str(compiler)}}
        (stack.folder / "Pulumi.yaml").write_text(project(runtime, web=PREMIUM), encoding="utf-8")
        settings = stack.folder / "Pulumi.dev.yaml"
        settings.write_text(
            settings.read_text(encoding="utf-8").replace("stacks:", "other:"), encoding="utf-8"
        )
        swapped.append(True)
        return real(self, *arguments, **named)

    monkeypatch.setattr(Engine, "up", up)
    assert gated.apply() == 0
    assert swapped
    assert not ran.exists()
    (web,) = emulator.state.containers.values()
    assert web.plan == "basic"


def test_an_approval_is_used_once_also_if_the_state_is_the_old_one_again(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    gated = Gated(stack, tmp_path / "gated")

    def approved(**resources: Any) -> None:
        stack.yaml(project(**resources), yaml_language_host)
        gated.plan()
        gated.approve()

    approved(web=BASIC)
    assert gated.apply() == 0
    approved(web=BASIC, two=BASIC)
    old = gated.copy("old")
    assert gated.apply() == 0
    approved(web=BASIC)
    assert gated.apply() == 0
    stack.yaml(project(web=BASIC, two=BASIC), yaml_language_host)

    assert "this record was applied before" in gated.refused(old)
    assert emulator.state.names() == ["web"]


@pytest.mark.passphrase
def test_the_state_is_not_encrypted_for_the_author(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    """No step shows it: an update without changes would encrypt all secrets of the state in another way."""
    settings = stack.folder / "Pulumi.dev.yaml"
    text = settings.read_text(encoding="utf-8")
    salt = next(line for line in text.splitlines() if line.startswith("encryptionsalt:"))
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5}})
    settings.write_text(f"{salt}\n", encoding="utf-8")
    stack.env |= {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url}
    stack.yaml(project(web=BASIC), yaml_language_host)
    assert gated.plan().verdict.result == "free"
    assert gated.apply() == 0

    # What the author knows is his own passphrase; here it is the same one with another salt.
    other = stack.folder / "other"
    other.mkdir()
    (other / "Pulumi.yaml").write_text("name: other\nruntime: yaml\n", encoding="utf-8")
    subprocess.run(
        ["pulumi", "stack", "init", "dev", "--secrets-provider", "passphrase"],
        cwd=other,
        env=stack.env,
        check=True,
    )
    settings.write_text((other / "Pulumi.dev.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    shutil.rmtree(other)

    with pytest.raises(RefusedError, match="another encryption than its state"):
        gated.plan()
    settings.write_text(f"{salt}\n", encoding="utf-8")
    assert gated.plan().verdict.result == "nothing"


def with_planned_opening(stack: Stack, folder: Path, yaml_language_host: Path) -> Gated:
    """Return a gate with a closed container in the account, and a record that would open it."""
    gated = Gated(stack, folder, {"free": {"increase_per_day": 5}})
    for is_open in (False, True):
        properties = {**BASIC["properties"], "externalAccess": is_open}
        stack.yaml(project(web={**BASIC, "properties": properties}), yaml_language_host)
        assert gated.plan().verdict.result == ("needs_approval" if is_open else "free")
        if not is_open:
            assert gated.apply() == 0
    return gated


def test_a_change_that_is_named_twice_in_the_plan_is_not_applied(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    """The engine follows `updates`, where `adds` would show that nothing changes."""
    gated = with_planned_opening(stack, tmp_path / "gated", yaml_language_host)
    plan = json.loads((gated.record / record.PLAN).read_bytes())
    state = json.loads((gated.record / record.STATE).read_bytes())
    (web,) = [one for one in state["deployment"]["resources"] if one["urn"].endswith("::web")]
    plan["resourcePlans"][web["urn"]]["goal"]["inputDiff"]["adds"] = web["inputs"]
    forged = json.dumps(plan).encode()
    events = [json.loads(line) for line in (gated.record / record.EVENTS).read_bytes().splitlines()]
    for event in events:
        metadata = (event.get("resourcePreEvent") or event.get("resOutputsEvent") or {}).get("metadata") or {}
        if metadata.get("urn") == web["urn"]:
            metadata["new"]["inputs"] = web["inputs"]
    rewrite(
        gated.record, plan=forged, events=b"".join(json.dumps(event).encode() + b"\n" for event in events)
    )

    assert "more than one change of 'externalAccess'" in gated.refused()
    assert [one.external_access for one in emulator.state.containers.values()] == [False]


def test_a_step_that_another_one_hides_is_not_made(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    """Of `update, same` the engine makes the update, and only then misses the other one."""
    gated = with_planned_opening(stack, tmp_path / "gated", yaml_language_host)
    plan = json.loads((gated.record / record.PLAN).read_bytes())
    (web,) = [urn for urn in plan["resourcePlans"] if urn.endswith("::web")]
    plan["resourcePlans"][web]["steps"] = ["update", "same"]
    rewrite(gated.record, plan=json.dumps(plan).encode())

    assert "steps that exclude each other" in gated.refused()
    assert [one.external_access for one in emulator.state.containers.values()] == [False]


def test_a_record_without_the_violations_of_its_preview_makes_nothing(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    """An update asks a policy about the whole stack at its end, when everything is made."""
    limit = {"max_monthly_usd": 5}
    spend = {"monthly-budget": limit, "budget-warning": limit, "spend-gate": "disabled"}
    free = {"free": {"increase_per_day": 50}}
    gated = Gated(stack, tmp_path / "gated", free, {"spend": spend})
    stack.yaml(project(web=BASIC), yaml_language_host)
    assert gated.plan().verdict.result == "free"
    stack.yaml(project(web=BASIC, big=PREMIUM), yaml_language_host)
    kept = gated.copy("kept")
    assert gated.plan().verdict.result == "refused"

    other = Gated(stack, tmp_path / "other", free)
    assert other.plan().verdict.result == "free"
    content, forged = (json.loads((one / record.RECORD).read_bytes()) for one in (kept, other.record))
    content["digests"] |= {name: forged["digests"][name] for name in ("plan", "export", "events", "program")}
    (other.record / record.RECORD).write_text(json.dumps(content), encoding="utf-8")

    assert gated.apply(other.record) == flow.REFUSED
    assert emulator.state.names() == []


def rewrite(folder: Path, **files: bytes) -> None:
    """Put files into a record, with their digests."""
    content = json.loads((folder / record.RECORD).read_bytes())
    names = {"plan": record.PLAN, "events": record.EVENTS}
    for name, data in files.items():
        (folder / names[name]).write_bytes(data)
        content["digests"][name] = record.digest_of(data)
    (folder / record.RECORD).write_bytes(json.dumps(content).encode())


def test_no_file_of_a_program_of_data_names_the_plugin_that_runs(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    """The language host for YAML takes such a file for a declaration of the package `stacks`, and downloads it."""
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5}})
    stack.yaml(project(web=BASIC), yaml_language_host)
    declared = {
        "packageDeclarationVersion": 1,
        "name": "evil",
        "version": "1.0.0",
        # Nothing answers there.
        "downloadUrl": "http://127.0.0.1:9/x",
        "parameterization": {"name": "stacks", "version": "1.0.0", "value": "eA=="},
    }
    (stack.folder / "sdks").mkdir()
    for name in ("stacks.yaml", "sdks/stacks.yaml"):
        (stack.folder / name).write_text(json.dumps(declared), encoding="utf-8")

    assert gated.plan().verdict.result == "free"
    assert gated.apply() == 0
    assert emulator.state.names() == ["web"]


def test_the_key_is_sent_to_no_address_that_only_the_engine_reads(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5}})
    settings = stack.folder / "Pulumi.dev.yaml"
    evil = "{'stacks:baseUrl': 'http://127.0.0.1:9/api/v1'}"
    settings.write_text(f"config:\n  <<: {evil}\n", encoding="utf-8")
    stack.env |= {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url}
    with pytest.raises(RefusedError, match="write plain values"):
        gated.plan()


def test_neither_the_configuration_nor_the_state_names_a_plugin_that_runs(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    """The engine reads `name`, `version` and `pluginDownloadURL` of a provider that it makes from the configuration."""
    ran, packed, asked = tmp_path / "ran", io.BytesIO(), list[str]()
    # It does what it wants, and then what our plugin does: the plan is that of an honest program.
    script = f'#!/bin/sh\nenv >{ran}\nexec pulumi-resource-stacks "$@"\n'.encode()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("pulumi-resource-evil")
        member.size, member.mode = len(script), 0o755
        archive.addfile(member, io.BytesIO(script))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(packed.getvalue())))
            self.end_headers()
            self.wfile.write(packed.getvalue())

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5}})
    stack.yaml(project(web=BASIC), yaml_language_host)
    settings = stack.folder / "Pulumi.dev.yaml"
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        plugin = {
            "name": "evil",
            "version": "1.0.0",
            "pluginDownloadURL": f"http://127.0.0.1:{server.server_port}/",
        }
        text = settings.read_text(encoding="utf-8")
        more = "".join(f"  stacks:{name}: {value}\n" for name, value in plugin.items())
        settings.write_text(text.replace("config:\n", f"config:\n{more}"), encoding="utf-8")

        with pytest.raises(RefusedError, match="run another plugin"):
            gated.plan()
        settings.write_text(text, encoding="utf-8")
        # It does so too for a provider that is in the state alone, which a change would just delete.
        inputs = {
            "version": plugin["version"],
            "__internal": {"pluginDownloadURL": plugin["pluginDownloadURL"]},
        }
        provider = {
            "urn": "urn:pulumi:dev::tests::pulumi:providers:evil::default_1_0_0",
            "type": "pulumi:providers:evil",
            "id": "1b8e4c4e-3d5a-4e0c-9f57-0c8f4f0a6b11",
            "custom": True,
            "inputs": inputs,
            "outputs": inputs,
        }
        state = json.loads(stack.export())
        state["deployment"]["resources"] = [provider]
        (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
        stack.cli("stack", "import", "--file", str(tmp_path / "state.json"))
        with pytest.raises(RefusedError, match=r"name another plugin.*'default_1_0_0'"):
            gated.plan()
        # What it is, the engine reads from the URN. Of two with one id, it takes the first.
        urn, id_ = str(provider["urn"]), provider["id"]
        ours = {"type": "pulumi:providers:stacks", "inputs": {}, "outputs": {}}
        mine = {**provider, **ours, "urn": urn.replace("evil", "stacks")}
        by_mine = {"type": "stacks:index:Container", "provider": f"{mine['urn']}::{id_}", "delete": True}
        thing = {"type": "evil:index:Thing", "urn": "urn:pulumi:dev::tests::evil:index:Thing::it"}
        state["deployment"]["resources"] = [
            mine,
            {**provider, **by_mine},
            {**provider, "inputs": {}, "outputs": {}},
            {**provider, **thing, "provider": f"{urn}::{id_}"},
        ]
        (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
        stack.cli("stack", "import", "--file", str(tmp_path / "state.json"))
        with pytest.raises(RefusedError, match="which its URN does not show"):
            gated.plan()
        # A snippet is a program in the state, which it runs beside this one. It comes after the plan.
        state["deployment"]["resources"] = []
        (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
        stack.cli("stack", "import", "--file", str(tmp_path / "state.json"))
        assert gated.plan().verdict.result == "free"
        descriptor = {"name": "evil", "version": "1.0.0", "downloadURL": plugin["pluginDownloadURL"]}
        snippet = {"uuid": provider["id"], "name": "x", "type": "evil:index:Thing", "descriptor": descriptor}
        state |= {"version": 4, "features": ["snippets-prototype"]}
        state["deployment"]["snippets"] = [snippet]
        (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
        stack.cli("stack", "import", "--file", str(tmp_path / "state.json"))
        assert "the state has snippets" in gated.refused()
        server.shutdown()
    assert not ran.exists()
    assert asked == []


def test_the_settings_are_those_that_the_engine_reads(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    """The engine takes a text as `config` for the folder of the settings, and the gate would read other ones."""
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5, "code": True}})
    stack.program('stacks.Container("web", template="nodejs")')
    text = (stack.folder / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    (stack.folder / "other").mkdir()
    (stack.folder / "other" / "Pulumi.dev.yaml").write_text(
        text.replace("config:\n", "config:\n  stacks:pluginDownloadURL: http://127.0.0.1:9/\n"),
        encoding="utf-8",
    )
    project = "name: tests\nruntime: python\nconfig: other\n"
    (stack.folder / "Pulumi.yaml").write_text(project, encoding="utf-8")

    with pytest.raises(RefusedError, match="sets `stackConfigDir`"):
        gated.plan()
    gated.add(project_settings=["stackConfigDir"])
    with pytest.raises(RefusedError, match="run another plugin"):
        gated.plan()
    assert emulator.state.names() == []


def test_a_value_that_the_engine_takes_for_a_file_makes_the_program_code(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    """With these names of the engine's protocol a mapping is an asset, and the engine fetches its address."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x")

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5}})
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/inside"
        asset = {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "uri": address}
        web = {**BASIC, "properties": {**BASIC["properties"], "restartTriggers": [asset]}}
        stack.yaml(project(web=web), yaml_language_host)
        verdict = gated.plan().verdict
        assert asked
        assert verdict.result == "needs_approval"
        assert SIGNATURE in str(verdict.reasons)

        # The program has it by the name of a setting, and is data by itself.
        settings = stack.folder / "Pulumi.dev.yaml"
        written = yaml.safe_load(settings.read_text(encoding="utf-8"))
        web["properties"]["restartTriggers"] = ["${files}"]
        stack.yaml(project(web=web), yaml_language_host)
        asked.clear()
        for value in ({"all": [asset]}, json.dumps(asset).replace(SIGNATURE, "\\u0034" + SIGNATURE[1:])):
            written["config"]["tests:files"] = value
            settings.write_text(yaml.safe_dump(written), encoding="utf-8")
            with pytest.raises(RefusedError, match=f"'tests:files' has '{SIGNATURE}'"):
                gated.plan()
        server.shutdown()
        assert asked == []


def test_a_state_that_is_nested_too_deeply_stops_its_own_stack_only(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    """The gate reads every stack of the backend for its budgets, and each list and mapping took a call of Python."""
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 50}})
    (gated.folder / "budgets.yaml").write_text("budgets: [{name: all, max_total: 50}]\n", encoding="utf-8")
    gated.add(budgets="budgets.yaml")
    level = {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": "${vNEXT}"}}}}}}}}}}}}
    deep = {f"v{n}": json.loads(json.dumps(level).replace("NEXT", str(n - 1))) for n in range(1, 81)}
    program = {"variables": {"v0": "x", **deep}, "outputs": {"deep": "${v80}"}, "resources": {"web": BASIC}}
    stack.yaml(json.dumps({"name": "tests", "runtime": "yaml", **program}), yaml_language_host)

    with pytest.raises(InputError, match="nested more than"):
        gated.plan()
    assert emulator.state.names() == []
    # A person can make it without the gate.
    stack.cli("up", "--yes", "--skip-preview")
    stack.yaml(project(web=BASIC), yaml_language_host)
    with pytest.raises(InputError, match="remove it from the state"):
        gated.plan()

    stack.cli("stack", "init", "other")
    stack.env |= {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url}
    stack.yaml(project(other=BASIC), yaml_language_host)
    planned = gated.plan("organization/tests/other")
    assert planned.verdict.result == "free", planned.verdict.reasons
    assert gated.apply(stack="organization/tests/other") == 0
