"""
The requests of a destroy: one list of the containers, and one deletion of each resource.

A destroy runs in a new process, which knows only the state. Reads of known facts would cost another minute of the rate
limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import addresses, running
from tests.support.contents import contents
from tests.support.host import CallFailedError, Host, HostedResource, in_parallel

PAIRS = 12
OFFICE = "198.51.100.0/24"
CALLER = "203.0.113.45"


def test_each_child_takes_one_request(host: Host, emulator: Emulator, make_host: Callable[..., Host]) -> None:
    containers = [host.resource("Container", f"c-{number}") for number in range(2 * PAIRS)]
    in_parallel(*(lambda it=it: it.up(name=it.name, template="nodejs") for it in containers))
    children = []
    for target, source in zip(containers[::2], containers[1::2], strict=True):
        emulator.drift.set_external_access(source.name, enabled=True)
        link, office = (host.resource(kind, source.name) for kind in ("Connection", "AllowedIp"))
        link.up(source=source.id, target=target.id, name="db", restart_source=False)
        office.up(container=source.id, ip_address=OFFICE)
        children += [link, office]
    later = make_host(host.config)
    for resource in (*containers, *children):
        resource.host = later
    emulator.api.log.clear()

    assert in_parallel(*(child.delete for child in children)) == [None] * 2 * PAIRS
    of_children = emulator.api.log.counts()
    assert in_parallel(*(container.delete for container in containers)) == [None] * 2 * PAIRS

    assert of_children == {"allowed_ips.remove": PAIRS, "connections.delete": PAIRS}
    looks = emulator.calls("containers.list")
    assert emulator.calls() == 4 * PAIRS + looks
    assert not any(contents(emulator).values())


@pytest.fixture
def office(host: Host, emulator: Emulator, make_host: Callable[..., Host]) -> HostedResource:
    """Return an address of a container that this process does not know, as in a destroy."""
    web = running(emulator, "web")
    emulator.drift.set_external_access("web", enabled=True)
    office = host.resource("AllowedIp", "office")
    office.up(container=web, ip_address=OFFICE)
    office.host = make_host(host.config)
    emulator.api.log.clear()
    return office


def test_only_a_refusal_turns_external_access_off(office: HostedResource, emulator: Emulator) -> None:
    emulator.drift.remove_ip("web", CALLER)

    office.delete()

    assert emulator.state.container("web").external_access is False
    assert [request.operation for request in emulator.requests] == [
        "allowed_ips.remove",
        *["allowed_ips.list"] * 2,
        "containers.external_access",
    ]


@pytest.mark.parametrize("code", [403, 405, 412])
def test_the_api_may_refuse_the_last_address_with_another_status(
    office: HostedResource, emulator: Emulator, code: int
) -> None:
    emulator.drift.remove_ip("web", CALLER)
    refusal = {"error": "You cannot remove the last IP address"}
    emulator.faults.add("allowed_ips.remove", "status", code=code, body=refusal)

    office.delete()

    assert emulator.state.container("web").external_access is False
    assert emulator.faults.fired()


@pytest.mark.parametrize("code", [403, 405])
def test_the_api_may_refuse_what_is_gone_with_another_status(
    office: HostedResource, emulator: Emulator, code: int
) -> None:
    """A person has removed the address, or the previous destroy was killed: two reads decide."""
    emulator.drift.remove_ip("web", OFFICE)
    emulator.faults.add("allowed_ips.remove", "status", code=code, body={"error": "No such address"})

    office.delete()

    assert addresses(emulator, "web").keys() == {CALLER}
    assert emulator.faults.fired()


def test_a_refusal_for_another_reason_is_an_error(office: HostedResource, emulator: Emulator) -> None:
    emulator.faults.add("allowed_ips.remove", "status", code=400, body={"error": "Not today"})

    with pytest.raises(CallFailedError, match="Not today"):
        office.delete()

    assert OFFICE in addresses(emulator, "web")
    assert emulator.calls("allowed_ips.remove") == 1


@pytest.mark.parametrize("foreign", [False, True], ids=["ours", "another client's"])
def test_an_entry_that_is_not_found_by_its_id_is_looked_for(
    office: HostedResource, emulator: Emulator, foreign: bool
) -> None:
    """The entry's id may have changed: another client may have removed the address and added it again."""
    entry = next(it for it in emulator.state.container("web").allowed_ips if it.ip_address == OFFICE)
    entry.id = "3b241101-e2bb-4255-8caf-4136c566a962"
    if foreign:
        entry.added_at += 100.0

    office.delete()

    assert (OFFICE in addresses(emulator, "web")) is foreign
    assert any("it is left alone" in line for line in office.lines()) is foreign


def test_what_the_state_does_not_say_is_looked_at(
    host: Host, emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    """The caller's address may be in the list again. In an `up`, the container stays, and so would this entry."""
    arguments: dict[str, Any] = {"name": "web", "template": "nodejs", "external_access": True}
    web = host.resource("Container", "web")
    web.up(**arguments)
    first, second = (host.resource("AllowedIp", name) for name in ("first", "second"))
    first.up(container=web.id, ip_address="198.51.100.1", revoke_auto_added=True)
    second.up(container=web.id, ip_address="198.51.100.2")
    emulator.drift.allow_ip("web", "192.0.2.9")
    later = make_host(host.config)
    web.host = first.host = second.host = later

    emulator.api.log.clear()
    first.delete()
    assert emulator.api.log.counts() == {"allowed_ips.list": 1, "allowed_ips.remove": 1}

    web.diff(web.checked(**arguments))
    emulator.api.log.clear()
    second.delete()
    assert emulator.api.log.counts() == {"allowed_ips.list": 1, "allowed_ips.remove": 1}


@pytest.mark.parametrize("refreshed", [False, True], ids=["after the change", "after a refresh"])
def test_both_halves_of_a_failed_change_are_removed(
    office: HostedResource, emulator: Emulator, make_host: Callable[..., Host], refreshed: bool
) -> None:
    emulator.platform.duplicate_ips = True
    emulator.faults.add("allowed_ips.remove", "status", code=400)
    with pytest.raises(CallFailedError, match="400"):
        office.up(container=office.inputs["container"], ip_address=OFFICE, service_type="tcp")
    if refreshed:
        del office.outs["others_left"]
        assert office.read()
    office.host = make_host(office.host.config)

    office.delete()

    assert addresses(emulator, "web").keys() == {CALLER}
