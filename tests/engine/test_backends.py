"""
A stack whose state is in a bucket or in PostgreSQL, behind a slow network: its life, a killed update, the commands.

`tests/support/backends.py` runs the servers on this machine. `tests/broker/test_workflow.py` tests a change through a
gate and a broker on these backends.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from stacks_pulumi.emulator import Emulator
from tests.chaos.account import answer_was_read, holdings
from tests.engine.test_interruptions import provider_processes
from tests.support.backends import BACKENDS, Backend, move, write
from tests.support.stack import Stack
from tests.support.waiting import until

# The first run on a machine also builds the S3 server.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.chaos, pytest.mark.timeout(1800)]

SECONDS: Final = 0.05
"""The delay of each direction, so that a request takes 100 ms."""
DAY: Final = 86_400.0
"""An update that is under way for so long does not end while a slow machine runs the other commands."""
WEB: Final = 'stacks.Container("web", template="nodejs")\n'
_TIMES: Final = "pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create='48h'))"
NEW: Final = f'stacks.Container("new", template="redis", opts={_TIMES})\n'
ADOPTED: Final = 'stacks.Container("new", template="redis", adopt="if_matching")\n'


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A backend behind a slow network."""
    with BACKENDS[request.param](SECONDS) as running:
        yield running


class Commands:
    """The commands in the folder of a stack."""

    def __init__(self, stack: Stack, password: str) -> None:
        self._stack, self._password = stack, password

    def run(self, *words: str, code: int) -> str:
        """Return the output of a command, which must end with this code."""
        done = self._stack.python("-m", "stacks_pulumi", *words)
        assert done.returncode == code, done.stdout + done.stderr
        assert self._password not in done.stdout + done.stderr
        return done.stdout

    def account(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Return the report. No command may read a state for it."""
        data: dict[str, Any] = json.loads(self.run("account", "--json", *words, code=code))
        assert not [note for note in data["notes"] if "command" in note]
        return data

    def lock(self, code: int) -> dict[str, str]:
        """Return the doctor's finding about the lock."""
        checks = json.loads(self.run("doctor", "--json", code=code))["checks"]
        (found,) = [one for one in checks if one["check"] == "lock"]
        return dict(found)


def owners(data: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["ownership"] for one in data["containers"]}


def test_a_stack_lives_and_survives_a_killed_update(
    backend: Backend, emulator: Emulator, tmp_path: Path
) -> None:
    stack = Stack.of(emulator, tmp_path / "stack")
    move(stack, backend)
    commands = Commands(stack, backend.password)

    # Its life.
    stack.program(WEB)
    assert stack.up().steps("web") == ["create"]
    assert stack.preview().changes == {}
    stack.refresh()
    state = tmp_path / "state.json"
    state.write_text(stack.cli("stack", "export"), encoding="utf-8")
    stack.cli("stack", "import", "--file", str(state))
    stack.cli("stack", "rename", "renamed")
    stack.cli("stack", "rename", "dev")
    assert len(json.loads(stack.cli("stack", "history", "--json"))) > 2
    assert owners(commands.account("--children", "--fail-on", "orphans,double,missing")) == {"web": "owned"}
    assert commands.lock(code=0)["level"] == "ok"

    # Other stacks: on PostgreSQL, their list waited forever with more than one reader.
    write(
        backend,
        {f".pulumi/stacks/p{number}/dev.json": b'{"version": 3, "checkpoint": {}}' for number in range(6)},
    )
    listing = (
        "from stacks_pulumi._pulumi_cli import run; print(run(['stack', 'ls', '--all', '--json']).decode())"
    )
    assert len(json.loads(stack.python("-c", listing).stdout)) == 7
    assert len(commands.account("--project", "tests", "--fail-on", "double,missing")["totals"]["stacks"]) == 1

    # During an update, a second update fails, and no container is reported as an orphan.
    emulator.set_pace(boot_seconds=DAY)
    stack.program(WEB + NEW)
    with stack.real_processes():
        engine = stack.start("up", "--yes", "--skip-preview")
        until(
            lambda: (
                emulator.calls("containers.create") == 2 and answer_was_read(emulator, "containers.create")
            ),
            alive=lambda: engine.poll() is None,
        )
    assert "locked" in stack.up_fails().text
    said = commands.account("--fail-on", "orphans", code=1)
    assert [(one["stack"], one["cause"]) for one in said["unread"]] == [("tests/dev", "locked")]
    assert f"(process {engine.pid})" in said["reason"]
    assert owners(said)["web"] == "owned"
    found = commands.lock(code=1)
    assert (found["level"], f"(process {engine.pid})" in found["text"]) == ("problem", True)

    # The engine and the provider are killed: a container is in no state, and the stack is locked.
    hosts = provider_processes(engine)
    for pid in hosts:
        os.kill(pid, signal.SIGSTOP)
    engine.kill()
    engine.communicate()
    for pid in hosts:
        os.kill(pid, signal.SIGKILL)
    emulator.set_pace(boot_seconds=1)
    emulator.advance(DAY)
    assert commands.account("--fail-on", "orphans", code=1)["unread"][0]["cause"] == "locked"
    stack.cli("cancel", "--yes")
    said = commands.account("--fail-on", "orphans", code=2)
    assert owners(said) == {"new": "interrupted", "web": "owned"}
    assert said["failed"] == ["1 object that an interrupted create may have created (--fail-on orphans)"]
    assert commands.lock(code=0)["level"] == "warning"
    stack.program(WEB + ADOPTED)
    stack.up()
    assert owners(commands.account("--fail-on", "orphans,double,missing")) == {"new": "owned", "web": "owned"}

    # The container that was created by hand is adopted.
    answer = requests.post(
        f"{emulator.url}/containers",
        json={"name": "by-hand", "template": "nodejs"},
        headers={"Authorization": f"Bearer {emulator.key}"},
        timeout=60,
    )
    answer.raise_for_status()
    commands.run("scaffold", "--out", "taken", code=0)
    taken = (stack.folder / "taken" / "__main__.py").read_text(encoding="utf-8")
    assert "by-hand" in taken
    assert '"web"' not in taken

    stack.destroy()
    stack.cli("stack", "rm", "dev", "--yes")
    assert len(holdings(emulator)) == 1
    assert backend.password not in stack.said()
