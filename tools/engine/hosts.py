"""
The language hosts that a built engine lacks, and code generation: what `make sdk` and tests in other languages need.

An installed Pulumi has all of it beside the engine. For a built engine it is built too, by the first caller.

    python3 tools/engine/hosts.py      print the folder of the hosts for TypeScript, Go and Python
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

if not __package__:
    # Run as a script: this folder would come first on the path, where its modules could hide others.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.engine import pins
from tools.engine.build import compile_binary, explain, find_go, object_files
from tools.engine.engine import Engine, EngineUnavailableError, is_executable
from tools.engine.ensure import ensure
from tools.engine.lock import alone
from tools.engine.run import CommandFailedError
from tools.engine.say import say

__all__ = ["code_hosts", "yaml_host"]

YAML_PACKAGE = "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"
OLDER_PACKAGES = {
    pins.NODEJS_HOST: "github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs",
    pins.GO_HOST: "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go",
}
OLDER = "older"
"""Where `modules/code_generation` looks for the hosts that it starts."""

Build = Callable[[Engine, Path, Path], None]
"""Builds into a folder, with the output in a log."""


def yaml_host() -> Path:
    """
    Return the folder with the language host for YAML, which is built on first use (about 3 minutes).

    Raises:
        EngineUnavailableError: It is not there, and cannot be built.
    """
    return _obtain(f"yaml-host-{pins.YAML_VERSION}", (pins.YAML_HOST,), _build_yaml)


def code_hosts() -> Path:
    """
    Return the folder with the hosts for TypeScript, Go and Python, which are built on first use (about 4 minutes).

    They also generate SDKs and, for `pulumi import`, programs.

    Raises:
        EngineUnavailableError: They are not there, and cannot be built.
    """
    sources = [
        path for module in ("code_generation", "older_hosts") for path in (pins.MODULES / module).iterdir()
    ]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:12]
    return _obtain(f"code-hosts-{digest}", (*OLDER_PACKAGES, pins.LANGUAGE_HOST), _build_code)


def _obtain(name: str, hosts: tuple[str, ...], build: Build) -> Path:
    """Return the folder that has all `hosts`: the engine's, or one in the cache that is made whole or not at all."""
    engine = ensure()
    folder = pins.cache() / name
    for place in (engine.bin, folder):
        if _has(place, hosts):
            return place
    # One lock for all of them: they share Go's object files, which the one that is done removes.
    with alone(pins.cache() / "hosts.lock", "building language hosts"):
        if _has(folder, hosts):
            return folder
        say(f"building {', '.join(hosts)} with Go; this is done once and takes about 4 minutes.")
        work = pins.cache() / f".making-{name}"
        for leftover in (folder, work):
            shutil.rmtree(leftover, ignore_errors=True)
        work.mkdir(parents=True)
        log = pins.cache() / f"{name}.log"
        log.write_bytes(b"")
        try:
            build(engine, work, log)
        except CommandFailedError as error:
            raise EngineUnavailableError(explain(error.output, log)) from None
        work.rename(folder)
        shutil.rmtree(object_files(), ignore_errors=True)
    return folder


def _has(folder: Path, hosts: tuple[str, ...]) -> bool:
    return all(is_executable(folder / name) for name in hosts)


def _build_yaml(_engine: Engine, work: Path, log: Path) -> None:
    compile_binary(find_go(), "yaml_host", YAML_PACKAGE, work / pins.YAML_HOST, log=log)


def _build_code(engine: Engine, work: Path, log: Path) -> None:
    go = find_go()
    older = work / OLDER
    older.mkdir()
    for name, package in OLDER_PACKAGES.items():
        compile_binary(go, "older_hosts", package, older / name, log=log)
    shutil.copy(engine.bin / pins.LANGUAGE_HOST, older)
    front = work / pins.LANGUAGE_HOST
    compile_binary(go, "code_generation", ".", front, log=log)
    # Its file name tells it the language.
    for name in OLDER_PACKAGES:
        os.link(front, work / name)


if __name__ == "__main__":
    try:
        print(code_hosts())
    except EngineUnavailableError as error:
        say(str(error))
        sys.exit(1)
