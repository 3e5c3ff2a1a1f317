"""Changes outside the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stacks_pulumi.emulator import backups
from stacks_pulumi.emulator.drift import Drift

if TYPE_CHECKING:
    from tests.emulator.conftest import OneAccount


class Saved:
    """Counts how often the state should be saved."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def saved() -> Saved:
    return Saved()


@pytest.fixture
def drift(platform: OneAccount, saved: Saved) -> Drift:
    return Drift(platform, saved)


def test_stop_start_and_fail_act_immediately_and_are_saved(
    platform: OneAccount, drift: Drift, saved: Saved
) -> None:
    made = platform.running("app")
    seen = []
    for action in (drift.stop, drift.start, drift.fail):
        action("app")
        seen.append(made.status)

    assert seen == ["stopped", "running", "error"]
    assert made.error == "the process was killed: out of memory"
    drift.start("app")
    assert (made.status, str(made.error), saved.times) == ("running", "None", 4)


def test_a_container_is_deleted_with_its_children(platform: OneAccount, drift: Drift) -> None:
    app, database = platform.running("app"), platform.running("mydb", "postgresql")
    drift.connect("app", "mydb", "primary")
    backups.trigger(platform, database)
    drift.delete("mydb")

    assert list(platform.state.containers) == [app.id]
    assert (platform.state.connections, platform.state.backups) == ({}, {})


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ({"template": "nodejs", "plan": "standard"}, {}, ("nodejs", "standard", None)),
        (
            {"template": "nodejs", "additional_storage_tier": 1},
            {"template": "postgresql"},
            ("postgresql", "basic", None),
        ),
        (
            {"template": "nodejs", "additional_storage_tier": 1},
            {"plan": "premium"},
            ("nodejs", "premium", None),
        ),
        ({"template": "nodejs", "additional_storage_tier": 1}, {}, ("nodejs", "basic", 1)),
        ({"template": "stacks-vpn"}, {}, ("stacks-vpn", "vpn", None)),
    ],
)
def test_a_recreated_container_has_only_the_id_of_the_first(
    platform: OneAccount, drift: Drift, before: dict[str, Any], wanted: dict[str, Any], after: tuple[Any, ...]
) -> None:
    first, target = platform.running("app", **before), platform.running("mydb", "postgresql")
    drift.connect("app", target.id, "primary")
    backups.trigger(platform, first)
    second = drift.recreate("app", **wanted)

    assert (second.id, second.account) == (first.id, first.account)
    assert (second.template, second.plan, second.storage_tier) == after
    assert int(second.created_at) > int(first.created_at)
    assert second.status == "pending"
    assert (platform.state.connections, platform.state.backups) == ({}, {})
    assert platform.state.container("app") is second


def test_a_container_is_resized(platform: OneAccount, drift: Drift) -> None:
    made = platform.running("app")
    drift.resize(made.id, "premium", 3)

    assert (made.plan, made.storage_tier, int(made.price)) == ("premium", 3, 13)
    with pytest.raises(ValueError, match="no such plan: huge; the plans are micro, basic, standard, premium"):
        drift.resize("app", "huge")
    with pytest.raises(ValueError, match="no such additional_storage_tier: 2; the tiers are 1, 3, 5"):
        drift.resize("app", "basic", 2)


def test_access_and_addresses_change(platform: OneAccount, drift: Drift) -> None:
    made = platform.running("app")
    drift.set_external_access("app", enabled=True)
    drift.allow_ip("app", "198.51.100.7", service_type="tcp", description="door")
    drift.remove_ip("app", "203.0.113.45")
    assert [(ip.ip_address, ip.service_type) for ip in made.allowed_ips] == [("198.51.100.7", "tcp")]

    drift.remove_ip("app", "198.51.100.7")
    assert made.allowed_ips == []
    with pytest.raises(KeyError):
        drift.remove_ip("app", "198.51.100.7")


def test_connections_backups_and_devices_change(platform: OneAccount, drift: Drift) -> None:
    platform.running("app")
    gateway, database = platform.running("gate", "stacks-vpn"), platform.running("mydb", "postgresql")
    drift.connect("app", "mydb", "primary")
    drift.disconnect("app", "primary")
    with pytest.raises(KeyError):
        drift.disconnect("app", "primary")
    made = backups.trigger(platform, database)
    backups.pin(made, pinned=True)
    drift.unpin(made.id)
    assert not made.pinned
    drift.delete_backup(made.id)
    drift.add_vpn_client("gate", "phone")
    drift.remove_vpn_client("gate", "default")

    assert (platform.state.connections, platform.state.backups) == ({}, {})
    assert [client.name for client in gateway.vpn_clients] == ["phone"]


def test_keys_payment_and_capacity_change(platform: OneAccount, drift: Drift) -> None:
    drift.revoke_key(platform.own_key.label)
    drift.set_payment_method(platform.account, present=False)
    drift.set_capacity(0)

    assert platform.own_key.revoked
    assert not platform.state.accounts[platform.account].payment_method
    assert platform.state.capacity == 0
