"""The gaps of Pulumi's protection that `.github/SECURITY.md` lists, tested on the engine."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.packs import with_packs
from tests.support.stack import Stack
from tools.engine.ensure import ensure
from tools.engine.search import numbers

# Tests of a page about the engine: a change of the package is tested without them.
pytestmark = pytest.mark.extra

PROGRAM = 'stacks.Container("web", template="nodejs")\n'


@beyond_a_grant.KEY
@pytest.mark.real_processes
def test_the_engines_own_messages_have_the_key(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROGRAM)
    trace = stack.folder / "trace"

    said = {
        option: stack.engine("preview", *option.split()).text
        for option in ("--debug", "-v=9 --logtostderr", f"--tracing file:{trace}")
    }

    assert {option: emulator.key in text for option, text in said.items()} == {
        "--debug": False,
        # The log of 3.274.1 does not contain the values of requests.
        "-v=9 --logtostderr": numbers(ensure().version) < (3, 274),
        f"--tracing file:{trace}": False,
    }
    assert emulator.key.encode() in trace.read_bytes()
    stack.env["PULUMI_DEBUG_GRPC"] = str(stack.folder / "requests")
    assert emulator.key not in stack.engine("preview").text
    assert emulator.key in (stack.folder / "requests").read_text(encoding="utf-8")


class Backend(BaseHTTPRequestHandler):
    """Records the requests that it gets."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(str(self.headers))
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.mark.parametrize("named", [False, True], ids=["in the project", "in the environment"])
def test_the_backend_that_a_project_names_gets_pulumis_token_and_not_the_key(
    stack: Stack, emulator: Emulator, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backend, "seen", [])
    if not named:
        del stack.env["PULUMI_BACKEND_URL"]
    stack.env["PULUMI_ACCESS_TOKEN"] = "pul-token"
    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (stack.folder / "Pulumi.yaml").open("a", encoding="utf-8") as project:
            project.write(f"\nbackend: {{url: http://127.0.0.1:{server.server_port}}}\n")
        stack.python("-m", "stacks_pulumi", "logs", "web", STACKS_API_KEY=emulator.key)
        server.shutdown()

    assert ("pul-token" in "".join(Backend.seen)) is not named
    assert emulator.key not in "".join(Backend.seen)


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self._command,)


def test_who_may_write_the_state_of_a_dynamic_resource_runs_code_at_the_next_refresh(
    stack: Stack, tmp_path: Path
) -> None:
    stack.program(PROGRAM)
    stack.up(quiet_afterwards=False)
    state = json.loads(stack.export())
    for resource in state["deployment"]["resources"]:
        if "__provider" in resource.get("outputs", {}):
            code = pickle.dumps(Command(f"touch '{tmp_path}/ran'"))
            resource["outputs"]["__provider"] = base64.b64encode(code).decode()
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    stack.cli("stack", "import", "--file", str(tmp_path / "state.json"))

    stack.engine("refresh", "--yes", "--skip-preview")

    assert (tmp_path / "ran").exists()


PACK = """
import json
import os
from pathlib import Path

from pulumi_policy import PolicyPack, ResourceValidationPolicy

def look(args, report):
    settings = dict(args.provider.props) if args.provider else {}
    variables = [name for name in os.environ if name.startswith("STACKS_")]
    with Path(os.environ["SEEN"]).open("a") as seen:
        print(json.dumps([settings.get("stacks:apiKey"), variables]), file=seen)

PolicyPack("looks", policies=[ResourceValidationPolicy(name="looks", description="Looks.", validate=look)])
"""


@beyond_a_grant.KEY
def test_a_pack_that_the_doctor_starts_gets_the_stacks_key_and_not_that_of_the_environment(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    stack.program(PROGRAM)
    pack, seen = tmp_path / "pack", tmp_path / "seen"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")
    (pack / "__main__.py").write_text(PACK, encoding="utf-8")
    environment = {"STACKS_API_KEY": f"sk_stacks_{'0' * 64}", "SEEN": str(seen)}

    packs = with_packs(stack.folder, {pack: {}})[:2]
    done = stack.python("-m", "stacks_pulumi", "doctor", *packs, **environment)

    assert "starts 1 policy pack, and succeeds" in done.stdout, done.stdout
    found = [json.loads(line) for line in seen.read_text(encoding="utf-8").splitlines()]
    assert [emulator.key, []] in found
    assert all(variables == [] for _, variables in found)


PROTECTED = 'stacks.Container("data", template="postgresql", opts=pulumi.ResourceOptions(protect=True))\n'


@pytest.mark.parametrize("way", ["option", "variable", "state"])
def test_protect_prevents_a_mistake_and_not_intent(stack: Stack, emulator: Emulator, way: str) -> None:
    stack.program(PROTECTED)
    stack.up(quiet_afterwards=False)
    stack.destroy_fails()
    assert emulator.state.names() == ["data"]

    if way == "variable":
        stack.env["PULUMI_OPTION_IGNORE_PROTECT"] = "true"
    if way == "state":
        stack.cli("state", "unprotect", "--all", "--yes")
    stack.destroy(*(["--ignore-protect"] if way == "option" else []))

    assert emulator.state.names() == []


@beyond_a_grant.KEY
def test_a_key_without_the_scope_deletes_nothing_with_any_option(stack: Stack, emulator: Emulator) -> None:
    stack.program(PROTECTED)
    stack.cli("config", "rm", "stacks:apiKey")
    scopes = ["containers:read", "containers:create", "containers:manage"]
    stack.env["STACKS_API_KEY"] = emulator.new_key(scopes=scopes)
    stack.up(quiet_afterwards=False)

    assert "containers:delete" in stack.destroy_fails("--ignore-protect").text

    assert emulator.state.names() == ["data"]


def do(stack: Stack, emulator: Emulator, key: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `pulumi do` on containers, without a stack; it may succeed or fail."""
    plugin = str(Path(sys.prefix) / "bin" / "pulumi-resource-stacks")
    # The stack's configuration is not read.
    environment = {**stack.env, "STACKS_API_KEY": key, "STACKS_BASE_URL": emulator.url}
    return subprocess.run(
        ["pulumi", "do", "--package", plugin, "--stateless", "stacks:index:Container", *arguments, "--yes"],
        cwd=stack.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_do_needs_no_program_and_the_key_alone_limits_it(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    stack.program(PROTECTED)
    stack.up(quiet_afterwards=False)
    protected = stack.resources()["data"]["id"]
    new = tmp_path / "new.pcl"
    new.write_text('name = "miner"\ntemplate = "nodejs"\nplan = "premium"\n', encoding="utf-8")
    # For YAML the engine downloads a converter.
    create = ("create", "--input", "pcl", "--input-file", str(new))
    reader = emulator.new_key(scopes=["containers:read"])
    worker = emulator.new_key(scopes=["containers:read", "containers:create"], spending_cap=5)

    assert "containers:create" in do(stack, emulator, reader, *create).stderr
    assert "spending cap" in do(stack, emulator, worker, *create).stderr
    assert "containers:delete" in do(stack, emulator, worker, "delete", protected).stderr
    assert emulator.state.names() == ["data"]

    # With the full key, it creates containers that a policy would refuse, and deletes protected ones.
    for arguments in (create, ("delete", protected)):
        done = do(stack, emulator, emulator.key, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert emulator.state.names() == ["miner"]
    refused = do(stack, emulator, emulator.key, *create, "--policy-pack", "any")
    assert "unknown flag: --policy-pack" in refused.stderr
