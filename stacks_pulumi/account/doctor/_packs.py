"""Check of policy packs: starts each as the engine does, until it listens or fails."""

from __future__ import annotations

import contextlib
import os
import queue
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from stacks_pulumi.account.doctor.diagnosis import Diagnosis, ok, problem, unknown, warning
from stacks_pulumi.account.doctor.facts import Facts

__all__ = ["PACK_FILE", "packs"]

PACK_FILE: Final = "PulumiPolicy.yaml"

_SECONDS: Final = 60.0
_NO_ENGINE: Final = "127.0.0.1:1"
"""The engine address that a pack gets. The pack does not call the engine before it has resources to check."""


def packs(facts: Facts) -> Iterator[Diagnosis]:
    """Check that each policy pack loads: those on the command line, and those in a folder of the project."""
    found = facts.known_packs
    if not found:
        yield ok("packs", "no policy pack is in the project, and none was named with --policy-pack")
    for folder in found:
        # A pack that is not on the command line may be unused.
        named = folder in facts.packs
        yield from _pack(facts, folder, named=named)


def _pack(facts: Facts, folder: Path, *, named: bool) -> Iterator[Diagnosis]:
    worse = problem if named else warning
    file = folder / PACK_FILE
    try:
        project = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield worse(
            "packs", f"{folder} is no policy pack: it has no {PACK_FILE}", "name the folder of the pack"
        )
        return
    except (OSError, ValueError, yaml.YAMLError) as error:
        yield worse("packs", f"{file} cannot be read: {_one_line(str(error))}", "correct the file")
        return
    runtime = project.get("runtime") if isinstance(project, dict) else None
    name = runtime.get("name") if isinstance(runtime, dict) else runtime
    if name != "python":
        yield unknown(
            "packs", f"{folder} was not loaded: its runtime is {name!r}, and only Python packs are checked"
        )
        return
    interpreter = _interpreter(facts, folder, runtime)
    failure = _load(interpreter, folder)
    if failure is None:
        yield ok("packs", f"{folder} loads")
    else:
        requirements = folder / "requirements.txt"
        fix = (
            shlex.join([interpreter, "-m", "pip", "install", "-r", str(requirements)])
            if "No module named" in failure and requirements.is_file()
            else f"correct the code in {folder}, or install what it imports"
        )
        yield worse("packs", f"{folder} does not load: {failure}", fix)


def _interpreter(facts: Facts, folder: Path, runtime: Any) -> str:
    options = runtime.get("options") if isinstance(runtime, Mapping) else None
    named = options.get("virtualenv") if isinstance(options, Mapping) else None
    own, program = folder / str(named), Path(facts.versions.where)
    if named is not None and (own / "bin/python").is_file():
        return str(own / "bin/python")
    if str(program) != sys.prefix and (program / "bin/python").is_file():
        return str(program / "bin/python")
    return sys.executable


def _load(interpreter: str, folder: Path) -> str | None:
    """Start a pack. Return `None` once it listens, otherwise its error in one line."""
    command = [interpreter, "-u", "-m", "pulumi.policy", _NO_ENGINE, "."]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    try:
        process = subprocess.Popen(  # noqa: S603  (the user's pack, as the engine runs it)
            command,
            cwd=folder,
            env=environ,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        return f"{interpreter} does not start: {error.strerror}"
    with process:
        try:
            first = _first_line(process)
        finally:
            process.kill()
        if first.strip().isdigit():
            return None
        said = process.stderr.read() if process.stderr is not None else ""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return _one_line(lines[-1]) if lines else "it ended without listening, and without an error"


def _first_line(process: subprocess.Popen[str]) -> str:
    """Return the first line of standard output, which is the port; empty if the process ends or takes too long."""
    lines: queue.Queue[str] = queue.Queue()
    output = process.stdout

    def read() -> None:
        lines.put("" if output is None else output.readline())

    threading.Thread(target=read, daemon=True).start()
    with contextlib.suppress(queue.Empty):
        return lines.get(timeout=_SECONDS)
    return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
