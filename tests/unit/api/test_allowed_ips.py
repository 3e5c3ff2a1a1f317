from __future__ import annotations

from typing import Any

import pytest
import responses
from responses.matchers import json_params_matcher

from stacks_pulumi import errors
from stacks_pulumi.api import StacksClient, models
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api.allowed_ips import AllowedIpsApi, is_auto_added
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import URL, Script, chain, data, ok, refusal


def entry(
    id: str, ip_address: str, description: str = "Custom IP", service_type: str = "both"
) -> dict[str, str]:
    return {"id": id, "ip_address": ip_address, "description": description, "service_type": service_type}


def allowed(*entries: dict[str, str]) -> Answer:
    return data({"external_access_enabled": True, "allowed_ips": list(entries)})


def test_list(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/a/allowed-ips", json={"data": {"allowed_ips": [entry("u", "10.0.0.1")]}})

    assert client.allowed_ips.list("a").allowed_ips == (
        models.AllowedIp(id="u", ip_address="10.0.0.1", description="Custom IP", service_type="both"),
    )


def test_add(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/a/allowed-ips", json={"data": {"allowed_ips": []}})
    http.post(
        f"{URL}/containers/a/allowed-ips",
        json={"success": True, "data": {"id": "u"}},
        match=[
            json_params_matcher(
                {"ip_address": "198.51.100.0/24", "description": "Office", "service_type": "http"}
            )
        ],
    )

    assert client.allowed_ips.add("a", "198.51.100.0/24", description="Office", service_type="http") == (
        models.AllowedIp(id="u", ip_address="198.51.100.0/24", description="Office", service_type="http")
    )


def test_remove(client: StacksClient, http: responses.RequestsMock) -> None:
    http.delete(f"{URL}/containers/a/allowed-ips/u", json={"success": True})

    client.allowed_ips.remove("a", "u")


def add(script: Script, clock: FakeClock, ip: str = "10.0.0.7") -> models.AllowedIp:
    return AllowedIpsApi(chain(script, clock), clock).add("a", ip)


def test_a_missing_id_is_found_by_listing(clock: FakeClock) -> None:
    script = Script(
        allowed_ips__list=[
            allowed(entry("1", "10.0.0.1")),
            allowed(entry("1", "10.0.0.1"), entry("2", "10.0.0.7")),
        ],
        allowed_ips__add=ok({"success": True, "message": "added"}),
    )

    assert add(script, clock).id == "2"
    assert clock.now() == 1000.0


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("10.0.0.7/32", "10.0.0.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("10.0.0.0/24", "10.0.0.7/24"),
    ],
)
def test_an_equal_entry_in_another_spelling_exists_already(clock: FakeClock, asked: str, there: str) -> None:
    with pytest.raises(errors.ExistsError) as caught:
        add(Script(allowed_ips__list=allowed(entry("1", there))), clock, asked)
    assert caught.value.existing.id == "1"


@pytest.mark.parametrize("other", [{"description": "Your IP (Auto-added)"}, {"service_type": "tcp"}])
def test_another_description_is_no_conflict(clock: FakeClock, other: dict[str, str]) -> None:
    script = Script(
        allowed_ips__list=allowed(entry("1", "10.0.0.7", **other)), allowed_ips__add=data({"id": "2"})
    )

    assert add(script, clock).id == "2"


def test_an_earlier_entry_is_not_the_result_of_a_lost_response(clock: FakeClock) -> None:
    old, new = entry("1", "10.0.0.7", "Old"), entry("2", "10.0.0.7")
    adds: list[Call[Any]] = []

    def answered(call: Call[Any]) -> Answer:
        adds.append(call)
        return [refusal(502), refusal(504)][len(adds) - 1]

    script = Script(
        allowed_ips__list=lambda _call: allowed(old, new) if len(adds) == 2 else allowed(old),
        allowed_ips__add=answered,
    )

    assert add(script, clock).id == "2"
    assert len(adds) == 2


OWN = "203.0.113.45"


@pytest.mark.parametrize(
    ("entries", "automatic"),
    [
        # The guide's description, including one for another machine's address.
        ({OWN: "Your IP (Auto-added)", "192.0.2.1": "your ip (auto-added) ", "192.0.2.2": "Office"}, "TTF"),
        # A different description: the caller's address identifies the entry.
        ({OWN: "Added automatically", "192.0.2.1": "Added automatically", "192.0.2.2": "Office"}, "TTF"),
        ({OWN: None, "192.0.2.1": None}, "T?"),
        # The caller's own rule does not reveal the platform's description.
        ({OWN: "Custom IP", "192.0.2.1": "Custom IP", "192.0.2.2": "Added automatically"}, "TF?"),
        # No fact shows which entry the platform has added.
        ({"192.0.2.1": "Added automatically", "192.0.2.2": "Custom IP"}, "?F"),
    ],
)
def test_what_the_platform_added_is_recognised_by_the_callers_address(
    entries: dict[str, str | None], automatic: str
) -> None:
    rows = [
        models.AllowedIp(id=address, ip_address=address, description=text)
        for address, text in entries.items()
    ]
    access = models.ExternalAccess(your_ip=OWN, allowed_ips=models.Listing(rows))

    assert (
        "".join({True: "T", False: "F", None: "?"}[is_auto_added(access, row)] for row in rows) == automatic
    )


def test_an_add_after_a_look_does_not_look_again(clock: FakeClock) -> None:
    script = Script(allowed_ips__add=data({"id": "2"}))
    nouns = AllowedIpsApi(chain(script, clock), clock)

    nouns.add("a", "10.0.0.7", before=models.Listing([models.AllowedIp(id="1", ip_address="10.0.0.1")]))

    assert script.operations == ["allowed_ips.add"]


def test_an_invalid_address_is_sent_to_the_api(clock: FakeClock) -> None:
    script = Script(
        allowed_ips__list=allowed(entry("1", "what")), allowed_ips__add=refusal(400, "bad address")
    )

    with pytest.raises(errors.BadRequestError, match="bad address"):
        add(script, clock, "nonsense")
