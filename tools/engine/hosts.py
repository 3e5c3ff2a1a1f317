"""
The language hosts for TypeScript and Go, and code generation, which a built engine does not contain: `make languages`.

An installed Pulumi has all of these files next to the engine. For a built engine, the first caller builds them. For C#,
only code generation is built, because its language host is not a Go module.

    python3 tools/engine/hosts.py      print the folders of the hosts and the engine, for PATH
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

if not __package__:
    # If Python runs this script, it puts this folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.engine import pins
from tools.engine.build import built_once, compile_binary, find_go
from tools.engine.engine import Engine, EngineUnavailableError, is_executable
from tools.engine.ensure import ensure
from tools.engine.say import say

__all__ = ["code_hosts"]

OLDER_PACKAGES = {
    pins.NODEJS_HOST: "github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs",
    pins.GO_HOST: "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go",
}
OLDER = "older"
"""The folder in which `modules/code_generation` finds the hosts that it starts."""


def code_hosts() -> Path:
    """
    Return the folder with the hosts for TypeScript, Go, Python and C#, which are built on first use (about 6 minutes).

    They also generate SDKs and programs.

    Raises:
        EngineUnavailableError: The hosts do not exist and cannot be built.
    """
    sources = [
        path for module in ("code_generation", "older_hosts") for path in (pins.MODULES / module).iterdir()
    ]
    engine, names = ensure(), (*OLDER_PACKAGES, pins.LANGUAGE_HOST, pins.DOTNET_HOST)
    if all(is_executable(engine.bin / name) for name in names):
        return engine.bin

    def make(work: Path, log: Path) -> None:
        _build(engine, work, log)

    return built_once("code-hosts", sorted(sources), make, what=", ".join(names), needs="about 6 minutes")


def _build(engine: Engine, work: Path, log: Path) -> None:
    go = find_go()
    older = work / OLDER
    older.mkdir()
    for name, package in OLDER_PACKAGES.items():
        compile_binary(go, "older_hosts", package, older / name, log=log)
    # The host for Python finds the launcher in its own folder.
    for name in (pins.LANGUAGE_HOST, pins.LAUNCHER):
        shutil.copy(engine.bin / name, older)
    front = work / pins.LANGUAGE_HOST
    compile_binary(go, "code_generation", ".", front, log=log)
    # The name of the file selects the language.
    for name in OLDER_PACKAGES:
        os.link(front, work / name)
    options = ["-tags=csharp", "-modfile=csharp.mod"]
    compile_binary(go, "code_generation", ".", work / pins.DOTNET_HOST, log=log, options=options)


if __name__ == "__main__":
    try:
        # An installed Pulumi has all hosts in one folder.
        print(*dict.fromkeys([code_hosts(), ensure().bin]), sep=os.pathsep)
    except EngineUnavailableError as error:
        say(str(error))
        sys.exit(1)
