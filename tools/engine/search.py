"""The first way: use an engine on PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tools.engine import pins
from tools.engine.engine import Engine, is_executable, load
from tools.engine.say import say

VERSION_SECONDS = 30


def search() -> Engine | None:
    """Return the engine on PATH, or None, with a message if an engine exists but cannot be used."""
    command = shutil.which(pins.CLI)
    if command is None:
        return None
    folder = Path(command).absolute().parent
    # Under `make test`, the engine on PATH is from this tool: its marker contains its origin.
    own = load(folder.parent)
    if own is not None and own.bin == folder:
        return own
    version = version_of(Path(command))
    if version is None:
        say(f"{command} does not print a version, so it is not used.")
        return None
    if numbers(version) < numbers(pins.OLDEST):
        say(f"{command} is version {version}, older than {pins.line(pins.OLDEST)}, so it is not used.")
        return None
    missing = [name for name in pins.COMPANIONS if not reachable(name, Path(command))]
    if missing:
        say(f"{command} has no {missing[0]} next to it or on PATH, so it is not used.")
        return None
    return Engine(folder, version, "path")


def version_of(command: Path) -> str | None:
    """Return the version of an engine, such as `3.259.0`."""
    try:
        answer = subprocess.run(
            [command, "version"],
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"^v?(\d+\.\d+\.\d+\S*)", answer.stdout, re.MULTILINE)
    return match and match[1]


def numbers(version: str) -> tuple[int, int]:
    """Return the major and the minor version."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def reachable(name: str, command: Path) -> bool:
    """Return whether the engine finds a companion program: on PATH, or in the folder of its real file."""
    beside = (command.absolute().parent, command.resolve().parent)
    return shutil.which(name) is not None or any(is_executable(folder / name) for folder in beside)
