"""Projects in other languages, with the SDKs that are generated from the schema."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stacks_pulumi.emulator import Emulator
from tests.support.forked import commands
from tests.support.node import needs, node_folder, run
from tests.support.stack import Stack
from tools.engine import pins
from tools.schema import written_samples

__all__ = ["examples", "go_module", "imports", "lives", "names", "node_modules", "project_file"]

ROOT: Final = Path(__file__).resolve().parents[2]

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GO_MOD: Final = """\
module tests

go 1.25.0

require (
\tgithub.com/pulumi/pulumi/sdk/v3 v{oldest}
\tstacks-pulumi/sdk/go v0.0.0
)

replace stacks-pulumi/sdk/go => {sdk}
"""


def examples(language: str) -> Iterator[tuple[str, str]]:
    """Return every kind with its sample in a language, from the schema's descriptions."""
    for kind, sample in written_samples().items():
        (text,) = (text for name, text in _BLOCK.findall(sample) if name == language)
        yield kind, text


def project_file(runtime: str) -> str:
    """Return a `Pulumi.yaml` for this environment's plugin, which is forked like the other processes of the test."""
    plugin = f"{{name: stacks, path: {json.dumps(str(commands.folder()))}}}"
    return f"name: tests\nruntime: {runtime}\nplugins:\n  providers: [{plugin}]\n"


def node_modules(sdk: Path) -> Path:
    """Compile the SDK for TypeScript, and return a packages folder that contains it."""
    packages = node_folder(ROOT / "tests" / "engine" / "node") / "node_modules"
    modules = sdk / "node_modules"
    modules.symlink_to(packages)
    run(packages / ".bin" / "tsc", cwd=sdk)
    # The folder for publishing.
    shutil.copy(sdk / "package.json", sdk / "bin")
    together = sdk.parent / "npm" / "node_modules"
    together.mkdir(parents=True)
    for entry in packages.iterdir():
        (together / entry.name).symlink_to(entry)
    (together / "stacks-pulumi").symlink_to(sdk / "bin")
    return together


def go_module(sdk: Path) -> Path:
    """Return the folder of a Go module with the SDK, all examples and the downloaded dependencies."""
    needs("go")
    folder = sdk.parent / "go-module"
    folder.mkdir()
    (folder / "go.mod").write_text(_GO_MOD.format(sdk=sdk, oldest=pins.OLDEST), encoding="utf-8")
    for kind, text in examples("go"):
        (folder / kind).mkdir()
        (folder / kind / "main.go").write_text(text, encoding="utf-8")
    run("go", "mod", "tidy", cwd=folder, GOWORK="off")
    return folder


def lives(stack: Stack, emulator: Emulator) -> None:
    """
    Check the life of a program from its preview to its destruction.

    The program creates a database, an app with external access, an allowed address and a connection, and reads the
    status.
    """
    preview = stack.preview()
    assert emulator.calls() == 0
    assert preview.changes == {"create": 5}
    assert "2 containers in this preview: $8.00 a month" in preview.text

    assert stack.up().changes == {"create": 5}
    outputs = stack.outputs()
    assert outputs["url"].endswith(".stackshosting.cloud")
    assert (outputs["price"], outputs["status"], outputs["environment"]) == (4, "running", "[secret]")
    assert names(emulator) == {"app", "orders-db"}

    stack.refresh()
    emulator.drift.set_external_access("app", enabled=False)
    # Without external access, an allowed address cannot exist.
    assert stack.refresh(drift=True).changes == {"update": 1, "delete": 1}
    mended = stack.up()
    assert (mended.steps("app"), mended.steps("office")) == (["update"], ["create"])
    stack.destroy()
    assert names(emulator) == set()


def imports(stack: Stack, emulator: Emulator, file: str) -> str:
    """Import a container that was created by hand; return its code, with which an `up` is a no-op."""
    emulator.load([{"name": "web", "template": "nodejs", "plan": "standard"}])
    stack.cli("import", "stacks:index:Container", "web", f"{emulator.account}-web", "--yes", "--out", file)

    assert stack.resources()["web"]["outputs"]["plan"] == "standard"
    assert stack.up(quiet_afterwards=False).changes == {}
    stack.refresh()
    assert [it.method for it in emulator.requests if it.method != "GET"] == []
    return (stack.folder / file).read_text(encoding="utf-8")


def names(emulator: Emulator) -> set[str]:
    """Return the names of the containers in the account."""
    emulator.advance(1)
    return {container.name for container in emulator.state.containers.values()}
