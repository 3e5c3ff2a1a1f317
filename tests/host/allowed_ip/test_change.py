"""AllowedIp on the real host: change, read and delete, while the list is never empty."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.host.allowed_ip.conftest import AUTO_ADDED, CALLER, OFFICE, inputs
from tests.support.accounts import addresses, fewest_addresses, running
from tests.support.clock import fast_clock
from tests.support.host import UNKNOWN, CallFailedError, Host, HostedResource, in_parallel


@pytest.mark.hosts("dynamic", "native")
def test_another_address_or_container_replaces(office: HostedResource, web: str) -> None:
    office.up(**inputs(web))

    for change in ({"ip_address": "198.51.100.7"}, {"container": "usr-1-other"}, {"container": UNKNOWN}):
        diff = office.diff(office.checked(**{**inputs(web), **change}))
        assert list(diff.replaces) == list(change)
        assert diff.deleteBeforeReplace is False


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("duplicates", [False, True])
def test_a_change_replaces_the_entry_without_an_empty_list(
    make_host: Any, duplicates: bool, alone: bool
) -> None:
    with Emulator(duplicate_ips=duplicates, clock=fast_clock()) as emulator:
        web = running(emulator, "web")
        emulator.drift.set_external_access("web", enabled=True)
        host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
        office = host.resource("AllowedIp", "office")
        office.up(**inputs(web, revoke_auto_added=alone))
        first = office.outs["entry_id"]
        changed = inputs(web, revoke_auto_added=alone, description="Office", service_type="tcp")

        assert office.up(**changed) == ["update"]

        others = {} if alone else {CALLER: AUTO_ADDED}
        assert addresses(emulator, "web") == {**others, OFFICE: ("Office", "tcp")}
        assert fewest_addresses(emulator, 1) == 1
        assert office.outs["entry_id"] not in {first, ""}
        assert office.up(**changed) == []


def test_a_refused_change_puts_the_old_entry_back(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, revoke_auto_added=True))
    emulator.faults.add("allowed_ips.add", "status", code=400)  # the duplicate
    emulator.faults.add("allowed_ips.add", "pass")  # the placeholder
    emulator.faults.add("allowed_ips.add", "status", code=400)  # the new entry

    with pytest.raises(CallFailedError, match="400"):
        office.up(**inputs(web, revoke_auto_added=True, service_type="tcp"))

    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}
    assert office.up(**inputs(web, revoke_auto_added=True, service_type="tcp")) == ["update"]
    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "tcp")}


def test_the_next_change_cleans_up_an_interrupted_one(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, revoke_auto_added=True))
    emulator.faults.add("allowed_ips.remove", "pass", times=2)  # refused, then the old entry again
    emulator.faults.add("allowed_ips.remove", "status", code=400)  # the placeholder

    with pytest.raises(CallFailedError, match="400"):
        office.up(**inputs(web, revoke_auto_added=True, service_type="tcp"))

    assert addresses(emulator, "web").keys() == {OFFICE, "192.0.2.1"}
    assert office.up(**inputs(web, revoke_auto_added=True, service_type="tcp")) == ["update"]
    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "tcp")}


@pytest.mark.hosts("dynamic", "native")
def test_a_change_outside_is_drift_and_is_corrected(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, service_type="http"))
    # The same entry: an entry that was deleted and added again would have a new id.
    entries = emulator.state.containers[web].allowed_ips
    next(entry for entry in entries if entry.ip_address == OFFICE).service_type = "both"

    assert office.read()

    assert office.inputs["service_type"] == "both"
    assert office.up(**inputs(web, service_type="http")) == ["update"]
    assert addresses(emulator, "web")[OFFICE] == ("Custom IP", "http")


def test_the_callers_address_is_drift_and_is_removed_again(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, revoke_auto_added=True))
    emulator.drift.set_external_access("web", enabled=True)
    assert CALLER in addresses(emulator, "web")

    assert office.read()
    assert office.up(**inputs(web, revoke_auto_added=True)) == ["update"]

    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}


def test_a_second_entry_for_the_address_is_drift(make_host: Any) -> None:
    with Emulator(duplicate_ips=True, clock=fast_clock()) as emulator:
        web = running(emulator, "web")
        emulator.drift.set_external_access("web", enabled=True)
        host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
        office = host.resource("AllowedIp", "office")
        office.up(**inputs(web, service_type="http"))
        emulator.drift.allow_ip("web", OFFICE, service_type="tcp")

        assert office.read()
        assert office.up(**inputs(web, service_type="http")) == ["update"]

        assert [entry.service_type for entry in emulator.state.container("web").allowed_ips] == [
            "both",
            "http",
        ]


@pytest.mark.hosts("dynamic", "native")
def test_a_look_up_by_id_reads_the_entry(office: HostedResource, web: str, emulator: Emulator) -> None:
    emulator.drift.allow_ip("web", OFFICE, description="by hand", service_type="tcp")

    assert office.get(f"{web}/{OFFICE}")

    expected = {"container": web, "ip_address": OFFICE, "description": "by hand", "service_type": "tcp"}
    assert expected.items() <= office.outs.items()

    with pytest.raises(CallFailedError, match=r"does not exist in this account"):
        office.get(f"{web}/192.0.2.7")


@pytest.mark.hosts("dynamic", "native")
def test_delete_removes_the_address(office: HostedResource, web: str, emulator: Emulator) -> None:
    office.up(**inputs(web))
    calls = emulator.calls()

    office.delete()

    assert addresses(emulator, "web") == {CALLER: AUTO_ADDED}
    assert emulator.calls() == calls + 1


@pytest.mark.parametrize(
    ("in_program", "severity"), [(True, "WARNING"), (False, "INFO")], ids=["container stays", "destroy"]
)
def test_deleting_the_last_address_disables_access_with_a_log_line(
    office: HostedResource, emulator: Emulator, make_host: Any, in_program: bool, severity: str
) -> None:
    container = office.host.resource("Container", "shop")
    container.up(name="shop", template="nodejs", external_access=True)
    office.up(**inputs(container.id, revoke_auto_added=True))
    url = emulator.state.container("shop").url
    if not in_program:
        office.host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})

    office.delete()

    assert emulator.state.container("shop").external_access is False
    (line,) = [line for line in office.host.engine.lines if "external access was turned off" in line.text]
    assert (severity, False) == (line.severity, line.ephemeral)
    assert f"turned off instead, including {url}" in line.text
    # No advice for a program whose container is being deleted.
    assert ("If the Container sets external" in line.text) is in_program
    assert 400 not in {request.status for request in emulator.requests}


def test_delete_also_removes_the_runners_address(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, revoke_auto_added=True))
    emulator.drift.set_external_access("web", enabled=True)

    office.delete()

    assert emulator.state.container("web").external_access is False


def test_concurrent_deletions_end_with_access_disabled(host: Host, web: str, emulator: Emulator) -> None:
    entries = [host.resource("AllowedIp", f"ip-{number}") for number in range(4)]
    for number, entry in enumerate(entries):
        entry.up(container=web, ip_address=f"198.51.100.{number}", revoke_auto_added=True)

    assert in_parallel(*(entry.delete for entry in entries)) == [None] * 4

    assert emulator.state.container("web").external_access is False


def test_an_address_moves_from_one_resource_to_another(
    host: Host, emulator: Emulator, make_host: Any
) -> None:
    web = host.resource("Container", "web")
    arguments = {"name": "web", "template": "nodejs", "external_access": True}
    web.up(**arguments)
    first, second = (host.resource("AllowedIp", name) for name in ("first", "second"))
    for resource, address in ((first, "198.51.100.1"), (second, "198.51.100.2")):
        resource.up(container=web.id, ip_address=address)
    # The next `up` replaces the second resource and creates before it deletes.
    later = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
    web.host = second.host = later
    web.diff(web.checked(**arguments))
    second.diff(second.checked(container=web.id, ip_address="198.51.100.3"))

    new = later.resource("AllowedIp", "first")
    new.create(new.checked(container=web.id, ip_address="198.51.100.2"))
    second.delete()

    assert any("'first' in this program manages it now" in line.text for line in later.engine.lines)
    assert set(addresses(emulator, "web")) >= {"198.51.100.1", "198.51.100.2"}
