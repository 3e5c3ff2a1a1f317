"""
How long does `stacks-pulumi account` take, depending on the number of stacks and the backend?

    python tests/bench/stacks.py --stacks 50 300

Each stack has four containers. The backends are those of the tests; the slow network delays each direction by 100 ms,
so that a request takes 0.2 s. This program prints a table in Markdown and writes no file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from stacks_pulumi.emulator import Emulator
from tests.support.backends import BACKENDS, Backend, Network, write
from tools.engine.ensure import ensure

_CONTAINERS = 4


def state(project: str, containers: list[dict[str, Any]]) -> bytes:
    """Return the state of a stack that owns containers, as the engine writes it."""
    kind = "pulumi-python:dynamic/stacks:Container"
    rows = [
        {
            "urn": f"urn:pulumi:dev::{project}::{kind}::{one['name']}",
            "custom": True,
            "id": one["id"],
            "type": kind,
            "inputs": {"name": one["name"], "template": "nodejs"},
            "outputs": {"created_at": one["created_at"], "environment": {"PAD": "x" * 2000}},
        }
        for one in containers
    ]
    latest = {"manifest": {"time": "2026-11-30T12:00:00Z"}, "resources": rows, "pending_operations": None}
    checkpoint = {"stack": f"organization/{project}/dev", "latest": latest}
    return json.dumps({"version": 3, "checkpoint": checkpoint}).encode()


@contextlib.contextmanager
def backends(name: str) -> Iterator[Backend]:
    """Run a backend; `file` is a folder."""
    if name != "file":
        with BACKENDS[name](0.0) as backend:
            yield backend
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Backend(f"file://{folder}", {}, "", Network(Path(folder, "none")))


def say(line: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, nargs="+", default=[50, 300])
    parser.add_argument("--backends", nargs="+", default=["file", *BACKENDS])
    options = parser.parse_args()
    say("| Backend | Network | Stacks | Seconds |\n|---|---|---|---|")
    for name in options.backends:
        for stacks in options.stacks:
            with backends(name) as backend, Emulator() as emulator:
                fill(backend, emulator, stacks)
                for milliseconds in (0,) if name == "file" else (0, 100):
                    backend.network.seconds = milliseconds / 1000
                    took = account(backend, emulator, stacks)
                    say(f"| {name} | {milliseconds} ms each way | {stacks} | {took:.1f} |")


def fill(backend: Backend, emulator: Emulator, stacks: int) -> None:
    """Write the states."""
    names = [f"web-{number}" for number in range(stacks * _CONTAINERS)]
    emulator.load([{"name": name, "template": "nodejs"} for name in names])
    login = {"Authorization": f"Bearer {emulator.key}"}
    answer = requests.get(f"{emulator.url}/containers", headers=login, timeout=60)
    containers = answer.json()["data"]
    write(backend, {".pulumi/meta.yaml": b"version: 1\n"})
    objects = {}
    for number in range(stacks):
        mine = containers[number * _CONTAINERS :][:_CONTAINERS]
        objects[f".pulumi/stacks/p{number}/dev.json"] = state(f"p{number}", mine)
        objects[f".pulumi/stacks/p{number}/dev.json.bak"] = b"{}"
    write(backend, objects)


def account(backend: Backend, emulator: Emulator, stacks: int) -> float:
    """Return the duration of the command, which must find all containers."""
    variables: Mapping[str, Any] = {
        **os.environ,
        **backend.variables,
        "PATH": os.pathsep.join([str(ensure(yaml=False).bin), os.environ["PATH"]]),
        "PULUMI_BACKEND_URL": backend.url,
        "STACKS_API_KEY": emulator.key,
        "STACKS_BASE_URL": emulator.url,
    }
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        command = [sys.executable, "-m", "stacks_pulumi", "account", "--json"]
        done = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False)
        took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr + done.stdout[-3000:]
    seen = json.loads(done.stdout)
    assert len(seen["totals"]["stacks"]) == stacks
    assert {one["ownership"] for one in seen["containers"]} == {"owned"}
    return took


if __name__ == "__main__":
    main()
