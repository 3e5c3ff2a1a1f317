"""VpnClient on the real host: it adds a device, and keeps its private key secret."""

from __future__ import annotations

import json

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import running
from tests.support.host import SECRET, UNKNOWN, CallFailedError, Host, HostedResource

ODD = "Ann's laptop / home?x=1#%2F"


@pytest.fixture
def vpn(emulator: Emulator) -> str:
    """Return the id of a VPN container."""
    return running(emulator, "vpn", "stacks-vpn")


@pytest.fixture
def laptop(host: Host) -> HostedResource:
    """Return the resource of a client that does not exist yet."""
    return host.resource("VpnClient", "laptop")


def clients(emulator: Emulator) -> list[str]:
    """Return the names of the container's clients; the first is the default client of every VPN."""
    return [client.name for client in emulator.state.container("vpn").vpn_clients]


# --- check and diff ---


@pytest.mark.hosts("dynamic", "native")
def test_only_a_rotation_deletes_before_it_creates(laptop: HostedResource, vpn: str) -> None:
    laptop.up(container=vpn, name="laptop", rotate_triggers=["2026"])

    for change, first in (
        ({"rotate_triggers": ["2027"]}, True),
        ({"rotate_triggers": [UNKNOWN]}, True),
        ({"name": "other"}, False),
        ({"container": UNKNOWN}, False),
    ):
        given = {"container": vpn, "name": "laptop", "rotate_triggers": ["2026"], **change}
        diff = laptop.diff(laptop.checked(**given))
        assert (list(diff.replaces), diff.deleteBeforeReplace) == (list(change), first)


# --- create ---


@pytest.mark.hosts("dynamic", "native")
def test_a_client_is_added_and_its_configuration_is_a_secret(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    laptop.up(container=vpn, name="laptop")

    assert laptop.id == f"{vpn}/laptop"
    assert laptop.outs["config"].startswith("[Interface]\nPrivateKey = ")
    assert SECRET.items() <= laptop.raw["config"].items()
    # The requests: the container, its clients, the creation, the configuration.
    assert emulator.calls() == 4
    assert laptop.up(container=vpn, name="laptop") == []
    assert emulator.calls() == 4


def test_any_name_stays_one_segment_of_the_path(laptop: HostedResource, vpn: str, emulator: Emulator) -> None:
    laptop.up(container=vpn, name=ODD)

    assert clients(emulator) == ["default", ODD]
    assert laptop.id == f"{vpn}/{ODD}"
    assert laptop.read()
    assert laptop.up(container=vpn, name=ODD) == []
    laptop.delete()
    assert clients(emulator) == ["default"]


def test_a_name_stored_in_lower_case_is_found_again(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    laptop.up(container=vpn, name="Laptop")
    emulator.state.container("vpn").vpn_clients[-1].name = "laptop"

    assert laptop.read()
    assert laptop.up(container=vpn, name="Laptop") == []


def test_a_configuration_is_downloaded_only_if_it_is_stored(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    laptop.up(container=vpn, name="laptop", store_config=False)

    assert "PrivateKey" not in json.dumps(laptop.raw)
    assert emulator.calls("vpn_clients.config") == 0
    assert laptop.read()
    assert laptop.up(container=vpn, name="laptop", store_config=False) == []


def test_a_non_vpn_or_stopped_container_is_a_clear_error(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    web = running(emulator, "web")
    with pytest.raises(CallFailedError, match="not a STACKS VPN container"):
        laptop.up(container=web, name="laptop")

    emulator.drift.stop("vpn")
    with pytest.raises(
        CallFailedError, match=r"a VPN client needs a running container, but .*-vpn is stopped"
    ):
        laptop.up(container=vpn, name="laptop")


def test_a_failed_download_keeps_the_client_and_is_retried(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    emulator.faults.add("vpn_clients.config", "status", code=403)

    with pytest.raises(
        CallFailedError, match="was added, but its configuration could not be downloaded"
    ) as failure:
        laptop.up(container=vpn, name="laptop")

    assert failure.value.kept_id == f"{vpn}/laptop"
    # A refresh does not report the missing configuration; the state still contains this fact.
    assert laptop.read()
    assert laptop.up(container=vpn, name="laptop") == ["update"]
    assert "PrivateKey" in laptop.outs["config"]
    assert clients(emulator) == ["default", "laptop"]


def test_a_configuration_that_is_given_only_once_and_was_lost_names_the_way_out_at_each_up(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    emulator.faults.add("vpn_clients.config", "status", times=3, code=404)

    for _ in range(2):
        with pytest.raises(CallFailedError, match=r"change rotate_?[tT]riggers, which adds the client again"):
            laptop.up(container=vpn, name="laptop")


def test_a_client_whose_creation_failed_partway_is_compared_with_a_later_one(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    fault = emulator.faults.add("vpn_clients.config", "status", code=500, times=None)
    with pytest.raises(CallFailedError, match="could not be downloaded"):
        laptop.up(container=vpn, name="laptop")
    assert fault.fired
    emulator.faults.clear()
    emulator.clock.advance(300)
    emulator.drift.start(emulator.drift.recreate("vpn").id)
    emulator.drift.add_vpn_client("vpn", "laptop")

    laptop.delete()

    assert clients(emulator) == ["default", "laptop"]
    assert any("it is left alone" in line for line in laptop.lines())


def test_a_configuration_that_is_not_ready_yet_is_waited_for(
    host: Host, vpn: str, emulator: Emulator
) -> None:
    text = {"body": "It is being generated", "content_type": "text/plain"}
    for name, kind, options in (
        ("laptop", "answer", text),
        ("phone", "status", {"code": 404}),
        ("tablet", "status", {"code": 409}),
    ):
        emulator.faults.add("vpn_clients.config", kind, **options)
        device = host.resource("VpnClient", name)

        device.up(container=vpn, name=name)

        assert "PrivateKey" in device.outs["config"]
        emulator.faults.assert_none_left()


def test_an_existing_client_is_adopted_only_if_asked(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    emulator.drift.add_vpn_client("vpn", "laptop")

    with pytest.raises(CallFailedError, match=r'the VPN client "laptop" of .*vpn exists already') as failure:
        laptop.up(container=vpn, name="laptop")
    assert laptop.host.worded('stacks.VpnClient("laptop", ..., adopt="if_matching")') in str(failure.value)

    laptop.up(container=vpn, name="laptop", adopt="if_matching")
    assert "PrivateKey" in laptop.outs["config"]
    assert laptop.up(container=vpn, name="laptop", adopt="if_matching") == []


def test_an_existing_client_of_a_stopped_container_is_adopted(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    emulator.drift.add_vpn_client("vpn", "laptop")
    emulator.drift.stop("vpn")

    with pytest.raises(CallFailedError, match="needs a running container"):
        laptop.up(container=vpn, name="phone", adopt="if_matching")
    laptop.up(container=vpn, name="laptop", adopt="if_matching")

    assert "PrivateKey" in laptop.outs["config"]
    assert laptop.up(container=vpn, name="laptop", adopt="if_matching") == []


# --- update, replace, read ---


def test_storing_the_configuration_can_be_changed_later(laptop: HostedResource, vpn: str) -> None:
    laptop.up(container=vpn, name="laptop")

    assert laptop.up(container=vpn, name="laptop", store_config=False) == ["update"]
    assert "PrivateKey" not in json.dumps(laptop.raw)
    assert laptop.up(container=vpn, name="laptop") == ["update"]
    assert SECRET.items() <= laptop.raw["config"].items()


@pytest.mark.hosts("dynamic", "native")
def test_a_rotation_makes_a_new_key(laptop: HostedResource, vpn: str, emulator: Emulator) -> None:
    laptop.up(container=vpn, name="laptop", rotate_triggers=[1])
    first = laptop.outs["config"]

    assert laptop.up(container=vpn, name="laptop", rotate_triggers=[2]) == ["replace"]

    assert laptop.outs["config"] != first
    assert clients(emulator) == ["default", "laptop"]


def test_a_read_keeps_the_configuration_and_shares_its_two_calls(
    host: Host, vpn: str, emulator: Emulator
) -> None:
    devices = [host.resource("VpnClient", name) for name in ("laptop", "phone")]
    for device in devices:
        device.up(container=vpn, name=device.name)
    before, calls = [dict(device.outs) for device in devices], emulator.calls()

    assert all(device.read() for device in devices)

    assert [device.outs for device in devices] == before
    assert all(SECRET.items() <= device.raw["config"].items() for device in devices)
    assert emulator.calls() == calls + 2


@pytest.mark.hosts("dynamic", "native")
def test_a_look_up_by_id_downloads_no_key(laptop: HostedResource, vpn: str, emulator: Emulator) -> None:
    assert laptop.get(f"{vpn}/default")

    assert {"container": vpn, "name": "default"}.items() <= laptop.outs.items()
    assert emulator.calls("vpn_clients.config") == 0

    with pytest.raises(CallFailedError, match=r"does not exist in this account"):
        laptop.get(f"{vpn}/none")


# --- answers that the guide leaves open ---


def test_commands_in_a_configuration_are_a_warning(
    laptop: HostedResource, vpn: str, emulator: Emulator
) -> None:
    config = "[Interface]\nPrivateKey = aGk=\nPostUp = id\n"
    emulator.faults.add("vpn_clients.config", "answer", body={"success": True, "data": {"config": config}})

    laptop.up(container=vpn, name="laptop")

    warned = [line for line in laptop.lines() if "line 3 sets PostUp" in line]
    assert len(warned) == 1
    assert warned[0].startswith(f"the VPN client {vpn}/laptop: wg-quick may run commands")
    laptop.read()
    assert len([line for line in laptop.lines() if "line 3 sets PostUp" in line]) == 2
