"""
After a request with unknown outcome the provider looks, on the real engine: a lost response, a refused retry.

`tests/host/test_fault_matrix.py` has every operation with every fault.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import running
from tests.support.clock import fast_clock
from tests.support.contents import contents
from tests.support.stack import Stack
from tests.support.waiting import until

HOUR = 3600.0
WEB = 'web = stacks.Container("web", template="nodejs")\n'
FAMILY = """
web = stacks.Container("web", template="nodejs", external_access=True)
sql = stacks.Container("sql", template="postgresql")
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.AllowedIp("office", container=web, ip_address="198.51.100.7")
stacks.Connection("link", source=web, target=sql)
stacks.PinnedBackup("backup", container=sql, on_delete="delete")
stacks.VpnClient("laptop", container=vpn)
"""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator; each test asserts that its faults fired."""
    with Emulator(boot_seconds=1, clock=fast_clock()) as api:
        yield api


def slow_deletion(emulator: Emulator, seconds: float) -> None:
    emulator.platform.refuse_repeated_delete = True
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, delete_seconds=seconds)


def test_a_deletion_whose_answer_is_lost_and_whose_retry_is_refused_succeeds(
    stack: Stack, emulator: Emulator
) -> None:
    stack.program(WEB)
    stack.up(quiet_afterwards=False)
    slow_deletion(emulator, 40)
    emulator.faults.add("containers.delete", "drop_after")

    stack.destroy()

    emulator.faults.assert_none_left()
    assert contents(emulator)["containers"] == []
    assert stack.resources() == {}


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


def test_a_list_with_a_wrong_count_keeps_the_state(stack: Stack, emulator: Emulator) -> None:
    # A row of another stack comes first.
    running(emulator, "other")
    stack.program(FAMILY)
    emulator.faults.add("containers.list", "miscount", times=None, by=3)
    stack.up(quiet_afterwards=False)
    state = set(stack.resources())

    stack.engine("refresh", "--yes", "--skip-preview")

    assert set(stack.resources()) == state
    emulator.faults.assert_none_left()
    emulator.faults.clear()
    stack.refresh()
