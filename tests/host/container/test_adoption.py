"""Container on the real host, if its name is in use: which containers are adopted, and which are refused?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stacks_pulumi.api import StacksClient
from stacks_pulumi.emulator import Emulator
from tests.support.host import UNKNOWN, CallFailedError, Host, HostedResource
from tests.support.platforms import READINGS, play


@pytest.mark.hosts("dynamic", "native")
def test_an_equal_container_is_adopted_and_updated(
    web: HostedResource, there: str, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs", adopt="if_matching", external_access=True)

    assert (there, "running", True) == (web.id, web.outs["status"], web.outs["external_access"])
    assert emulator.calls("containers.create") == 1
    told = f"adopted {there}: from now on this stack changes and deletes it, even if another stack owns it"
    assert told in web.lines()
    assert web.up(name="web", template="nodejs", adopt="if_matching", external_access=True) == []


@pytest.mark.hosts("dynamic", "native")
def test_a_preview_says_what_is_taken_over_and_billed_already(
    web: HostedResource, there: str, emulator: Emulator
) -> None:
    before = emulator.calls()

    assert web.checked(name="web", template="nodejs", adopt="if_matching")["adopts"] == there
    assert web.checked(name="web", template="nodejs", adopt="if_matching")["adopts"] == there
    assert emulator.calls() == before + 1
    assert f"web: adopts {there}, billed already: $4.00 a month" in web.lines()
    # A claim of the program has no effect.
    for inputs in (
        {"name": "other", "adopt": "if_matching"},
        {"name": UNKNOWN, "adopt": "if_matching"},
        {"name": "web", "adopt": "if_matching", "plan": UNKNOWN},
        {"name": "web", "adopt": "if_matching", "plan": "basic", "additional_storage_tier": UNKNOWN},
        {"name": "web"},
    ):
        assert "adopts" not in web._check({"template": "nodejs", "adopts": there, **inputs})[0]
    assert emulator.calls() == before + 1
    assert [line for line in web.lines() if UNKNOWN in line or "differs from" in line] == []


def test_a_preview_warns_of_what_up_would_not_take_over(web: HostedResource, there: str) -> None:
    checked = web.checked(name="web", template="nodejs", plan="premium", adopt="if_matching")

    assert "adopts" not in checked
    assert any(f"{there} exists already and differs from" in line for line in web.lines())


def test_a_preview_warns_if_there_is_nothing_to_adopt(
    web: HostedResource, there: str, emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    def warned() -> bool:
        return any("nothing to adopt: the account of this key has no container" in it for it in web.lines())

    web.checked(name="web", template="nodejs", adopt="if_matching")
    web.checked(name="other", template="nodejs")
    assert not warned()
    # A setting must also work if no container exists.
    web.host = make_host({**web.host.config, "stacks:adopt": "if_matching"})
    web.checked(name="other", template="nodejs")
    assert not warned()
    web.host = make_host(
        {**web.host.config, "stacks:apiKey": emulator.new_key(account=emulator.new_account())}
    )

    web.checked(name="web", template="nodejs", adopt="if_matching")

    assert warned()


def test_a_replacement_takes_over_nothing(web: HostedResource, there: str) -> None:
    inputs = {"name": "web", "template": "nodejs", "adopt": "if_matching", "replace_on_change": True}
    web.up(**inputs)
    web.diff(web.checked(**inputs, plan="premium"))
    shown = len(web.lines())
    # For the new half of a replacement, the engine passes no old inputs to the check.
    web.inputs = {}

    for plan in ("basic", "premium"):
        assert "adopts" not in web.checked(**inputs, plan=plan)

    assert not any("adopts" in line or "exists already" in line for line in web.lines()[shown:])


def test_without_an_answer_a_preview_counts_a_new_one_and_says_so(
    web: HostedResource, there: str, emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    emulator.faults.add("containers.list", 403)

    for _ in range(3):
        assert "adopts" not in web.checked(name="web", template="nodejs", adopt="if_matching")

    unknown = "it is not known whether 'web' will be adopted, so it is treated as a new container: "
    assert f"{unknown}the containers could not be listed [forbidden]" in web.lines()
    web.host = make_host({})
    assert "adopts" not in web.checked(name="web", template="nodejs", adopt="if_matching")
    assert f"{unknown}there is no API key" in web.lines()


def test_the_state_of_an_adopted_container_has_the_time_that_only_its_status_shows(
    web: HostedResource, there: str, emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    play(emulator, READINGS["creation time only in the status"])
    emulator.advance(60)
    web.up(name="web", template="nodejs", adopt="if_matching")
    emulator.advance(7200)
    emulator.drift.recreate("web")
    web.host = make_host(web.host.config)

    with pytest.raises(CallFailedError, match="It was not deleted"):
        web.delete()

    assert set(emulator.state.containers) == {there}


@pytest.mark.parametrize("desired", ["stopped", "running", None])
def test_a_stopped_container_is_adopted_with_the_desired_status(
    web: HostedResource, there: str, emulator: Emulator, desired: str | None
) -> None:
    emulator.advance(1)
    emulator.drift.stop("web")

    web.up(name="web", template="nodejs", adopt="if_matching", desired_status=desired)

    assert (there, desired or "stopped") == (web.id, web.outs["status"])


def test_a_renamed_resource_keeps_the_adopted_container(
    host: Host, make_host: Callable[..., Host], emulator: Emulator
) -> None:
    old = host.resource("Container", "old")
    old.up(name="web", template="nodejs")
    # The next operation of the engine runs in another process, which creates first and then deletes.
    later = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
    new = later.resource("Container", "new")
    new.up(name="web", template="nodejs", adopt="if_matching")
    old.host = later

    old.delete()

    assert set(emulator.state.names()) == {"web"}
    assert any("was not deleted: 'new' in this program manages it now" in line for line in old.lines())


def test_a_different_container_is_not_adopted(web: HostedResource, there: str) -> None:
    inputs = {"name": "web", "template": "nodejs", "adopt": "if_matching"}
    for change, difference in (
        ({"template": "python"}, "its template is 'nodejs', not 'python'"),
        ({"plan": "premium"}, "its plan is 'basic', not 'premium'"),
        ({"additional_storage_tier": 1}, "MB of storage, not"),
    ):
        with pytest.raises(CallFailedError, match=difference):
            web.up(**{**inputs, **change})


def test_the_configuration_can_allow_adoption_for_all(
    emulator: Emulator, there: str, make_host: type[Host]
) -> None:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url, "stacks:adopt": "if_matching"}
    web = make_host(config).resource("Container", "web")

    web.up(name="web", template="nodejs")

    assert web.id == there


@pytest.mark.parametrize("is_open", [True, False])
def test_an_adoption_reads_once_whether_the_container_was_opened_before(
    web: HostedResource, there: str, emulator: Emulator, is_open: bool
) -> None:
    with StacksClient(emulator.key, base_url=emulator.url) as client:
        client.containers.external_access(there, enabled=is_open)

    web.up(name="web", template="nodejs", adopt="if_matching")

    assert (there, is_open) == (web.id, web.outs["open_unmanaged"])
    assert emulator.calls("allowed_ips.list") == 1
    web.up(name="web", template="nodejs", adopt="if_matching", restart_triggers=["a"])
    web.read()
    assert web.outs.get("open_unmanaged") is (True if is_open else None)
    assert emulator.calls("allowed_ips.list") == 1


def test_access_that_an_adoption_could_not_read_stays_unknown(
    web: HostedResource, there: str, emulator: Emulator
) -> None:
    emulator.faults.add("allowed_ips.list", 403)

    web.up(name="web", template="nodejs", adopt="if_matching")

    assert (there, "unknown") == (web.id, web.outs["open_unmanaged"])
    assert emulator.calls("allowed_ips.list") == 1
    web.up(name="web", template="nodejs", adopt="if_matching", external_access=False)
    assert "open_unmanaged" not in web.outs


def test_nothing_shows_whether_an_imported_container_was_opened_before(
    web: HostedResource, there: str, emulator: Emulator
) -> None:
    assert web.get(there)
    assert web.outs["open_unmanaged"] == "unknown"
    web.read()
    assert web.outs["open_unmanaged"] == "unknown"
    assert emulator.calls("allowed_ips.list") == 0

    web.up(name="web", template="nodejs", restart_triggers=["a"])
    assert web.outs["open_unmanaged"] is False
