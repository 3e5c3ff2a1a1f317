"""
The engine goes away at the worst moment: while the request that makes something is under way, or its answer is.

Nobody is left to tell the id to, so what was made has to be taken back; a deletion or a change simply ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from stacks_pulumi.emulator import Emulator
from tests.chaos.account import holdings
from tests.chaos.matrix import deeds
from tests.chaos.ministack import Declared, MiniStack, Ref
from tests.support.host import CallFailedError, Host, HostedResource

pytestmark = [pytest.mark.host, pytest.mark.chaos]

Programs = Callable[[str], Sequence[Declared]]

MAKES: dict[str, tuple[str, Programs, Programs]] = {
    "containers.create": ("Container", lambda _cell: [], deeds.only),
    "allowed_ips.add": ("AllowedIp", deeds.exposed, lambda cell: deeds.exposed(cell, "198.51.100.7")),
    "connections.create": ("Connection", deeds.pair, deeds.connected),
    "backups.trigger": ("PinnedBackup", deeds.only, deeds.backed_up),
    "vpn_clients.add": ("VpnClient", deeds.vpn, lambda cell: deeds.vpn(cell, "laptop")),
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as api:
        yield api


@pytest.fixture
def host(emulator: Emulator) -> Iterator[Host]:
    started = Host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
    yield started
    started.stop()


@pytest.mark.parametrize("operation", MAKES)
def test_what_is_made_while_nobody_listens_any_more_is_taken_back(
    host: Host, emulator: Emulator, operation: str
) -> None:
    kind, before, after = MAKES[operation]
    stack = MiniStack(host)
    assert stack.up(before("web")).errors == {}
    held = holdings(emulator)
    declared = next(item for item in after("web") if item.kind == kind)
    resource = HostedResource(host, kind, declared.name)
    inputs = {
        name: stack.resources[value.name].id if isinstance(value, Ref) else value
        for name, value in declared.inputs.items()
    }
    if kind == "Connection":
        inputs["restart_source"] = False
    checked = resource.checked(**inputs)
    emulator.faults.add(operation, "slow", seconds=1.0)

    with pytest.raises(CallFailedError):
        resource.create(checked, cancel_after=0.5)

    _until(lambda: any(record.operation == operation for record in emulator.requests))
    if kind == "PinnedBackup":
        # One that is not pinned goes by itself after a week; nothing deletes it, as that takes a scope of its own.
        _until(lambda: emulator.calls("backups.unpin") > 0)
        assert not any(backup.pinned for backup in emulator.state.backups.values())
    else:
        _until(lambda: holdings(emulator) == held)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
