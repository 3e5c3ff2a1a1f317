"""SshCertificate on the real host: it downloads or regenerates the key of a compute container."""

from __future__ import annotations

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.contents import private_key
from tests.support.accounts import running
from tests.support.host import SECRET, UNKNOWN, CallFailedError, Host, HostedResource, PluginHost


@pytest.fixture
def web(emulator: Emulator) -> str:
    """Return the id of a compute container."""
    return running(emulator, "web")


@pytest.fixture
def key(host: Host) -> HostedResource:
    """Return the resource of a key that is not downloaded yet."""
    return host.resource("SshCertificate", "key")


def id_of(key: HostedResource, container: str) -> str:
    """Return the id of a new key: a dynamic resource keeps the form of version 0.1."""
    return f"{container}/ssh" if isinstance(key.host, PluginHost) else container


@pytest.mark.hosts("dynamic", "native")
def test_the_key_is_downloaded_as_a_secret(key: HostedResource, web: str, emulator: Emulator) -> None:
    key.up(container=web)

    assert key.id == id_of(key, web)
    assert key.outs["private_key"].startswith("-----BEGIN ")
    assert SECRET.items() <= key.raw["private_key"].items()
    assert emulator.calls() == 2
    assert key.up(container=web) == []
    assert emulator.calls() == 2


@pytest.mark.hosts("dynamic", "native")
def test_a_trigger_makes_a_new_key(key: HostedResource, web: str, emulator: Emulator) -> None:
    key.up(container=web, rotate_triggers=["2026"])
    first, calls = key.outs["private_key"], emulator.calls()

    assert key.up(container=web, rotate_triggers=["2027"]) == ["update"]

    assert key.outs["private_key"] != first
    assert emulator.state.container("web").certificate_serial == 2
    # The requests: container, new key, and download, because the second answer does not contain the key.
    assert emulator.calls() == calls + 3
    assert key.up(container=web, rotate_triggers=["2027"]) == []


def test_an_update_without_a_new_trigger_makes_no_new_key(
    key: HostedResource, web: str, emulator: Emulator
) -> None:
    key.up(container=web, rotate_triggers=["1"])
    before = key.outs

    # A state from the other host causes this update.
    key.update(key.checked(container=web, rotate_triggers=["1"]))

    assert key.outs == before
    assert emulator.calls("containers.regenerate_certificate") == 0


def test_a_failed_rotation_is_retried(key: HostedResource, web: str, emulator: Emulator) -> None:
    key.up(container=web)
    emulator.faults.add("containers.regenerate_certificate", "status", code=400)

    with pytest.raises(CallFailedError, match="400"):
        key.up(container=web, rotate_triggers=[1])

    assert key.up(container=web, rotate_triggers=[1]) == ["update"]
    assert emulator.state.container("web").certificate_serial == 2


def test_the_old_key_is_not_taken_for_the_new_one(key: HostedResource, web: str, emulator: Emulator) -> None:
    key.up(container=web, rotate_triggers=[1])
    old = key.outs["private_key"]
    emulator.faults.add("containers.certificate", "answer", body=old, content_type="text/plain")

    key.up(container=web, rotate_triggers=[2])

    assert key.outs["private_key"] == private_key(emulator.state, emulator.state.container("web")) != old
    assert emulator.state.container("web").certificate_serial == 2
    emulator.faults.assert_none_left()


def test_a_key_that_cannot_be_downloaded_again_stays_in_the_state(
    key: HostedResource, web: str, emulator: Emulator
) -> None:
    key.up(container=web)
    before = key.outs
    emulator.faults.add("containers.certificate", "status", code=404)

    assert key.read()

    assert key.outs == before
    emulator.faults.assert_none_left()
    assert any("the state keeps its key" in line for line in key.lines())


def test_another_container_replaces_the_key(key: HostedResource, web: str, emulator: Emulator) -> None:
    other = running(emulator, "other")
    key.up(container=web)

    assert list(key.diff(key.checked(container=UNKNOWN)).replaces) == ["container"]
    assert key.up(container=other) == ["replace"]
    assert key.id == id_of(key, other)


def test_a_read_finds_a_key_that_was_regenerated_outside(
    key: HostedResource, web: str, emulator: Emulator
) -> None:
    key.up(container=web)
    first = key.outs["private_key"]
    emulator.state.container("web").certificate_serial = 2

    assert key.read()

    assert key.outs["private_key"] != first
    assert SECRET.items() <= key.raw["private_key"].items()
    assert key.up(container=web) == []


def test_a_managed_service_and_a_stopped_container_are_clear_errors(
    key: HostedResource, web: str, emulator: Emulator
) -> None:
    sql = running(emulator, "sql", "postgresql")
    with pytest.raises(CallFailedError, match="download the SSH key of container"):
        key.up(container=sql)

    emulator.drift.stop("web")
    with pytest.raises(CallFailedError, match=r"an SSH key needs a running container, but .* is stopped"):
        key.up(container=web)


def test_delete_does_not_change_the_containers_key(key: HostedResource, web: str, emulator: Emulator) -> None:
    key.up(container=web)
    calls = emulator.calls()

    key.delete()

    assert emulator.calls() == calls


@pytest.mark.hosts("dynamic", "native")
@pytest.mark.parametrize("form", ["{}", "{}/ssh"])
def test_a_key_is_found_by_both_forms_of_its_id(key: HostedResource, web: str, form: str) -> None:
    key.up(container=web, rotate_triggers=["1"])
    first = key.outs["private_key"]
    key.id = form.format(web)

    assert key.up(container=web, rotate_triggers=["2"]) == ["update"]
    assert key.outs["private_key"] != first
    assert key.read()
    assert (key.id, key.outs["container"]) == (form.format(web), web)
    assert key.up(container=web, rotate_triggers=["2"]) == []


# Dynamic resources cannot be imported.
@pytest.mark.hosts("native")
def test_an_imported_key_has_another_id_than_its_container(key: HostedResource, web: str) -> None:
    for id_ in (web, f"{web}/ssh"):
        imported = key.host.stub.Read(provider_pb2.ReadRequest(id=id_, urn=key.urn))
        assert imported.id == f"{web}/ssh"
        assert key.host.to_dict(imported.inputs) == {"container": web}
    with pytest.raises(grpc.RpcError) as failure:
        key.host.stub.Read(provider_pb2.ReadRequest(id=f"{web}/laptop", urn=key.urn))
    assert "does not exist in this account" in str(failure.value.details())


def test_a_look_up_by_id_downloads_the_key(key: HostedResource, web: str) -> None:
    assert key.get(web)

    assert (web, True) == (key.outs["container"], "PRIVATE KEY" in key.outs["private_key"])
    assert SECRET.items() <= key.raw["private_key"].items()

    with pytest.raises(CallFailedError, match=r"does not exist in this account"):
        key.get("usr-1-none")
