"""The rules of VPN clients, without HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stacks_pulumi.emulator import vpn
from stacks_pulumi.emulator.answers import Refusal

if TYPE_CHECKING:
    from tests.emulator.conftest import OneAccount


@pytest.mark.parametrize("name", ["my-laptop", "my laptop", "home/office", "höhle", "x" * 64])
def test_a_client_may_have_any_printable_name(platform: OneAccount, name: str) -> None:
    gateway = platform.running("gate", "stacks-vpn")
    vpn.add(platform, gateway, name)

    assert vpn.find(gateway, name).name == name
    vpn.remove(gateway, name)
    with pytest.raises(Refusal) as caught:
        vpn.find(gateway, name)
    assert caught.value.status == 404


@pytest.mark.parametrize("name", [None, "", 7, "x" * 65, "a\nb", " a", "a "])
def test_a_bad_name_is_refused_with_its_field(platform: OneAccount, name: Any) -> None:
    with pytest.raises(Refusal) as caught:
        vpn.add(platform, platform.running("gate", "stacks-vpn"), name)

    assert (caught.value.status, caught.value.body["field"]) == (400, "name")


def test_names_are_unique_within_a_vpn(platform: OneAccount) -> None:
    gateway, other = platform.running("gate", "stacks-vpn"), platform.running("other", "stacks-vpn")
    vpn.add(platform, gateway, "phone")
    vpn.add(platform, other, "phone")

    with pytest.raises(Refusal, match="already exists"):
        vpn.add(platform, gateway, "phone")


def test_clients_are_added_only_to_a_running_vpn(platform: OneAccount) -> None:
    with pytest.raises(Refusal, match="must be running"):
        vpn.add(platform, platform.create("gate", "stacks-vpn"), "phone")
    with pytest.raises(Refusal, match="not a STACKS VPN"):
        vpn.add(platform, platform.running("app"), "phone")


def test_a_client_added_again_has_a_new_configuration(
    platform: OneAccount,
) -> None:
    gateway = platform.running("gate", "stacks-vpn")
    first = vpn.wireguard(platform.state, gateway, vpn.add(platform, gateway, "phone"))
    again = vpn.wireguard(platform.state, gateway, vpn.find(gateway, "phone"))
    vpn.remove(gateway, "phone")
    second = vpn.wireguard(platform.state, gateway, vpn.add(platform, gateway, "phone"))

    assert first == again
    assert first.startswith("[Interface]\nPrivateKey = ")
    assert "[Peer]" in first
    assert first.splitlines()[1] != second.splitlines()[1]
