"""How long does `stacks-pulumi account` take, depending on the number of stacks and the backend?"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from stacks_pulumi.emulator import Emulator
from tests.bench.run import FailedError
from tests.support.backends import BACKENDS, Backend, Network, write
from tools.engine.ensure import ensure

CONTAINERS: Final = 4
"""The number of containers in each stack."""
COUNTS: Final = (50, 300)
"""The numbers of stacks in a whole run."""
DELAY_MS: Final = 100
"""The delay of each direction on the slow network, so that a request takes twice as long."""


@dataclass(frozen=True)
class AccountRow:
    """
    The time of one command.

    Attributes:
        backend: The name of the backend.
        delay_ms: The delay of each direction of its network in milliseconds.
        stacks: The number of stacks.
        seconds: The time of the command.
    """

    backend: str
    delay_ms: int
    stacks: int
    seconds: float


def run(counts: Sequence[int], say: Callable[[str], None]) -> Iterator[AccountRow]:
    """
    Yield the time for each backend, network and number of stacks.

    Args:
        counts: The numbers of stacks.
        say: It is told which backends this machine does not have.

    Raises:
        FailedError: The command failed, or did not find all stacks and containers.
    """
    for name in ("file", *BACKENDS):
        try:
            for stacks in counts:
                with backends(name) as backend, Emulator() as emulator:
                    fill(backend, emulator, stacks)
                    for delay_ms in (0,) if name == "file" else (0, DELAY_MS):
                        backend.network.seconds = delay_ms / 1000
                        yield AccountRow(name, delay_ms, stacks, account(backend, emulator, stacks))
        except pytest.skip.Exception as missing:
            say(f"`account` is not measured on {name}: {missing}")


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


def fill(backend: Backend, emulator: Emulator, stacks: int) -> None:
    """Write the states."""
    names = [f"web-{number}" for number in range(stacks * CONTAINERS)]
    emulator.load([{"name": name, "template": "nodejs"} for name in names])
    login = {"Authorization": f"Bearer {emulator.key}"}
    answer = requests.get(f"{emulator.url}/containers", headers=login, timeout=60)
    containers = answer.json()["data"]
    write(backend, {".pulumi/meta.yaml": b"version: 1\n"})
    objects = {}
    for number in range(stacks):
        mine = containers[number * CONTAINERS :][:CONTAINERS]
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
    if done.returncode != 0:
        raise FailedError(f"`account` of {stacks} stacks failed:\n{done.stderr}{done.stdout[-2000:]}")
    seen = json.loads(done.stdout)
    owned = [one for one in seen["containers"] if one["ownership"] == "owned"]
    if (len(seen["totals"]["stacks"]), len(owned)) != (stacks, stacks * CONTAINERS):
        raise FailedError(f"`account` of {stacks} stacks found {len(owned)} owned containers")
    return took
