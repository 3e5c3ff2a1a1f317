"""
The engine is killed while a create request or its answer is in progress.

The engine cannot store the new id, so the provider deletes the new object. A deletion or a change simply ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import requests

from stacks_pulumi.emulator import Emulator, Fault
from tests.chaos.account import holdings
from tests.chaos.matrix import changes
from tests.chaos.ministack import Declared, MiniStack, Ref
from tests.support.clock import SPEED, fast_clock, fast_wall
from tests.support.host import PROMPT, Host, HostedResource
from tests.support.waiting import until

pytestmark = [pytest.mark.host, pytest.mark.chaos, pytest.mark.real_processes]

Programs = Callable[[str], Sequence[Declared]]

MAKES: dict[str, tuple[str, Programs, Programs]] = {
    "containers.create": ("Container", lambda _cell: [], changes.only),
    "allowed_ips.add": ("AllowedIp", changes.exposed, lambda cell: changes.exposed(cell, "198.51.100.7")),
    "connections.create": ("Connection", changes.pair, changes.connected),
    "backups.trigger": ("PinnedBackup", changes.only, changes.backed_up),
    "vpn_clients.add": ("VpnClient", changes.vpn, lambda cell: changes.vpn(cell, "laptop")),
}


LOOKS = {
    "containers.create": "containers.list",
    "allowed_ips.add": "allowed_ips.list",
    "connections.create": "connections.list",
    "vpn_clients.add": "vpn_clients.list",
}
"""Operation -> the list that shows the new object after a lost response."""


def _fail_look(emulator: Emulator, operation: str, kind: str, **options: Any) -> Fault:
    """Queue a fault for the read after a lost response, which may follow immediately."""
    if operation == "containers.create":
        # One list is requested before the creation.
        emulator.faults.add(LOOKS[operation], "pass")
    return emulator.faults.add(LOOKS[operation], kind, **options)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as api:
        yield api


@pytest.fixture
def host(emulator: Emulator) -> Iterator[Host]:
    started = Host({**PROMPT, "stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
    yield started
    started.stop()


@pytest.mark.parametrize(
    ("operation", "lost"),
    [
        *((operation, False) for operation in MAKES),
        *((operation, True) for operation in LOOKS),
    ],
)
def test_create_is_rolled_back_when_the_engine_is_gone(
    host: Host, emulator: Emulator, operation: str, lost: bool
) -> None:
    resource, checked, held = _about_to_make(host, emulator, operation)
    # After a lost response, the provider reads the list: the engine is killed before the answer.
    if lost:
        fault = emulator.faults.add(operation, "drop_after")
        _fail_look(emulator, operation, "slow", seconds=1.0)
    else:
        fault = emulator.faults.add(operation, "slow", seconds=1.0)
    resource.abandon_create(checked, lambda: fault.fired == 1)

    if resource.kind == "PinnedBackup":
        # A complete backup is pinned, so the rollback unpins it. Later, the retention clean-up deletes it. A deletion
        # needs a scope that the key may lack.
        until(lambda: any(record.operation == "backups.unpin" for record in emulator.requests))
        assert not any(backup.pinned for backup in emulator.state.backups.values())
    else:
        until(lambda: holdings(emulator) == held)


@pytest.mark.parametrize("operation", LOOKS)
def test_a_cancel_does_not_end_a_look_that_waits_for_the_rate_limit(
    host: Host, emulator: Emulator, operation: str
) -> None:
    resource, checked, held = _about_to_make(host, emulator, operation)
    emulator.faults.add(operation, "drop_after")
    refused = _fail_look(emulator, operation, "rate_limited", retry_after=3)

    resource.abandon_create(checked, lambda: refused.fired == 1)

    assert holdings(emulator) > held
    until(lambda: holdings(emulator) == held)


def test_what_the_next_run_makes_is_not_rolled_back() -> None:
    """A provider that outlives its engine looks for a lost request's result. It once deleted another `up`'s object."""
    with Emulator(boot_seconds=0.5, clock=fast_clock()) as emulator:
        config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
        host = Host(config, speed=SPEED, wall=fast_wall())
        web = HostedResource(host, "Container", "web")
        lost = emulator.faults.add("containers.create", "drop_before")
        web.abandon_create(web.checked(name="web", template="nodejs"), lambda: lost.fired == 1)
        begun = emulator.clock.now()
        # After the lost request can no longer take effect, and before the last read after 10 s.
        until(lambda: emulator.clock.now() > begun + 6.5)

        requests.post(
            f"{emulator.url}/containers",
            json={"name": "web", "template": "nodejs"},
            headers={"Authorization": f"Bearer {emulator.key}"},
            timeout=60,
        ).raise_for_status()

        until(lambda: any("from the next run of the program" in line for line in web.lines()))
        assert "[outcome-unknown]" in host.stop()
        assert emulator.state.names() == ["web"]


def test_a_rollback_that_fails_is_reported_with_the_id(emulator: Emulator) -> None:
    scopes = ("containers:read", "containers:create", "containers:manage")
    host = Host({**PROMPT, "stacks:apiKey": emulator.new_key(scopes=scopes), "stacks:baseUrl": emulator.url})
    try:
        resource = HostedResource(host, "Container", "web")
        checked = resource.checked(name="web", template="nodejs")
        slow = emulator.faults.add("containers.create", "slow", seconds=1.0)

        resource.abandon_create(checked, lambda: slow.fired == 1)

        until(lambda: any(record.operation == "containers.delete" for record in emulator.requests))
        (container,) = holdings(emulator)
        until(lambda: any(container in line.text and line.severity != "DEBUG" for line in host.engine.lines))
    finally:
        host.stop()


def _about_to_make(
    host: Host, emulator: Emulator, operation: str
) -> tuple[HostedResource, dict[str, Any], set[str]]:
    """Return a resource whose creation needs the operation, its checked inputs, and the account's earlier content."""
    kind, before, after = MAKES[operation]
    stack = MiniStack(host)
    assert stack.up(before("web")).errors == {}
    declared = next(item for item in after("web") if item.kind == kind)
    resource = HostedResource(host, kind, declared.name)
    inputs = {
        name: stack.resources[value.name].id if isinstance(value, Ref) else value
        for name, value in declared.inputs.items()
    }
    if kind == "Connection":
        inputs["restart_source"] = False
    return resource, resource.checked(**inputs), holdings(emulator)
