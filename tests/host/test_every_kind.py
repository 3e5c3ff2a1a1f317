"""Rules for the resources of every kind on the real host: unusual answers, failed reads, and missing objects."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stacks_pulumi.emulator import SHAPES, Emulator
from tests.chaos.account import claims, holdings
from tests.chaos.matrix.changes import container
from tests.chaos.ministack import Declared, MiniStack, Ref
from tests.support.accounts import addresses
from tests.support.clock import fast_clock
from tests.support.host import Host, HostedResource

ADDRESS = "198.51.100.7"
READ_BY = {
    "allowed_ips.list": "office",
    "backups.list": "backup",
    "connections.list": "link",
    "containers.certificate": "key",
    "vpn_clients.list": "laptop",
}
"""The request that reads each child; all of them also need the list of containers."""


def family(trigger: str = "1") -> list[Declared]:
    """Declare three containers, and a child of each kind."""
    web, sql, vpn = Ref("web"), Ref("sql"), Ref("vpn")
    client = {"container": vpn, "name": "Ann's laptop / home?x=1#%2F", "rotate_triggers": [trigger]}
    return [
        container("web", external_access=True),
        container("sql", template="postgresql"),
        container("vpn", template="stacks-vpn"),
        Declared("AllowedIp", "office", {"container": web, "ip_address": ADDRESS, "revoke_auto_added": True}),
        Declared("Connection", "link", {"source": web, "target": sql, "name": "primary db/1"}),
        Declared("VpnClient", "laptop", client),
        Declared("PinnedBackup", "backup", {"container": sql, "triggers": [trigger], "on_delete": "delete"}),
        Declared("BackupRestore", "restore", {"backup_id": Ref("backup")}),
        Declared("SshCertificate", "key", {"container": web, "rotate_triggers": [trigger]}),
    ]


@pytest.fixture
def stack(host: Host) -> MiniStack:
    """Return a stack with a resource of each kind."""
    made = MiniStack(host)
    assert made.up(family()).messages == []
    return made


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_answer_is_understood(make_host: Callable[..., Host], shape: str) -> None:
    with Emulator(shapes=shape, clock=fast_clock()) as emulator:
        stack = MiniStack(make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}))
        assert stack.up(family()).messages == []
        assert claims(stack.resources.values()) == holdings(emulator)
        first = {name: dict(found.outs) for name, found in stack.resources.items()}
        assert first["laptop"]["config"].startswith("[Interface]\nPrivateKey = ")
        assert first["office"]["entry_id"] == emulator.state.container("web").allowed_ips[-1].id
        assert addresses(emulator, "web").keys() == {ADDRESS}

        refreshed, again = stack.refresh(), stack.up(family())
        assert (refreshed.steps, refreshed.messages, again.steps, again.messages) == ([], [], [], [])

        changed = stack.up(family("2"))
        assert changed.messages == []
        assert {name for _, name in changed.steps} == {"laptop", "backup", "restore", "key"}
        assert stack.resources["key"].outs["private_key"] != first["key"]["private_key"]
        assert len(emulator.state.container("sql").restored) == 2
        assert claims(stack.resources.values()) == holdings(emulator)

        assert stack.destroy().messages == []
        assert holdings(emulator) == set()


def test_a_failed_read_is_an_error_and_keeps_the_state(stack: MiniStack, emulator: Emulator) -> None:
    # Their own lists show a connection and a backup.
    without_containers = {"web", "sql", "vpn", "office", "laptop", "key"}
    # A container whose external access the program sets is read with its addresses.
    without_children = {"web", *READ_BY.values()}
    for operations, failed in (
        (("containers.list", "containers.status"), without_containers),
        (tuple(READ_BY), without_children),
    ):
        for code in (401, 403, 500, 503):
            # Reads share an answer until something changes, and this deletion counts as a change.
            HostedResource(stack.host, "BackupRestore", "nothing", id="1").delete()
            for operation in operations:
                emulator.faults.add(operation, code, times=None)

            found = stack.refresh()

            emulator.faults.clear()
            assert (set(found.errors), found.steps) == (failed, []), code


def test_a_child_that_is_gone_leaves_the_state_on_read_and_delete(
    stack: MiniStack, emulator: Emulator
) -> None:
    kept = {name: copy.copy(stack.resources[name]) for name in READ_BY.values()}
    emulator.drift.remove_ip("web", ADDRESS)
    emulator.drift.disconnect("web", "primary db/1")
    emulator.drift.remove_vpn_client("vpn", str(kept["laptop"].outs["name"]))
    emulator.drift.delete_backup(1)

    gone = stack.refresh()

    assert (gone.messages, {name for _, name in gone.steps}) == ([], set(kept) - {"key"})
    for one in kept.values():
        one.delete()
        assert one.id == ""


def test_a_child_of_a_container_that_is_gone_leaves_the_state_on_read_and_delete(
    stack: MiniStack, emulator: Emulator
) -> None:
    for deleted, children in (("sql", {"link", "backup"}), ("web", {"office", "key"}), ("vpn", {"laptop"})):
        kept = [copy.copy(stack.resources[name]) for name in children]
        emulator.drift.delete(deleted)

        gone = stack.refresh()

        assert (gone.messages, {name for _, name in gone.steps}) == ([], {deleted, *children})
        for one in kept:
            one.delete()
            assert one.id == ""


def test_an_update_keeps_every_output(stack: MiniStack) -> None:
    before = {name: set(found.outs) for name, found in stack.resources.items()}
    changes: dict[str, dict[str, Any]] = {
        "web": {"restart_triggers": ["2"]},
        "office": {"description": "new"},
        "backup": {"on_delete": "keep"},
        "restore": {"triggers": ["2"]},
        "key": {"rotate_triggers": ["2"]},
    }

    done = stack.up([replace(it, inputs={**it.inputs, **changes.get(it.name, {})}) for it in family()])

    assert done.messages == []
    after = {name: set(found.outs) for name, found in stack.resources.items()}
    assert [name for name in changes if before[name] - after[name]] == []
