"""
The engine is interrupted or killed, or the provider is killed: the account, the state and the next run afterwards.

A surviving provider rolls back what it created. Without one, the next run reports what exists and how to continue.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.hosts.plugin.wire import in_camel_case
from tests.chaos.account import answer_was_read, holdings
from tests.support.clock import fast_clock
from tests.support.stack import Stack
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

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
# One protocol creates all kinds, so a change needs a test of one kind; `make test-all` tests the others.
KINDS = ["container", *(pytest.param(kind, marks=pytest.mark.extra) for kind in ("backup", "connection"))]
HOUR = 3600.0
STARTS = {
    "container": "containers.create",
    "backup": "backups.trigger",
    "connection": "connections.create",
}


@pytest.fixture(params=["dynamic", pytest.param("native", marks=pytest.mark.extra)])
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
    """An emulator in which the interrupted operation does not end before `_go_on`."""
    what = (
        request.node.callspec.params.get("what", "container")
        if hasattr(request.node, "callspec")
        else "container"
    )
    slow = {"container": "boot_seconds", "backup": "backup_seconds", "connection": "action_seconds"}[what]
    with Emulator(clock=fast_clock(), **{slow: HOUR}) as api:  # type: ignore[arg-type]  # one of the float options
        yield api


def test_an_interrupted_engine_stores_operations_in_progress(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    process = _in_the_middle(stack, emulator, "container", host)

    _interrupt(process)
    _go_on(emulator)
    text, _ = process.communicate()

    assert process.returncode != 0
    assert "update canceled" in text
    assert set(stack.resources()) == {"web"}
    assert stack.up(quiet_afterwards=False).changes == {}
    _destroy(stack, emulator)


# The provider does the same as after the engine is killed.
@pytest.mark.extra
@pytest.mark.parametrize("what", KINDS)
def test_an_engine_interrupted_twice_leaves_no_orphan(
    stack: Stack, emulator: Emulator, what: str, host: str
) -> None:
    process = _in_the_middle(stack, emulator, what, host)

    _interrupt(process)
    process.send_signal(signal.SIGINT)
    process.communicate()

    _known(stack, emulator, what)
    _go_on(emulator)
    result = stack.up(quiet_afterwards=False)
    assert any("interrupted while creating" in line for line in result.warnings)
    _destroy(stack, emulator)


@pytest.mark.parametrize("what", KINDS)
def test_a_create_of_a_killed_engine_is_rolled_back_and_repeated(
    stack: Stack, emulator: Emulator, what: str, host: str
) -> None:
    process = _in_the_middle(stack, emulator, what, host)

    _kill(process)
    # The provider ends after the rollback.
    until(lambda: not provider_processes(process))

    _known(stack, emulator, what)
    _go_on(emulator)
    assert "locked" in stack.up_fails().text
    stack.cli("cancel", "--yes")
    result = stack.up(quiet_afterwards=False)
    assert any("interrupted while creating" in line for line in result.warnings)
    _destroy(stack, emulator)


def test_a_create_of_a_killed_provider_is_adopted(stack: Stack, emulator: Emulator, host: str) -> None:
    process = _in_the_middle(stack, emulator, "container", host)

    for pid in provider_processes(process):
        os.kill(pid, signal.SIGKILL)
    text, _ = process.communicate()
    _go_on(emulator)

    assert process.returncode != 0
    assert emulator.key not in text
    assert stack.resources() == {}
    _take_over(stack, emulator, host)


def test_a_create_of_killed_engine_and_provider_is_adopted(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    process = _in_the_middle(stack, emulator, "container", host)

    providers = provider_processes(process)
    for pid in providers:
        # It would notice the end of the engine and delete the new object.
        os.kill(pid, signal.SIGSTOP)
    _kill(process)
    for pid in providers:
        os.kill(pid, signal.SIGKILL)
    _go_on(emulator)

    stack.cli("cancel", "--yes")
    assert [pending["type"] for pending in _pending(stack)] == ["creating"]
    stack.cli("refresh", "--yes", "--skip-preview", "--clear-pending-creates")
    assert _pending(stack) == []
    _take_over(stack, emulator, host)


def _take_over(stack: Stack, emulator: Emulator, host: str) -> None:
    """Follow the instructions of the error."""
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
    with stack.real_processes():
        process = stack.start("up", "--yes", "--skip-preview")
        until(lambda: answer_was_read(emulator, STARTS[what]), alive=lambda: process.poll() is None)
    return process


def _go_on(emulator: Emulator) -> None:
    """End the slow operation; later ones are quick."""
    emulator.set_pace(boot_seconds=1, backup_seconds=1, action_seconds=1)
    emulator.advance(HOUR)


def _interrupt(engine: subprocess.Popen[str]) -> None:
    """Interrupt the engine, and return once it has noticed that."""
    engine.send_signal(signal.SIGINT)
    assert engine.stdout is not None
    assert any("^C received" in line for line in engine.stdout)


def _kill(engine: subprocess.Popen[str]) -> None:
    engine.kill()
    engine.wait()
    # The engine's child processes keep the pipe open, so reading to its end would block.
    assert engine.stdout is not None
    engine.stdout.close()


def _known(stack: Stack, emulator: Emulator, what: str) -> None:
    """Wait until the account equals the state."""
    kept = {resource["id"] for resource in stack.resources().values()}
    if what == "backup":
        # The rollback leaves the backup unpinned, so the platform deletes it after a week.
        until(lambda: emulator.calls("backups.unpin"))
        assert not any(backup.pinned for backup in emulator.state.backups.values())
        kept |= {f"{backup.container_id}/{backup.id}" for backup in emulator.state.backups.values()}
    until(lambda: holdings(emulator) == kept)


def _destroy(stack: Stack, emulator: Emulator) -> None:
    stack.destroy()
    assert holdings(emulator) == set()
    assert emulator.key not in stack.export() + stack.said()


def _pending(stack: Stack) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(stack.export())["deployment"].get("pending_operations") or []
    return found


def provider_processes(engine: subprocess.Popen[str]) -> list[int]:
    """Return the provider processes of an engine, even after the engine's end."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            # The process has ended in the meantime.
            continue
        if session == engine.pid and any(_is_host(argument) for argument in command):
            found.append(int(folder.name))
    return found


def _is_host(argument: bytes) -> bool:
    return Path(argument.decode(errors="replace")).name in HOSTS.values()
