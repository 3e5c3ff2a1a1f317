"""Update of a Container on the real host: replacements, start, stop, restart and external access."""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.host import UNKNOWN, CallFailedError, HostedResource


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "other"}, "name would change from 'web' to 'other'"),
        ({"template": "python"}, "template would change from 'nodejs' to 'python'"),
        ({"plan": "premium"}, "plan would change from 'basic' to 'premium'"),
        ({"additional_storage_tier": 1}, "additional_storage_tier would change from None to 1"),
    ],
)
def test_a_change_that_deletes_data_is_refused_unless_allowed(
    web: HostedResource, emulator: Emulator, change: dict[str, object], words: str
) -> None:
    before = {"name": "web", "template": "nodejs"}
    web.up(**before)
    calls = emulator.calls()

    (reason,) = web.check(**{**before, **change}).values()

    assert web.host.worded(words) in reason
    assert web.host.worded("replace_on_change=True") in reason
    assert emulator.calls() == calls
    assert web.up(**{**before, **change, "replace_on_change": True}) == ["replace"]
    assert set(emulator.state.names()) == {change.get("name", "web")}


@pytest.mark.hosts("dynamic", "native")
def test_an_equal_name_deletes_before_it_creates(web: HostedResource) -> None:
    web.up(name="web", template="nodejs")

    same = web.diff(web.checked(name="web", template="python", replace_on_change=True))
    other = web.diff(web.checked(name="web2", template="python", replace_on_change=True))

    assert (True, False) == (same.deleteBeforeReplace, other.deleteBeforeReplace)


@pytest.mark.hosts("dynamic", "native")
def test_an_unknown_plan_does_not_replace_at_preview(web: HostedResource) -> None:
    web.up(name="web", template="nodejs")

    diff = web.diff(web.checked(name="web", template="nodejs", plan=UNKNOWN))

    assert list(diff.replaces) == []


def test_an_update_never_replaces(web: HostedResource) -> None:
    web.up(name="web", template="nodejs")
    # The call that a `check` without old inputs would cause.
    checked = web.host.resource("Container", "web").checked(name="web", template="nodejs", plan="premium")

    with pytest.raises(CallFailedError, match="plan would change from 'basic' to 'premium'"):
        web.update(checked)


def test_provider_options_do_not_change_the_container(web: HostedResource) -> None:
    web.up(name="web", template="nodejs", discount_code="SPRING")

    assert web.up(name="web", template="nodejs", adopt="if_matching", replace_on_change=True) == []


def test_stop_and_start_follow_the_desired_status(web: HostedResource) -> None:
    inputs = {"name": "web", "template": "nodejs"}
    web.up(**inputs)

    assert web.up(**inputs, desired_status="stopped") == ["update"]
    assert web.outs["status"] == "stopped"
    assert web.up(**inputs, desired_status="running", restart_triggers=["a"]) == ["update"]
    assert web.outs["status"] == "running"


@pytest.mark.hosts("dynamic", "native")
def test_a_changed_trigger_is_one_restart(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs", "desired_status": "running"}
    web.up(**inputs, restart_triggers=["a"])
    restarts = emulator.calls("containers.set_status")

    assert web.up(**inputs, restart_triggers=["b"]) == ["update"]
    assert emulator.calls("containers.set_status") == restarts + 1


@pytest.mark.hosts("dynamic", "native")
def test_external_access_follows_its_input(web: HostedResource) -> None:
    inputs = {"name": "web", "template": "nodejs"}
    web.up(**inputs)

    assert web.up(**inputs, external_access=True) == ["update"]
    assert web.outs["url"].endswith(".stackshosting.cloud")
    assert web.up(**inputs, external_access=False) == ["update"]
    assert "url" not in web.outs


@pytest.mark.parametrize("updates", [1, 2])
def test_an_update_for_another_reason_does_not_open_what_was_closed_outside(
    web: HostedResource, emulator: Emulator, updates: int
) -> None:
    """Its preview did not show this, so neither a policy nor an approver has seen that it opens the access."""
    inputs = {"name": "web", "template": "nodejs", "external_access": True}
    web.up(**inputs, restart_triggers=["0"])
    emulator.drift.set_external_access("web", enabled=False)

    for number in range(updates):
        assert web.up(**inputs, restart_triggers=[f"{number + 1}"]) == ["update"]

    assert not emulator.state.container("web").external_access
    assert any("was switched off elsewhere, and this update leaves it off" in line for line in web.lines())
    # A refresh shows it.
    assert web.read()
    assert web.up(**inputs, restart_triggers=[f"{updates}"]) == ["update"]
    assert emulator.state.container("web").external_access


def test_a_start_replaces_a_restart(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs"}
    web.up(**inputs, desired_status="stopped", restart_triggers=["a"])
    changes = emulator.calls("containers.set_status")

    web.up(**inputs, desired_status="running", restart_triggers=["b"])

    assert emulator.calls("containers.set_status") == changes + 1


def test_an_unmanaged_status_is_not_changed(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs", restart_triggers=["a"])
    emulator.drift.stop("web")

    web.up(name="web", template="nodejs", restart_triggers=["b"])

    assert web.outs["status"] == "stopped"
    assert any("takes effect at the next start" in line for line in web.lines())


def test_an_update_of_a_deleted_container_says_what_to_do(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.delete("web")

    with pytest.raises(CallFailedError, match="pulumi refresh"):
        web.up(name="web", template="nodejs", external_access=True)


def test_an_update_of_a_container_that_is_gone_changes_nothing(
    web: HostedResource, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.delete("web")
    emulator.clock.advance(5)

    with pytest.raises(CallFailedError, match="no longer exists: it was deleted outside of this program"):
        web.up(name="web", template="nodejs", desired_status="stopped")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("redis", "which is left alone"),
        ("nodejs", r'It was not changed\. .*adopt="if_matching".*`pulumi state delete'),
    ],
)
def test_an_update_leaves_another_container_with_the_name_alone(
    web: HostedResource, emulator: Emulator, template: str, said: str
) -> None:
    web.up(name="web", template="nodejs")
    # Two containers of one moment have the same creation time.
    emulator.clock.advance(60)
    emulator.drift.recreate("web", template=template)
    emulator.clock.advance(5)
    before = len(emulator.requests)

    with pytest.raises(CallFailedError, match=said):
        web.up(name="web", template="nodejs", desired_status="stopped")

    assert {record.method for record in list(emulator.requests)[before:]} == {"GET"}


def test_the_state_keeps_that_external_access_is_on_if_the_program_no_longer_sets_it(
    web: HostedResource, emulator: Emulator
) -> None:
    inputs = {"name": "web", "template": "mysql"}
    web.up(**inputs)
    assert "open_unmanaged" not in web.outs

    web.up(**inputs, external_access=True)
    assert "open_unmanaged" not in web.outs
    web.up(**inputs)
    assert web.outs["open_unmanaged"] is True
    web.read()
    assert web.outs["open_unmanaged"] is True
    assert web.up(**inputs) == []

    web.up(**inputs, external_access=False)
    assert "open_unmanaged" not in web.outs
    assert not emulator.state.container("web").external_access
