"""How does the engine start the policy packs of a gate?"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stacks_pulumi._pulumi_cli import read_project
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.gate.settings import GatePack

PYTHON: Final = sys.executable
"""The Python interpreter that runs packs if the language host cannot run them."""

_HOST: Final = "pulumi-analyzer-policy-python"
"""The command next to an engine whose language host can start packs in Python."""


def options_of(packs: Sequence[GatePack], scratch: Path) -> list[str]:
    """
    Return the engine's options that start policy packs. `scratch` is a folder for scripts and configurations.

    Raises:
        ConfigError: A pack has no readable `PulumiPolicy.yaml`.
    """
    words: list[str] = []
    for number, pack in enumerate(packs):
        config = pack.config
        if config is None:
            # The engine assigns configurations to packs by their position.
            config = scratch / "no-configuration.json"
            config.write_text("{}", encoding="utf-8")
        start = _start_of(pack.path, scratch / f"pack-{number}-{pack.path.name}")
        words += ["--policy-pack", str(start), "--policy-pack-config", str(config)]
    return words


def is_plain_python(pack: Path) -> bool:
    """
    Return whether any Python interpreter can run a pack: it is written in Python and sets no options.

    Raises:
        ConfigError: The pack has no readable `PulumiPolicy.yaml`.
    """
    files = (pack / f"PulumiPolicy.{ending}" for ending in ("yaml", "yml", "json"))
    runtime = read_project(next((one for one in files if one.is_file()), pack)).get("runtime")
    name, options = (
        (runtime.get("name"), runtime.get("options")) if isinstance(runtime, dict) else (runtime, None)
    )
    if not name:
        raise ConfigError(
            f"{pack} is not a policy pack: it has no PulumiPolicy.yaml with a runtime", code="invalid-file"
        )
    return bool(name == "python" and not options)


def _start_of(pack: Path, script: Path) -> Path:
    """Return the path that the engine starts: the pack, or a script if the language host cannot start it."""
    if not is_plain_python(pack) or shutil.which(_HOST):
        return pack
    words = shlex.join([PYTHON, "-u", "-m", "pulumi.policy"])
    # The first argument of the script is the engine's address.
    script.write_text(f'#!/bin/sh\ncd {shlex.quote(str(pack))} && exec {words} "$1" .\n', encoding="utf-8")
    script.chmod(0o700)
    return script
