"""The host's conclusions about a container from late, odd or missing answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi._identifiers import as_time
from stacks_pulumi.emulator import Emulator, containers
from tests.support.host import CallFailedError, Host, HostedResource
from tests.support.waiting import until

EMPTY = {"success": True, "count": 0, "data": []}


def hide(emulator: Emulator, times: int | None) -> None:
    """Hide a container in the list and in the status."""
    emulator.faults.add("containers.list", "answer", body=EMPTY, times=times)
    emulator.faults.add("containers.status", "status", code=404, times=times)


# --- gone ---


def test_a_404_to_a_deletion_is_no_success_while_the_container_is_listed(
    web: HostedResource, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs")
    web.timeout = 4
    fault = emulator.faults.add("containers.delete", "status", code=404)

    with pytest.raises(CallFailedError, match="wanted gone"):
        web.delete()

    assert fault.fired == 1
    assert emulator.state.names() == ["web"]


# --- changed ---


def test_a_list_from_before_the_last_change_is_no_change(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs", desired_status="running")
    before = dict(web.outs)
    row = {"id": web.id, "name": "web", "type": "nodejs", "plan": "basic", "status": "stopped"}
    old = emulator.faults.add("containers.list", "answer", body={"data": [row]})

    assert web.read()

    assert old.fired == 1
    assert web.outs == before
    assert emulator.calls("containers.status") == 1


def test_a_change_that_its_own_address_confirms_needs_no_second_look(
    web: HostedResource, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs", desired_status="running")
    emulator.drift.stop("web")
    emulator.api.log.clear()

    assert web.read()

    assert web.outs["desired_status"] == "stopped"
    assert (emulator.calls("containers.list"), emulator.calls("containers.status")) == (1, 1)


# --- not visible yet ---


@pytest.fixture
def slow_web(emulator: Emulator, make_host: Callable[..., Host], tmp_path: Path) -> HostedResource:
    """Return a resource on a platform whose lists have only a small delay."""
    path = tmp_path / "slow.yaml"
    path.write_text("version: 1\nlists: {lag_seconds: 0.5}\n", "utf-8")
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url, "stacks:platform": str(path)}
    return make_host(config).resource("Container", "web")


def test_a_container_that_is_not_visible_in_time_keeps_its_id(
    slow_web: HostedResource, emulator: Emulator
) -> None:
    hide(emulator, None)
    slow_web.timeout = 30

    with pytest.raises(CallFailedError, match="it may not be visible yet") as failure:
        slow_web.up(name="web", template="nodejs")

    assert failure.value.kept_id == f"{emulator.account}-web"
    assert "requested_at" in slow_web.outs
    emulator.faults.clear()
    slow_web.timeout = 0
    # The next step of the engine for a resource whose creation failed partway.
    slow_web.update(slow_web.checked(name="web", template="nodejs"))
    assert slow_web.outs["status"] == "running"
    assert "requested_at" not in slow_web.outs


@pytest.mark.parametrize("listed", [False, True])
def test_a_container_that_is_much_newer_than_the_request_is_another_one(
    web: HostedResource, emulator: Emulator, listed: bool
) -> None:
    row = {"id": f"{emulator.account}-web", "name": "web", "type": "nodejs", "status": "pending"}
    rows = {"success": True, "count": 1, "data": [row]} if listed else EMPTY
    emulator.faults.add("containers.list", "pass")
    emulator.faults.add("containers.list", "answer", body=rows, times=None)
    emulator.faults.add("containers.status", "status", code=404, times=None)
    web.timeout = 1
    with pytest.raises(CallFailedError, match="timed-out"):
        web.up(name="web", template="nodejs")
    assert "created_at" not in web.outs
    web.timeout = 0
    emulator.faults.clear()
    emulator.clock.advance(86400)
    emulator.drift.recreate("web")

    with pytest.raises(CallFailedError, match="It was not deleted"):
        web.delete()

    assert emulator.state.names() == ["web"]


def test_a_refused_rollback_of_a_container_that_is_not_visible_yet_is_repeated(
    web: HostedResource, emulator: Emulator
) -> None:
    # On a slow machine, the create call would otherwise end before it is cancelled.
    emulator.platform.pace = emulator.platform.pace.__class__(boot_seconds=3600)
    checked = web.checked(name="web", template="nodejs")
    slow = emulator.faults.add("containers.create", "slow", seconds=1.0)
    refused = emulator.faults.add("containers.delete", "status", code=409)
    hidden = emulator.faults.add("containers.status", "status", code=404)

    web.abandon_create(checked, lambda: slow.fired == 1)

    until(lambda: emulator.state.names() == [] and refused.fired == hidden.fired == 1)


# --- the same ---


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_deletion_of_a_connection_that_the_api_accepts_does_not_show_whose_its_ends_are(
    web: HostedResource, host: Host, emulator: Emulator, make_host: Callable[..., Host], end: str
) -> None:
    """A platform may accept the deletion of a missing object, or keep a connection to a deleted target."""
    data, link = host.resource("Container", "data"), host.resource("Connection", "link")
    web.up(name="web", template="nodejs")
    data.up(name="data", template="postgresql")
    link.up(source=web.id, target=data.id, name="data")
    emulator.advance(3600)
    theirs = web if end == "source" else data
    emulator.drift.start(emulator.drift.recreate(theirs.inputs["name"]).id)
    emulator.advance(3600)
    accepted = emulator.faults.add("connections.delete", "answer", body={"success": True}, times=None)
    link.host = theirs.host = make_host(host.config)

    link.delete()
    with pytest.raises(CallFailedError, match="may be another stack's"):
        theirs.delete()

    assert accepted.fired
    assert emulator.state.names() == ["data", "web"]


def test_a_replaced_container_is_found_where_times_are_cut_to_the_minute(
    web: HostedResource, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new container has the creation time of the replaced one. It was once billed and in no state."""
    monkeypatch.setattr(containers, "iso", lambda seconds: as_time(seconds // 60 * 60))
    emulator.advance(61 - emulator.clock.now() % 60)
    web.up(name="web", template="nodejs")
    former = web.outs["created_at"]
    web.delete()

    web.up(name="web", template="nodejs")

    assert (web.outs["created_at"], emulator.state.names()) == (former, ["web"])


# --- external access ---


def test_a_url_that_the_answer_lacks_is_read_from_the_addresses(
    web: HostedResource, emulator: Emulator
) -> None:
    body = {"success": True, "message": "External access will be enabled"}
    emulator.faults.add("containers.external_access", "answer", body=body)

    web.up(name="web", template="nodejs", external_access=True)

    assert web.outs["url"].endswith(".stackshosting.cloud")


def test_a_new_container_that_its_own_address_does_not_know_is_kept_and_the_next_up_opens_it(
    web: HostedResource, emulator: Emulator
) -> None:
    emulator.faults.add("containers.external_access", "status", code=404)

    with pytest.raises(CallFailedError, match=r"may not be visible yet.*\[outcome-unknown\]") as failure:
        web.up(name="web", template="nodejs", external_access=True)
    assert failure.value.kept_id == f"{emulator.account}-web"

    web.update(web.checked(name="web", template="nodejs", external_access=True))
    assert web.outs["url"].endswith(".stackshosting.cloud")
