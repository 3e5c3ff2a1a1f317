"""The rules of external access and allowed addresses, without HTTP."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from stacks_pulumi.emulator import access
from stacks_pulumi.emulator.answers import Refusal

if TYPE_CHECKING:
    from stacks_pulumi.emulator.state import Container
    from tests.emulator.conftest import OneAccount


@pytest.fixture
def exposed(platform: OneAccount) -> Container:
    made = platform.running("myapp")
    access.set_access(platform, made, enabled=True)
    return made


def addresses(container: Container) -> list[str]:
    return [ip.ip_address for ip in container.allowed_ips]


def test_enable_again_keeps_the_subdomain_and_adds_the_new_caller(
    platform: OneAccount, exposed: Container
) -> None:
    before = exposed.subdomain
    platform.your_ip = "203.0.113.99"
    access.set_access(platform, exposed, enabled=True)
    access.set_access(platform, exposed, enabled=True)

    assert exposed.subdomain == before
    assert addresses(exposed) == ["203.0.113.45", "203.0.113.99"]


def test_disable_clears_access_and_enable_assigns_a_new_subdomain(
    platform: OneAccount, exposed: Container
) -> None:
    before = exposed.subdomain
    access.set_access(platform, exposed, enabled=False)
    assert (exposed.external_access, exposed.subdomain, exposed.url, exposed.allowed_ips) == (
        False,
        None,
        None,
        [],
    )

    access.set_access(platform, exposed, enabled=True)
    assert exposed.subdomain not in {None, before}


@pytest.mark.parametrize("enabled", [None, "true", 1, [], {}])
def test_enabled_must_be_a_boolean(platform: OneAccount, enabled: Any) -> None:
    with pytest.raises(Refusal) as caught:
        access.set_access(platform, platform.running(), enabled)

    assert (caught.value.status, caught.value.body["field"]) == (400, "enabled")


@pytest.mark.parametrize(
    "address",
    ["198.51.100.7", "198.51.100.0/24", "2001:db8::1", "2001:db8::/32", "0.0.0.0/0"],
)
def test_addresses_and_ranges_are_stored_as_written(
    platform: OneAccount, exposed: Container, address: str
) -> None:
    entry = access.add_ip(platform, exposed, {"ip_address": address})

    assert (entry.ip_address, entry.description, entry.service_type) == (address, "Custom IP", "both")
    assert addresses(exposed)[-1] == address


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ip_address"),
        ({"ip_address": ""}, "ip_address"),
        ({"ip_address": 7}, "ip_address"),
        ({"ip_address": "example.org"}, "ip_address"),
        ({"ip_address": "198.51.100.256"}, "ip_address"),
        ({"ip_address": "198.51.100.0/33"}, "ip_address"),
        ({"ip_address": " 198.51.100.7"}, "ip_address"),
        ({"ip_address": "fe80::1%eth0"}, "ip_address"),
        ({"ip_address": "198.51.100.7/24"}, "ip_address"),
        ({"ip_address": "198.51.100.7", "description": None}, "description"),
        ({"ip_address": "198.51.100.7", "service_type": None}, "service_type"),
        ({"ip_address": "198.51.100.7", "service_type": "udp"}, "service_type"),
        ({"ip_address": "198.51.100.7", "service_type": ["http"]}, "service_type"),
        ({"ip_address": "198.51.100.7", "description": 1}, "description"),
    ],
)
def test_a_bad_field_is_refused_by_name(
    platform: OneAccount, exposed: Container, body: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refusal) as caught:
        access.add_ip(platform, exposed, body)

    assert (caught.value.status, caught.value.body["field"]) == (400, field)


@pytest.mark.parametrize("double", ["203.0.113.45", "203.0.113.45/32"])
def test_an_equal_address_in_another_spelling_is_refused(
    platform: OneAccount, exposed: Container, double: str
) -> None:
    with pytest.raises(Refusal, match="already allowed"):
        access.add_ip(platform, exposed, {"ip_address": double, "service_type": "tcp"})

    platform.duplicate_ips = True
    access.add_ip(platform, exposed, {"ip_address": double, "service_type": "tcp"})
    assert addresses(exposed) == ["203.0.113.45", double]


def test_nothing_can_be_allowed_while_access_is_off(platform: OneAccount) -> None:
    with pytest.raises(Refusal, match="not enabled"):
        access.add_ip(platform, platform.running(), {"ip_address": "198.51.100.7"})


def test_the_last_address_cannot_be_removed(platform: OneAccount, exposed: Container) -> None:
    first = exposed.allowed_ips[0]
    second = access.add_ip(platform, exposed, {"ip_address": "198.51.100.7"})
    access.remove_ip(exposed, first.id)

    with pytest.raises(Refusal, match="last IP address") as caught:
        access.remove_ip(exposed, second.id)

    assert caught.value.status == 400
    assert addresses(exposed) == ["198.51.100.7"]


def test_an_unknown_entry_is_not_found(exposed: Container) -> None:
    with pytest.raises(Refusal) as caught:
        access.remove_ip(exposed, "nothing")

    assert caught.value.status == 404


def test_without_strict_more_inputs_are_accepted(platform: OneAccount, exposed: Container) -> None:
    platform.strict = False
    body = {"ip_address": "198.51.100.7/24", "description": None, "service_type": None}
    entry = access.add_ip(platform, exposed, body)

    assert (entry.ip_address, entry.description, entry.service_type) == (
        "198.51.100.7/24",
        "Custom IP",
        "both",
    )
    with pytest.raises(Refusal):
        access.add_ip(platform, exposed, {"ip_address": "fe80::1%eth0"})


def test_every_entry_has_a_unique_uuid(platform: OneAccount, exposed: Container) -> None:
    made = [access.add_ip(platform, exposed, {"ip_address": f"198.51.100.{n}"}).id for n in range(1, 4)]

    assert [str(uuid.UUID(id_)) for id_ in made] == made
    assert {uuid.UUID(id_).version for id_ in made} == {4}
    assert len(set(made)) == 3
