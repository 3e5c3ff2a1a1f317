"""
Children of a container that the same operation created: no reads before the creates, no duplicates, no adoption.

For each omitted read, a test covers the case that the read would find: the child already exists. The fault matrix
covers lost responses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import addresses, running
from tests.support.host import CallFailedError, Host, HostedResource

OFFICE = "198.51.100.0/24"


def created(host: Host, emulator: Emulator, name: str, template: str = "nodejs", **inputs: Any) -> str:
    """Create a container with this host; return its id, and clear the recorded calls."""
    container = host.resource("Container", name)
    container.up(name=name, template=template, **inputs)
    emulator.api.log.clear()
    return container.id


@pytest.fixture
def app(host: Host, emulator: Emulator) -> str:
    """Return the id of a container that the host created, with external access."""
    return created(host, emulator, "app", external_access=True)


@pytest.fixture
def db(host: Host, emulator: Emulator, app: str) -> str:
    """Return the id of another container that the host created."""
    return created(host, emulator, "sql", "postgresql")


@pytest.fixture
def vpn(host: Host, emulator: Emulator) -> str:
    """Return the id of a VPN container that the host created."""
    return created(host, emulator, "vpn", "stacks-vpn")


def link(host: Host, app: str, db: str, **inputs: Any) -> HostedResource:
    """Create a connection without a restart, to save time."""
    made = host.resource("Connection", "link")
    made.up(source=app, target=db, name="primary", restart_source=False, **inputs)
    return made


def test_a_child_of_the_former_container_is_replaced_and_needs_no_deletion(
    make_host: Callable[..., Host], emulator: Emulator
) -> None:
    settings = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    earlier, later = make_host(settings), make_host(settings)
    laptop = earlier.resource("VpnClient", "laptop")
    laptop.up(container=created(earlier, emulator, "vpn", "stacks-vpn"), name="laptop")
    emulator.drift.delete("vpn")
    laptop.host = later
    same_id = created(later, emulator, "vpn", "stacks-vpn")

    assert "container" in laptop.diff(laptop.checked(container=same_id, name="laptop")).replaces
    laptop.delete()

    assert emulator.calls() == 0
    assert any("it belonged to a former container" in line for line in laptop.lines())


# --- omitted reads ---


def test_a_backup_reads_no_list_of_containers(host: Host, emulator: Emulator, db: str) -> None:
    first, second = (host.resource("PinnedBackup", name) for name in ("first", "second"))

    first.up(container=db)
    second.up(container=db)

    assert [request.operation for request in emulator.requests[:2]] == ["backups.list", "backups.trigger"]
    assert first.outs["backup_id"] != second.outs["backup_id"]
    assert emulator.calls("containers.list") == 0


def test_a_target_that_existed_before_is_looked_at(host: Host, emulator: Emulator, app: str) -> None:
    old = running(emulator, "old", "postgresql")

    link(host, app, old)

    assert emulator.api.log.counts() == {
        "containers.list": 1,
        "connections.list": 1,
        "connections.create": 1,
    }


# --- children that exist already ---


def test_a_child_of_another_stack_is_refused(
    host: Host, emulator: Emulator, app: str, db: str, vpn: str
) -> None:
    emulator.drift.connect("app", "sql", "primary")
    emulator.drift.allow_ip("app", OFFICE)
    emulator.drift.add_vpn_client("vpn", "laptop")

    with pytest.raises(CallFailedError, match="exists already"):
        link(host, app, db)
    with pytest.raises(CallFailedError, match="exists already"):
        host.resource("AllowedIp", "office").up(container=app, ip_address=OFFICE)
    with pytest.raises(CallFailedError, match="exists already"):
        host.resource("VpnClient", "laptop").up(container=vpn, name="laptop")

    assert len(emulator.state.connections) == 1


def test_a_child_of_another_stack_is_adopted_if_asked(
    host: Host, emulator: Emulator, app: str, db: str
) -> None:
    other = emulator.drift.connect("app", "sql", "primary")

    made = link(host, app, db, adopt="if_matching")

    assert made.id == f"{app}/{other.id}"
    assert any("adopted" in line for line in made.lines())


def test_the_default_vpn_client_is_looked_for(host: Host, emulator: Emulator, vpn: str) -> None:
    with pytest.raises(CallFailedError, match=r"VPN client .Default. .* exists already"):
        host.resource("VpnClient", "Default").up(container=vpn, name="Default")

    assert emulator.calls("vpn_clients.add") == 0


def test_the_address_that_the_api_added_is_looked_for(host: Host, emulator: Emulator, app: str) -> None:
    mine = host.resource("AllowedIp", "mine")

    mine.up(container=app, ip_address=emulator.platform.your_ip, description="Me")

    assert emulator.requests[0].operation == "allowed_ips.list"
    assert addresses(emulator, "app") == {emulator.platform.your_ip: ("Me", "both")}


def test_the_address_that_the_api_added_is_looked_for_to_be_revoked(
    host: Host, emulator: Emulator, app: str
) -> None:
    for name, address in (("office", OFFICE), ("home", "198.51.101.7")):
        host.resource("AllowedIp", name).up(container=app, ip_address=address, revoke_auto_added=True)

    assert addresses(emulator, "app").keys() == {OFFICE, "198.51.101.7"}
    # One read serves both.
    assert emulator.api.log.counts() == {"allowed_ips.list": 1, "allowed_ips.add": 2, "allowed_ips.remove": 1}


# --- a different container, or a different status ---


def test_a_container_that_was_recreated_meanwhile_is_refused(
    host: Host, emulator: Emulator, app: str, db: str
) -> None:
    emulator.advance(60)
    emulator.drift.recreate("app")
    # The next list of the containers shows it.
    assert host.resource("Container", "sql").get(db)
    emulator.api.log.clear()

    with pytest.raises(CallFailedError, match="may be another stack's container"):
        link(host, app, db)

    assert emulator.calls("connections.create") == 0


def test_an_end_that_has_stopped_meanwhile_is_reported(
    host: Host, emulator: Emulator, app: str, db: str
) -> None:
    emulator.drift.stop("sql")

    with pytest.raises(CallFailedError, match=r"-sql is stopped: start it"):
        link(host, app, db)

    assert emulator.state.connections == {}
