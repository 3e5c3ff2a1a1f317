"""AllowedIp on the real host: create."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.host.allowed_ip.conftest import AUTO_ADDED, CALLER, OFFICE, inputs
from tests.support.accounts import addresses, fewest_addresses, running
from tests.support.clock import fast_clock
from tests.support.host import CallFailedError, Host, HostedResource, in_parallel


def test_create_reads_the_list_and_the_container_once(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, description="Office", service_type="http"))

    assert office.id == f"{web}/{OFFICE}"
    assert addresses(emulator, "web") == {CALLER: AUTO_ADDED, OFFICE: ("Office", "http")}
    assert office.outs["entry_id"] == emulator.state.container("web").allowed_ips[-1].id
    assert office.outs["added_at"].endswith("Z")
    assert emulator.calls() == 3
    assert office.up(**inputs(web, description="Office", service_type="http")) == []
    assert emulator.calls() == 3


def test_the_callers_address_is_removed_after_the_create(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, revoke_auto_added=True))

    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}
    assert fewest_addresses(emulator, 1) == 1
    assert office.up(**inputs(web, revoke_auto_added=True)) == []


@pytest.mark.hosts("dynamic", "native")
def test_without_access_the_error_says_what_to_write(host: Host, emulator: Emulator) -> None:
    container = running(emulator, "web")

    with pytest.raises(CallFailedError, match=r"external access of .*-web is off") as failure:
        host.resource("AllowedIp").up(**inputs(container))

    assert host.worded("external_access=True") in failure.value.message


@pytest.mark.hosts("dynamic", "native")
def test_an_existing_entry_is_an_error_with_the_line_to_write(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    emulator.drift.allow_ip("web", OFFICE, description="by hand", service_type="tcp")

    with pytest.raises(CallFailedError, match=r"tcp, 'by hand'\) exists already") as failure:
        office.up(**inputs(web))

    assert office.host.worded('stacks.AllowedIp("office", ..., adopt="if_matching")') in str(failure.value)
    assert addresses(emulator, "web")[OFFICE] == ("by hand", "tcp")


@pytest.mark.parametrize("duplicates", [False, True])
def test_an_existing_entry_is_adopted_and_updated(make_host: Any, duplicates: bool) -> None:
    with Emulator(duplicate_ips=duplicates, clock=fast_clock()) as emulator:
        web = running(emulator, "web")
        emulator.drift.set_external_access("web", enabled=True)
        emulator.drift.allow_ip("web", OFFICE, description="by hand", service_type="tcp")
        host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
        office = host.resource("AllowedIp", "office")

        office.up(**inputs(web, description="Office", adopt="if_matching"))
        assert any("receives values from the program: both, 'Office'" in line for line in office.lines())

        assert addresses(emulator, "web") == {CALLER: AUTO_ADDED, OFFICE: ("Office", "both")}
        assert len(emulator.state.container("web").allowed_ips) == 2
        assert fewest_addresses(emulator, 2) >= 1
        assert office.up(**inputs(web, description="Office", adopt="if_matching")) == []


@pytest.mark.parametrize("duplicates", [False, True])
def test_the_callers_own_address_can_be_the_allowed_one(make_host: Any, duplicates: bool) -> None:
    with Emulator(duplicate_ips=duplicates, clock=fast_clock()) as emulator:
        web = running(emulator, "web")
        emulator.drift.set_external_access("web", enabled=True)
        host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
        mine = host.resource("AllowedIp", "mine")
        wanted = {
            "container": web,
            "ip_address": CALLER,
            "description": "Laptop",
            "service_type": "http",
            "revoke_auto_added": True,
        }

        mine.up(**wanted)

        assert addresses(emulator, "web") == {CALLER: ("Laptop", "http")}
        assert fewest_addresses(emulator, 1) == 1
        assert mine.read()
        assert mine.up(**wanted) == []


def test_a_failure_after_the_add_is_corrected_by_the_next_up(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    emulator.faults.add("allowed_ips.remove", "status", code=400)

    with pytest.raises(
        CallFailedError, match=r"can now reach .*, but an old entry could not be removed"
    ) as failure:
        office.up(**inputs(web, revoke_auto_added=True))

    assert failure.value.kept_id == f"{web}/{OFFICE}"
    office.update(office.checked(**inputs(web, revoke_auto_added=True)))
    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}


def test_concurrent_creates_are_added_one_by_one(host: Host, web: str, emulator: Emulator) -> None:
    entries = [host.resource("AllowedIp", f"ip-{number}") for number in range(5)]

    raised = in_parallel(
        *(
            lambda entry=entry, number=number: entry.up(
                container=web, ip_address=f"198.51.100.{number}", revoke_auto_added=True
            )
            for number, entry in enumerate(entries)
        )
    )

    assert raised == [None] * 5
    assert addresses(emulator, "web") == {f"198.51.100.{n}": ("Custom IP", "both") for n in range(5)}
