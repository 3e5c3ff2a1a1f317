"""
The engine is interrupted or killed, or the provider is: the account, the state and the next run afterwards.

A surviving provider rolls back what it created. Without one, the next run reports what exists and how to continue.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.hosts.plugin.message_spelling import in_camel_case
from tests.chaos.account import holdings
from tests.support.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.real_processes]

WEB = 'web = stacks.Container("web", template="nodejs")\n'
HOSTS = {"dynamic": "pulumi.dynamic", "native": "pulumi-resource-stacks"}
"""A text in the command line of each host's processes."""
PROGRAMS = {
    "container": WEB,
    "backup": f'{WEB}stacks.PinnedBackup("backup", container=web)\n',
    "connection": (
        f'{WEB}db = stacks.Container("orders-db", template="postgresql")\n'
        'stacks.Connection("orders", source=web, target=db)\n'
    ),
}
STARTS = {
    "container": "containers.create",
    "backup": "backups.trigger",
    "connection": "connections.create",
}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    """The host of the program's resources."""
    kind: str = request.param
    return kind


@pytest.fixture
def stack(host: str, emulator: Emulator, make_stack: Callable[..., Stack]) -> Stack:
    """A stack whose programs may also use the native types."""
    made = make_stack(emulator)
    made.native()
    return made


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator in which only the operation to interrupt is slow."""
    what = (
        request.node.callspec.params.get("what", "container")
        if hasattr(request.node, "callspec")
        else "container"
    )
    slow = {"container": "boot_seconds", "backup": "backup_seconds", "connection": "action_seconds"}[what]
    with Emulator(**{slow: 3.0}) as api:  # type: ignore[arg-type]  # one of the float options
        yield api


def test_an_interrupted_engine_stores_operations_in_progress(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    process = _in_the_middle(stack, emulator, "container", host)

    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "update canceled" in text
    assert set(stack.resources()) == {"web"}
    assert stack.up(quiet_afterwards=False).changes == {}
    _destroy(stack, emulator)


@pytest.mark.parametrize("what", PROGRAMS)
def test_an_engine_interrupted_twice_leaves_no_orphan(
    stack: Stack, emulator: Emulator, what: str, host: str
) -> None:
    process = _in_the_middle(stack, emulator, what, host)

    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    _known(stack, emulator, what)
    result = stack.up()
    assert any("interrupted while creating" in line for line in result.warnings)
    _destroy(stack, emulator)


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_create_of_a_killed_engine_is_rolled_back_and_repeated(
    stack: Stack, emulator: Emulator, what: str, host: str
) -> None:
    process = _in_the_middle(stack, emulator, what, host)

    _kill(process)
    _until(lambda: not _providers(process), "the provider ended, after the rollback")

    _known(stack, emulator, what)
    assert "locked" in stack.up_fails().text
    stack.cli("cancel", "--yes")
    result = stack.up()
    assert any("interrupted while creating" in line for line in result.warnings)
    _destroy(stack, emulator)


def test_a_create_of_a_killed_provider_is_adopted(stack: Stack, emulator: Emulator, host: str) -> None:
    process = _in_the_middle(stack, emulator, "container", host)

    for pid in _providers(process):
        os.kill(pid, signal.SIGKILL)
    text, _ = process.communicate(timeout=60)

    assert process.returncode != 0
    assert emulator.key not in text
    assert stack.resources() == {}
    _take_over(stack, emulator, host)


def test_a_create_of_killed_engine_and_provider_is_adopted(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    process = _in_the_middle(stack, emulator, "container", host)

    providers = _providers(process)
    _kill(process)
    for pid in providers:
        os.kill(pid, signal.SIGKILL)

    stack.cli("cancel", "--yes")
    assert [pending["type"] for pending in _pending(stack)] == ["creating"]
    stack.cli("refresh", "--yes", "--skip-preview", "--clear-pending-creates")
    assert _pending(stack) == []
    _take_over(stack, emulator, host)


def _take_over(stack: Stack, emulator: Emulator, host: str) -> None:
    """Do exactly what the error says."""
    (container,) = holdings(emulator)
    (error,) = [line for line in stack.up_fails().errors if "exists already" in line]
    assert container in error
    python = 'stacks.Container("web", ..., adopt="if_matching")'
    assert (python if host == "dynamic" else in_camel_case(python)) in error
    stack.program('stacks.Container("web", template="nodejs", adopt="if_matching")', host=host)
    result = stack.up()
    assert result.steps("web") == ["create"]
    assert emulator.calls("containers.create") == 1
    assert stack.resources()["web"]["id"] == container
    _destroy(stack, emulator)


def _in_the_middle(stack: Stack, emulator: Emulator, what: str, host: str) -> subprocess.Popen[str]:
    """Start an `up`, and return once it waits for the object that it creates."""
    stack.program(PROGRAMS[what], host=host)
    process = stack.start("up", "--yes", "--skip-preview")
    _until(lambda: emulator.calls(STARTS[what]) > 0, "the creation was requested")
    # By then the response has arrived, and the provider waits.
    time.sleep(1.0)
    return process


def _kill(engine: subprocess.Popen[str]) -> None:
    engine.kill()
    engine.wait(timeout=10)
    # Its children keep the pipe open, so reading to its end would block.
    assert engine.stdout is not None
    engine.stdout.close()


def _known(stack: Stack, emulator: Emulator, what: str) -> None:
    """Wait until the account equals the state."""
    kept = {resource["id"] for resource in stack.resources().values()}
    if what == "backup":
        # The rollback leaves the backup unpinned, so the platform deletes it after a week.
        _until(lambda: emulator.calls("backups.unpin") > 0, "the backup was left to the clean-up")
        assert not any(backup.pinned for backup in emulator.state.backups.values())
        kept |= {f"{backup.container_id}/{backup.id}" for backup in emulator.state.backups.values()}
    _until(lambda: holdings(emulator) == kept, "the account equals the state")


def _destroy(stack: Stack, emulator: Emulator) -> None:
    stack.destroy()
    assert holdings(emulator) == set()
    assert emulator.key not in stack.export() + stack.said()


def _pending(stack: Stack) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(stack.export())["deployment"].get("pending_operations") or []
    return found


def _providers(engine: subprocess.Popen[str]) -> list[int]:
    """Return the provider processes of an engine, also after its end."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            # The process has ended meanwhile.
            continue
        if session == engine.pid and any(_is_host(argument) for argument in command):
            found.append(int(folder.name))
    return found


def _is_host(argument: bytes) -> bool:
    return Path(argument.decode(errors="replace")).name in HOSTS.values()


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)
