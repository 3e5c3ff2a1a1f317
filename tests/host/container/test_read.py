"""Read of a Container on the real host: failures, look-ups, and the proof of a deletion."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.clock import fast_clock
from tests.support.host import CallFailedError, Host, HostedResource
from tests.support.platforms import READINGS, play


def test_an_empty_list_is_verified_by_the_container_itself(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs")
    emulator.faults.add("containers.list", "answer", body={"success": True, "count": 0, "data": []})

    assert web.read()


@pytest.mark.hosts("dynamic", "native")
def test_a_look_up_by_id_reads_the_container(web: HostedResource, there: str, emulator: Emulator) -> None:
    assert web.get(there)

    assert ("web", "nodejs", "basic", 4) == tuple(
        web.outs[name] for name in ("name", "template", "plan", "monthly_price_usd")
    )


def test_a_look_up_of_a_missing_container_is_an_error(web: HostedResource) -> None:
    with pytest.raises(CallFailedError, match="Container usr-00000000-none does not exist in this account"):
        web.get("usr-00000000-none")


@pytest.mark.parametrize("operation", ["read", "delete"])
def test_the_key_of_another_account_keeps_the_state(
    web: HostedResource, emulator: Emulator, make_host: Callable[..., Host], operation: str
) -> None:
    web.up(name="web", template="nodejs")
    key = emulator.new_key(account=emulator.new_account())
    web.host = make_host({"stacks:apiKey": key, "stacks:baseUrl": emulator.url})
    web.host.resource("Container", "theirs").up(name="theirs", template="nodejs")

    with pytest.raises(CallFailedError, match="is not in the account of this API key"):
        getattr(web, operation)()

    assert set(emulator.state.names()) == {"web", "theirs"}


@pytest.mark.parametrize("there", [True, False])
def test_an_id_without_the_account_shows_its_account_by_the_container_alone(
    make_host: Callable[..., Host], there: bool
) -> None:
    with Emulator(clock=fast_clock()) as api:
        api.load([{"name": "elder", "template": "nodejs"}])
        play(api, READINGS["ids as UUIDs"])
        config = {"stacks:apiKey": api.key, "stacks:baseUrl": api.url}
        web = make_host(config).resource("Container", "web")
        web.up(name="web", template="nodejs")
        web.host = make_host({**config, "stacks:apiKey": api.new_key()})
        api.faults.add("containers.list", "answer", body={"data": [{"id": str(uuid.uuid4())}]}, times=None)
        if there:
            web.delete()
            assert api.state.names() == ["elder"]
        else:
            api.drift.delete("web")
            with pytest.raises(CallFailedError, match="the account of this key does not show it"):
                web.read()


def test_a_failed_boot_is_retried_after_a_refresh(web: HostedResource, emulator: Emulator) -> None:
    emulator.fail_boot("web", 1)
    with pytest.raises(CallFailedError):
        web.up(name="web", template="nodejs")

    web.read()

    assert web.up(name="web", template="nodejs") == ["update"]
    assert web.outs["status"] == "running"
