"""
The language host of YAML programs: equipment for the tests that run one.

An installed Pulumi has it beside the engine. A built engine lacks it, so it is built too, by the first test that asks.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.engine import pins
from tools.engine.build import compile_binary, explain, find_go, object_files
from tools.engine.engine import EngineUnavailableError, is_executable
from tools.engine.ensure import ensure
from tools.engine.lock import alone
from tools.engine.run import CommandFailedError
from tools.engine.say import say

__all__ = ["yaml_host"]

PACKAGE = "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"


def yaml_host() -> Path:
    """
    Return the folder with the language host, which is built on first use (about 3 minutes).

    Raises:
        EngineUnavailableError: It is not there, and cannot be built.
    """
    beside = ensure().bin / pins.YAML_HOST
    if is_executable(beside):
        return beside.parent
    folder = pins.cache() / f"yaml-host-{pins.YAML_VERSION}"
    target = folder / pins.YAML_HOST
    with alone(pins.cache() / f"{folder.name}.lock", "getting the YAML language host"):
        if is_executable(target):
            return folder
        say(f"building {pins.YAML_HOST} with Go; this is done once and takes about 3 minutes.")
        folder.mkdir(parents=True, exist_ok=True)
        log = pins.cache() / f"{folder.name}.log"
        log.write_bytes(b"")
        unfinished = folder / f".{pins.YAML_HOST}"
        try:
            compile_binary(find_go(), "yaml_host", PACKAGE, unfinished, log=log)
        except CommandFailedError as error:
            raise EngineUnavailableError(explain(error.output, log)) from None
        unfinished.replace(target)
        shutil.rmtree(object_files(), ignore_errors=True)
    return folder
