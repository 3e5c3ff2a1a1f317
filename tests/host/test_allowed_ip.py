"""AllowedIp on the real host: an address goes in, changes and goes out, and the list is never empty meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stacks_pulumi.emulator import SHAPES, Emulator
from tests.support.accounts import addresses, fewest_addresses, running
from tests.support.host import UNKNOWN, CallFailedError, Host, HostedResource, in_parallel

CALLER = "203.0.113.45"
OFFICE = "198.51.100.0/24"
AUTO_ADDED = ("Your IP (Auto-added)", "both")


@pytest.fixture
def web(emulator: Emulator) -> str:
    """Id of a container that can be reached from outside, by its maker so far."""
    id_ = running(emulator, "web")
    emulator.drift.set_external_access("web", enabled=True)
    return id_


@pytest.fixture
def office(host: Host, web: str) -> HostedResource:
    """An address that is not in the list yet."""
    return host.resource("AllowedIp", "office")


def inputs(web: str, **more: Any) -> dict[str, Any]:
    """What most tests ask for."""
    return {"container": web, "ip_address": OFFICE, **more}


# --- check ---


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("10.0.0.7/32", "10.0.0.7"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("2001:0db8::/32", "2001:db8::/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_an_address_is_kept_in_canonical_form(host: Host, given: str, canonical: str) -> None:
    assert host.resource("AllowedIp").checked(container="usr-1-web", ip_address=given) == {
        "container": "usr-1-web",
        "ip_address": canonical,
        "description": "Custom IP",
        "service_type": "both",
        "revoke_auto_added": False,
    }


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ip_address": "office"}, "'office' is neither an IPv4 or IPv6 address nor a network"),
        ({"ip_address": "10.0.0.7/33"}, "neither an IPv4 or IPv6 address"),
        ({"ip_address": "fe80::1%eth0"}, "neither an IPv4 or IPv6 address"),
        (
            {"ip_address": "10.0.0.7/24"},
            "write 10.0.0.0/24 for the network, or 10.0.0.7 for the address alone",
        ),
        ({"ip_address": "2001:db8::1/64"}, "write 2001:db8::/64 for the network"),
        ({"ip_address": 7}, "text is needed"),
        ({"ip_address": None}, "ip_address is missing"),
        ({"container": None}, "container is missing"),
        ({"container": "usr-1-web/10.0.0.7"}, "is not a container's id"),
        ({"service_type": "udp"}, "'udp' is not one of http, tcp, both"),
        ({"description": ""}, "empty"),
        ({"revoke_auto_added": "yes"}, "true or false is needed"),
        ({"adopt": "always"}, "never, if_matching"),
    ],
)
def test_what_is_wrong_fails_on_its_property(host: Host, wrong: dict[str, Any], words: str) -> None:
    found = host.resource("AllowedIp").check(**{"container": "usr-1-web", "ip_address": "10.0.0.7", **wrong})

    assert found.keys() == wrong.keys()
    assert host.worded(words) in "".join(found.values())


# --- create ---


def test_an_address_is_added_with_one_look_at_the_list_and_one_at_the_container(
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


def test_the_callers_address_goes_once_ours_is_in(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, revoke_auto_added=True))

    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}
    assert fewest_addresses(emulator, 1) == 1
    assert office.up(**inputs(web, revoke_auto_added=True)) == []


def test_while_access_is_off_the_error_says_what_to_write(host: Host, emulator: Emulator) -> None:
    container = running(emulator, "web")

    with pytest.raises(CallFailedError, match=r"external access of .*-web is off") as failure:
        host.resource("AllowedIp").up(**inputs(container))

    assert host.worded("external_access=True") in failure.value.message


def test_an_entry_of_somebody_else_is_an_error_that_tells_the_line_to_write(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    emulator.drift.allow_ip("web", OFFICE, description="by hand", service_type="tcp")

    with pytest.raises(CallFailedError, match=r"tcp, 'by hand'\) exists already") as failure:
        office.up(**inputs(web))

    assert office.host.worded('stacks.AllowedIp("office", ..., adopt="if_matching")') in str(failure.value)
    assert addresses(emulator, "web")[OFFICE] == ("by hand", "tcp")


@pytest.mark.parametrize("duplicates", [False, True])
def test_an_entry_of_somebody_else_is_taken_over_and_brought_to_the_inputs(
    make_host: Any, duplicates: bool
) -> None:
    with Emulator(duplicate_ips=duplicates) as emulator:
        web = running(emulator, "web")
        emulator.drift.set_external_access("web", enabled=True)
        emulator.drift.allow_ip("web", OFFICE, description="by hand", service_type="tcp")
        host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
        office = host.resource("AllowedIp", "office")

        office.up(**inputs(web, description="Office", adopt="if_matching"))

        assert addresses(emulator, "web") == {CALLER: AUTO_ADDED, OFFICE: ("Office", "both")}
        assert fewest_addresses(emulator, 2) >= 1
        assert office.up(**inputs(web, description="Office", adopt="if_matching")) == []


@pytest.mark.parametrize("duplicates", [False, True])
def test_the_callers_own_address_can_be_the_allowed_one(make_host: Any, duplicates: bool) -> None:
    with Emulator(duplicate_ips=duplicates) as emulator:
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


def test_a_lost_answer_is_no_second_entry(office: HostedResource, web: str, emulator: Emulator) -> None:
    emulator.faults.add("allowed_ips.add", "drop_after")

    office.up(**inputs(web))

    assert len(emulator.state.container("web").allowed_ips) == 2
    assert office.outs["entry_id"] == emulator.state.container("web").allowed_ips[-1].id


def test_a_failure_after_it_is_in_keeps_it_and_is_mended_by_the_next_up(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    emulator.faults.add("allowed_ips.remove", "status", code=400)

    with pytest.raises(
        CallFailedError, match=r"may reach .* now, but an entry that should be gone"
    ) as failure:
        office.up(**inputs(web, revoke_auto_added=True))

    assert failure.value.kept_id == f"{web}/{OFFICE}"
    office.update(office.checked(**inputs(web, revoke_auto_added=True)))
    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}


def test_many_at_once_end_up_in_the_list_one_by_one(host: Host, web: str, emulator: Emulator) -> None:
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


# --- diff and update ---


def test_another_address_or_container_is_another_entry(office: HostedResource, web: str) -> None:
    office.up(**inputs(web))

    for change in ({"ip_address": "198.51.100.7"}, {"container": "usr-1-other"}, {"container": UNKNOWN}):
        diff = office.diff(office.checked(**{**inputs(web), **change}))
        assert list(diff.replaces) == list(change)
        assert diff.deleteBeforeReplace is False


def test_the_same_address_in_another_spelling_is_no_change(office: HostedResource, web: str) -> None:
    office.up(container=web, ip_address="2001:db8:0::/48")

    assert office.up(container=web, ip_address="2001:0DB8::/48") == []


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("duplicates", [False, True])
def test_a_changed_entry_takes_the_old_ones_place_and_the_list_is_never_empty(
    make_host: Any, duplicates: bool, alone: bool
) -> None:
    with Emulator(duplicate_ips=duplicates) as emulator:
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
    emulator.faults.add("allowed_ips.add", "status", code=400)  # the double
    emulator.faults.add("allowed_ips.add", "pass")  # the placeholder
    emulator.faults.add("allowed_ips.add", "status", code=400)  # the new entry

    with pytest.raises(CallFailedError, match="400"):
        office.up(**inputs(web, revoke_auto_added=True, service_type="tcp"))

    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}
    assert office.up(**inputs(web, revoke_auto_added=True, service_type="tcp")) == ["update"]
    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "tcp")}


def test_what_an_interrupted_change_left_behind_goes_with_the_next_one(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, revoke_auto_added=True))
    emulator.faults.add("allowed_ips.remove", "pass", times=2)  # refused, then the old entry
    emulator.faults.add("allowed_ips.remove", "status", code=400)  # the placeholder

    with pytest.raises(CallFailedError, match="400"):
        office.up(**inputs(web, revoke_auto_added=True, service_type="tcp"))

    assert addresses(emulator, "web").keys() == {OFFICE, "192.0.2.1"}
    assert office.up(**inputs(web, revoke_auto_added=True, service_type="tcp")) == ["update"]
    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "tcp")}


# --- read ---


def test_a_change_outside_is_drift_and_is_mended(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, service_type="http"))
    emulator.drift.remove_ip("web", OFFICE)
    emulator.drift.allow_ip("web", OFFICE, service_type="both")

    assert office.read()

    assert office.inputs["service_type"] == "both"
    assert office.up(**inputs(web, service_type="http")) == ["update"]
    assert addresses(emulator, "web")[OFFICE] == ("Custom IP", "http")


def test_the_callers_address_coming_back_is_drift_and_goes_again(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, revoke_auto_added=True))
    emulator.drift.set_external_access("web", enabled=True)
    assert CALLER in addresses(emulator, "web")

    assert office.read()
    assert office.up(**inputs(web, revoke_auto_added=True)) == ["update"]

    assert addresses(emulator, "web") == {OFFICE: ("Custom IP", "both")}


def test_a_second_entry_for_the_address_is_drift_where_the_api_allows_it(make_host: Any) -> None:
    with Emulator(duplicate_ips=True) as emulator:
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


@pytest.mark.parametrize("how", ["entry", "access", "container"])
def test_what_is_gone_is_forgotten(office: HostedResource, web: str, emulator: Emulator, how: str) -> None:
    office.up(**inputs(web))
    if how == "entry":
        emulator.drift.remove_ip("web", OFFICE)
    elif how == "access":
        emulator.drift.set_external_access("web", enabled=False)
    else:
        emulator.drift.delete("web")

    assert not office.read()


@pytest.mark.parametrize("fault", [401, 403, 500, 503])
def test_a_failed_look_is_an_error_and_never_means_gone(
    office: HostedResource, web: str, emulator: Emulator, fault: int
) -> None:
    office.up(**inputs(web))
    emulator.faults.add("allowed_ips.list", fault, times=None)

    with pytest.raises(CallFailedError):
        office.read()


def test_entries_of_one_container_share_one_call_and_all_containers_another(
    host: Host, web: str, emulator: Emulator
) -> None:
    entries = [host.resource("AllowedIp", f"ip-{number}") for number in range(4)]
    for number, entry in enumerate(entries):
        entry.up(container=web, ip_address=f"198.51.100.{number}")
    calls = emulator.calls()

    assert all(entry.read() for entry in entries)

    assert emulator.calls() == calls + 2


def test_a_look_up_by_id_reads_what_is_there(office: HostedResource, web: str, emulator: Emulator) -> None:
    emulator.drift.allow_ip("web", OFFICE, description="by hand", service_type="tcp")

    assert office.get(f"{web}/{OFFICE}")

    expected = {"container": web, "ip_address": OFFICE, "description": "by hand", "service_type": "tcp"}
    assert expected.items() <= office.outs.items()

    with pytest.raises(CallFailedError, match=r"does not exist in this account"):
        office.get(f"{web}/192.0.2.7")


# --- delete ---


def test_an_address_is_taken_out(office: HostedResource, web: str, emulator: Emulator) -> None:
    office.up(**inputs(web))
    calls = emulator.calls()

    office.delete()

    assert addresses(emulator, "web") == {CALLER: AUTO_ADDED}
    assert emulator.calls() == calls + 2


@pytest.mark.parametrize(
    ("in_program", "severity"), [(True, "WARNING"), (False, "INFO")], ids=["container stays", "destroy"]
)
def test_with_the_last_address_access_goes_and_a_line_says_so(
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
    assert f"turned off instead, and with it {url}. If the Container says" in line.text
    assert 400 not in {request.status for request in emulator.requests}


def test_a_runners_address_that_came_back_does_not_stay_open(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web, revoke_auto_added=True))
    emulator.drift.set_external_access("web", enabled=True)

    office.delete()

    assert emulator.state.container("web").external_access is False


def test_all_at_once_go_and_the_last_one_takes_access_with_it(
    host: Host, web: str, emulator: Emulator
) -> None:
    entries = [host.resource("AllowedIp", f"ip-{number}") for number in range(4)]
    for number, entry in enumerate(entries):
        entry.up(container=web, ip_address=f"198.51.100.{number}", revoke_auto_added=True)

    assert in_parallel(*(entry.delete for entry in entries)) == [None] * 4

    assert emulator.state.container("web").external_access is False


def test_a_refusal_for_another_reason_does_not_turn_access_off(
    office: HostedResource, web: str, emulator: Emulator
) -> None:
    office.up(**inputs(web))
    emulator.faults.add("allowed_ips.remove", "status", code=400, body={"error": "Not today"})

    with pytest.raises(CallFailedError, match="Not today"):
        office.delete()

    assert addresses(emulator, "web").keys() == {CALLER, OFFICE}


@pytest.mark.parametrize("how", ["entry", "access", "container"])
def test_what_is_gone_already_is_deleted(
    office: HostedResource, web: str, emulator: Emulator, how: str
) -> None:
    office.up(**inputs(web))
    if how == "entry":
        emulator.drift.remove_ip("web", OFFICE)
    elif how == "access":
        emulator.drift.set_external_access("web", enabled=False)
    else:
        emulator.drift.delete("web")

    office.delete()

    assert office.id == ""


# --- answers that the guide leaves open ---


@pytest.fixture(params=SHAPES)
def shaped(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """The API in each shape of its open answers."""
    with Emulator(shapes=request.param) as emulator:
        yield emulator


def test_every_shape_of_an_answer_is_understood(shaped: Emulator, make_host: Any) -> None:
    web = running(shaped, "web")
    shaped.drift.set_external_access("web", enabled=True)
    host = make_host({"stacks:apiKey": shaped.key, "stacks:baseUrl": shaped.url})
    office = host.resource("AllowedIp", "office")

    office.up(**inputs(web, revoke_auto_added=True))
    assert office.outs["entry_id"] == shaped.state.container("web").allowed_ips[-1].id
    assert office.read()
    office.up(**inputs(web, revoke_auto_added=True, service_type="tcp"))
    assert addresses(shaped, "web") == {OFFICE: ("Custom IP", "tcp")}
    office.delete()

    assert shaped.state.container("web").external_access is False


# --- owners ---


def test_an_address_is_taken_over_from_a_resource_that_gives_it_up(
    host: Host, emulator: Emulator, make_host: Any
) -> None:
    web = host.resource("Container", "web")
    arguments = {"name": "web", "template": "nodejs", "external_access": True}
    web.up(**arguments)
    first, second = (host.resource("AllowedIp", name) for name in ("first", "second"))
    for resource, address in ((first, "198.51.100.1"), (second, "198.51.100.2")):
        resource.up(container=web.id, ip_address=address)
    # The next `up`: the replacement of the second is planned, and creates before it deletes.
    later = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
    web.host = second.host = later
    web.diff(web.checked(**arguments))
    second.diff(second.checked(container=web.id, ip_address="198.51.100.3"))

    new = later.resource("AllowedIp", "first")
    new.create(new.checked(container=web.id, ip_address="198.51.100.2"))
    second.delete()

    assert any("'first' in this program manages it now" in line.text for line in later.engine.lines)
    assert set(addresses(emulator, "web")) >= {"198.51.100.1", "198.51.100.2"}
