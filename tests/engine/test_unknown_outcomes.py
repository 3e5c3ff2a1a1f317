"""
After a request with unknown outcome the provider looks, on the real engine: lost responses, 503, refused retries.
"""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import running
from tests.support.contents import contents
from tests.support.stack import Stack

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
CREATING = (
    "containers.external_access",
    "allowed_ips.add",
    "connections.create",
    "containers.set_status",
    "backups.trigger",
    "backups.pin",
    "vpn_clients.add",
)
DELETING = ("allowed_ips.remove", "connections.delete", "backups.delete", "vpn_clients.remove")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator; each test asserts that its faults fired."""
    with Emulator(boot_seconds=0.2) as api:
        yield api


def slow_deletion(emulator: Emulator, seconds: float) -> None:
    emulator.platform.refuse_repeated_delete = True
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, delete_seconds=seconds)


def test_a_deletion_whose_answer_is_lost_and_whose_retry_is_refused_succeeds(
    stack: Stack, emulator: Emulator
) -> None:
    stack.program(WEB)
    stack.up(quiet_afterwards=False)
    slow_deletion(emulator, 4)
    emulator.faults.add("containers.delete", "drop_after")

    stack.destroy()

    emulator.faults.assert_none_left()
    assert contents(emulator)["containers"] == []
    assert stack.resources() == {}


@pytest.mark.real_processes
def test_a_destroy_after_a_kill_during_a_slow_deletion_succeeds(stack: Stack, emulator: Emulator) -> None:
    stack.program(WEB)
    stack.up(quiet_afterwards=False)
    slow_deletion(emulator, 15)
    process = stack.start("destroy", "--yes", "--skip-preview")
    until(lambda: emulator.calls("containers.delete") > 0)

    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert process.stdout is not None
    process.stdout.close()
    stack.cli("cancel", "--yes")
    assert emulator.state.container("web").status == "deleting"
    stack.destroy()

    assert stack.resources() == {}
    assert emulator.state.containers == {}


def test_a_503_on_a_creation_that_took_place_leaves_no_orphan(stack: Stack, emulator: Emulator) -> None:
    emulator.faults.add("containers.create", "status", code=503, done=True)
    stack.program(WEB)

    stack.up()

    emulator.faults.assert_none_left()
    assert set(stack.resources()) == {"web"}
    assert emulator.calls("containers.create") == 1
    stack.destroy()
    assert contents(emulator)["containers"] == []


def test_a_503_on_a_creation_is_the_waitlist_only_after_two_lists(stack: Stack, emulator: Emulator) -> None:
    emulator.faults.add("containers.create", 503)
    stack.program(WEB)

    refused = stack.up_fails()

    assert any("waitlist" in line for line in refused.errors), refused.text
    asked = [request.operation for request in emulator.requests]
    after = asked[asked.index("containers.create") + 1 :]
    assert asked.count("containers.create") == 1
    assert after.count("containers.list") >= 2

    # The platform carries it out later: the name is taken, perhaps by the waitlisted creation.
    running(emulator, "web")
    taken = stack.up_fails()
    assert any("waitlist" in line and "adopt" in line for line in taken.errors), taken.text
    assert emulator.calls("containers.create") <= 2
    assert contents(emulator)["containers"] == ["web"]


@pytest.mark.parametrize("done", [False, True], ids=["not carried out", "carried out"])
def test_one_503_on_any_other_request_is_retried(stack: Stack, emulator: Emulator, done: bool) -> None:
    stack.program(FAMILY)
    for operation in CREATING:
        emulator.faults.add(operation, "status", code=503, done=done)
    emulator.faults.add("containers.list", 503)

    stack.up(quiet_afterwards=False)

    emulator.faults.assert_none_left()
    assert {kind: len(found) for kind, found in contents(emulator).items()} == {
        "containers": 3,
        **dict.fromkeys(("addresses", "clients", "connections", "pinned"), 1),
    }
    stack.refresh()
    for operation in (*DELETING, "containers.delete"):
        emulator.faults.add(operation, "status", code=503, done=done)
    stack.destroy()
    emulator.faults.assert_none_left()
    assert not any(contents(emulator).values())


def test_an_api_that_stores_names_in_lower_case_leaves_no_orphan(stack: Stack, emulator: Emulator) -> None:
    emulator.platform.lower_case_names = True
    emulator.faults.add("containers.create", "drop_after")
    stack.program('web = stacks.Container("web", name="My-Web", template="nodejs")\n')

    stack.up()

    emulator.faults.assert_none_left()
    assert emulator.calls("containers.create") == 1
    assert contents(emulator)["containers"] == ["my-web"]
    stack.refresh()
    stack.up()
    stack.destroy()
    assert contents(emulator)["containers"] == []

    # Names that differ only in case are adopted, and refused, as the same name.
    running(emulator, "My-Web")
    assert any('adopt="if_matching"' in line for line in stack.up_fails().errors)
    stack.program('web = stacks.Container("web", name="My-Web", template="nodejs", adopt="if_matching")\n')
    stack.up()
    assert emulator.calls("containers.create") <= 2
    stack.destroy()
    assert contents(emulator)["containers"] == []


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("miscount", {"by": 3}, id="count"),
        pytest.param("wrong_types", {"row": 0}, id="odd row"),
        pytest.param("wrong_types", {"row": 1, "field": "plan"}, id="odd field"),
    ],
)
def test_an_unusual_list_keeps_the_state(
    stack: Stack, emulator: Emulator, kind: str, options: dict[str, Any]
) -> None:
    # A row of another stack comes first.
    running(emulator, "other")
    stack.program(FAMILY)
    emulator.faults.add("containers.list", kind, times=None, **options)
    stack.up(quiet_afterwards=False)
    state = set(stack.resources())

    stack.engine("refresh", "--yes", "--skip-preview")

    assert set(stack.resources()) == state
    emulator.faults.assert_none_left()
    emulator.faults.clear()
    stack.refresh(drift=True)
    stack.up()
    stack.destroy()
    assert contents(emulator)["containers"] == ["other"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 s"
        time.sleep(0.05)
