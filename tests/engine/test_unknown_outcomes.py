"""
After a request with an unknown outcome, the provider reads the result, on the real engine: a lost response, a refused
retry.

`tests/host/test_fault_matrix.py` tests every operation with every fault.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.clock import fast_clock
from tests.support.stack import Stack
from tests.support.waiting import until

HOUR = 3600.0
WEB = 'web = stacks.Container("web", template="nodejs")\n'


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator; each test asserts that its faults fired."""
    with Emulator(boot_seconds=1, clock=fast_clock()) as api:
        yield api


def slow_deletion(emulator: Emulator, seconds: float) -> None:
    emulator.platform.refuse_repeated_delete = True
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, delete_seconds=seconds)


def test_a_destroy_after_a_kill_during_a_slow_deletion_succeeds(stack: Stack, emulator: Emulator) -> None:
    stack.program(WEB)
    stack.up(quiet_afterwards=False)
    slow_deletion(emulator, HOUR)
    with stack.real_processes():
        process = stack.start("destroy", "--yes", "--skip-preview")
        until(lambda: emulator.calls("containers.delete") > 0)

    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    stack.cli("cancel", "--yes")
    assert emulator.state.container("web").status == "deleting"
    emulator.advance(HOUR)
    stack.destroy()

    assert stack.resources() == {}
    assert emulator.state.containers == {}
