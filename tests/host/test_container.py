"""Container on the real host: every rule that needs no engine to be seen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from stacks_pulumi import catalog
from stacks_pulumi.api import StacksClient
from stacks_pulumi.emulator import Emulator
from tests.support.host import UNKNOWN, CallFailedError, Host, HostedResource, in_parallel


@pytest.fixture
def web(host: Host) -> HostedResource:
    """A container that is not there yet."""
    return host.resource("Container", "web")


def names(emulator: Emulator) -> set[str]:
    """What is in the account."""
    return {container.name for container in emulator.state.containers.values()}


# --- check ---


def test_what_is_not_given_is_filled_in_and_priced(web: HostedResource) -> None:
    assert web.checked(name="web", template="nodejs") == {
        "name": "web",
        "template": "nodejs",
        "plan": "basic",
        "monthly_price_usd": 4,
    }


@pytest.mark.parametrize(
    ("inputs", "plan", "price"),
    [
        ({"template": "redis-micro"}, "micro", 1),
        ({"template": "nodejs", "plan": "premium", "additional_storage_tier": 5}, "premium", 15),
        ({"template": "stacks-vpn"}, None, 5),
        ({"template": "stacks-vpn", "additional_storage_tier": 1}, None, 6),
        # The plan is sent along, but a template that nobody knows may be a tier of its own.
        ({"template": "brand-new"}, "basic", None),
        ({"template": "nodejs", "plan": "enormous"}, "enormous", None),
    ],
)
def test_the_price_follows_from_template_plan_and_storage(
    web: HostedResource, inputs: dict[str, object], plan: str | None, price: int | None
) -> None:
    checked = web.checked(name="web", **inputs)

    assert checked.get("plan") == plan
    assert checked.get("monthly_price_usd") == price


@pytest.mark.parametrize(
    ("inputs", "failures"),
    [
        ({"name": "ab"}, {"name": "3 to 32"}),
        ({"name": "a" * 33}, {"name": "33 characters"}),
        ({"name": "under_score"}, {"name": 'a valid one: name="under-score"'}),
        ({"name": "-edge"}, {"name": "start and end"}),
        ({"template": None}, {"template": "missing"}),
        ({"template": 7}, {"template": "it is a number"}),
        ({"template": "stacks-vpn", "plan": "basic"}, {"plan": "a separate tier ($5/month)"}),
        ({"template": "postgresql", "additional_storage_tier": 1}, {"additional_storage_tier": "a database"}),
        ({"template": "nginx-micro", "additional_storage_tier": 1}, {"additional_storage_tier": "a micro"}),
        ({"plan": "micro", "additional_storage_tier": 1}, {"additional_storage_tier": "a micro"}),
        ({"additional_storage_tier": 1.5}, {"additional_storage_tier": "a whole number"}),
        ({"additional_storage_tier": True}, {"additional_storage_tier": "true or false"}),
        ({"desired_status": "runing"}, {"desired_status": "did you mean 'running'?"}),
        ({"restart_triggers": "v1"}, {"restart_triggers": "a list is needed"}),
        ({"replace_on_change": "yes"}, {"replace_on_change": "true or false is needed"}),
        ({"adopt": "yes", "discount_code": ""}, {"adopt": "never, if_matching", "discount_code": "empty"}),
    ],
)
def test_what_the_guide_rules_out_fails_on_its_property(
    web: HostedResource, inputs: dict[str, object], failures: dict[str, str]
) -> None:
    found = web.check(**{"name": "web", "template": "nodejs", **inputs})

    assert found.keys() == failures.keys()
    for name, words in failures.items():
        assert web.host.worded(words) in found[name]


def test_names_that_the_catalogue_does_not_know_pass_with_a_warning(web: HostedResource) -> None:
    web.checked(name="web", template="nodejss", plan="mega")

    warnings = [line.text for line in web.host.engine.lines if line.severity == "WARNING"]
    assert any("does not know the template 'nodejss' (did you mean 'nodejs'?)" in text for text in warnings)
    assert any("does not know the plan 'mega'" in text for text in warnings)


@pytest.mark.parametrize("name", ["name", "template", "plan", "additional_storage_tier", "restart_triggers"])
def test_what_is_unknown_passes_untouched_and_is_not_priced_wrongly(web: HostedResource, name: str) -> None:
    value = [UNKNOWN] if name == "restart_triggers" else UNKNOWN
    checked = web.checked(**{"name": "web", "template": "nodejs", "plan": "basic", name: value})

    assert checked[name] == value
    assert ("monthly_price_usd" in checked) is (name in {"name", "restart_triggers"})


def test_the_price_is_shown_once_and_not_again_while_it_stays(web: HostedResource) -> None:
    web.up(name="web", template="nodejs")
    shown = web.lines().count("web: $4.00 a month")

    web.up(name="web", template="nodejs")

    assert (1, 1) == (shown, web.lines().count("web: $4.00 a month"))


def test_check_works_without_a_key(emulator: Emulator, make_host: type[Host]) -> None:
    host = make_host({})

    assert host.resource("Container").check(name="x") == {
        "name": "'x': it has 1 characters, and 3 to 32 are allowed",
        "template": "template is missing",
    }


# --- create ---


def test_a_container_is_made_and_waited_for(web: HostedResource, emulator: Emulator) -> None:
    assert web.up(name="web", template="nodejs") == ["create"]

    assert web.id == f"{emulator.account}-web"
    assert web.outs["status"] == "running"
    assert web.outs["internal_host"] == web.id
    assert web.outs["ssh_user"] == emulator.account
    assert "url" not in web.outs
    assert "$4.00 a month" in web.lines()


def test_numbers_and_lists_come_back_as_they_went(web: HostedResource) -> None:
    inputs = {
        "name": "web",
        "template": "nodejs",
        "additional_storage_tier": 3,
        "restart_triggers": ["v1", 2],
    }
    web.up(**inputs)

    assert web.up(**inputs) == []
    assert web.outs["storage_mb"] == (10 + 64) * 1024


def test_many_are_made_at_once_with_one_look_and_shared_polls(host: Host, emulator: Emulator) -> None:
    webs = [host.resource("Container", f"web-{number}") for number in range(12)]

    raised = in_parallel(*(lambda web=web: web.up(name=web.name, template="nodejs") for web in webs))

    assert raised == [None] * 12
    assert emulator.calls("containers.create") == 12
    # One look before all of them and a few polls, whatever their number.
    assert emulator.calls("containers.list") <= 6
    assert emulator.calls("containers.status") == 0


def test_a_container_that_is_wanted_stopped_is_stopped_once_it_ran(web: HostedResource) -> None:
    web.up(name="web", template="nodejs", desired_status="stopped", external_access=True)

    assert web.outs["status"] == "stopped"
    assert web.outs["url"].endswith(".stackshosting.cloud")


def test_a_lost_answer_is_no_second_container(web: HostedResource, emulator: Emulator) -> None:
    emulator.faults.add("containers.create", "drop_after")

    web.up(name="web", template="nodejs")

    assert names(emulator) == {"web"}
    assert emulator.calls("containers.create") == 1


@pytest.mark.parametrize("kind", ["html", "answer"])
def test_a_503_that_hides_a_container_is_no_orphan(
    web: HostedResource, emulator: Emulator, kind: str
) -> None:
    fault = emulator.faults.add("containers.create", kind, code=503)

    web.up(name="web", template="nodejs")

    assert web.outs["status"] == "running"
    assert set(emulator.state.containers) == {web.id}
    assert fault.fired == 1


def test_a_lost_answer_is_resolved_where_the_api_stores_names_in_lower_case(
    web: HostedResource, emulator: Emulator
) -> None:
    emulator.platform.lower_case_names = True
    fault = emulator.faults.add("containers.create", "drop_after")

    web.up(name="Web", template="nodejs")

    assert names(emulator) == {"web"}
    assert set(emulator.state.containers) == {web.id}
    assert fault.fired == 1


def test_a_failed_boot_keeps_the_id_and_is_started_again(web: HostedResource, emulator: Emulator) -> None:
    emulator.fail_boot("web", 1)

    with pytest.raises(CallFailedError, match='its status is "error"') as failure:
        web.up(name="web", template="nodejs", external_access=True)

    assert failure.value.kept_id == f"{emulator.account}-web" == web.id
    assert web.outs["status"] == "error"
    # What the engine does next with a resource that was done half way.
    web.update(web.checked(name="web", template="nodejs", external_access=True))
    assert web.outs["status"] == "running"
    assert web.outs["url"].endswith(".stackshosting.cloud")
    web.delete()
    assert names(emulator) == set()


def test_a_failure_after_the_boot_keeps_the_id_as_well(web: HostedResource, emulator: Emulator) -> None:
    emulator.faults.add("containers.external_access", "status", code=400)

    with pytest.raises(CallFailedError, match="was created but is not ready") as failure:
        web.up(name="web", template="nodejs", external_access=True)

    assert failure.value.kept_id == web.id != ""


def test_a_container_that_vanishes_while_it_boots_is_an_error_that_says_so(
    host: Host, emulator: Emulator
) -> None:
    emulator.platform.pace = emulator.platform.pace.__class__(boot_seconds=60)
    web = host.resource("Container", "web")

    def vanish() -> None:
        while not names(emulator):
            time.sleep(0.02)
        emulator.drift.delete("web")

    raised = in_parallel(lambda: web.up(name="web", template="nodejs"), vanish)

    assert isinstance(raised[0], CallFailedError), raised
    assert "web" in raised[0].message
    assert raised[0].kept_id is None
    assert names(emulator) == set()


def test_what_cannot_fit_under_the_cap_is_not_attempted_again(
    emulator: Emulator, make_host: type[Host]
) -> None:
    key = emulator.new_key(spending_cap=Decimal(6))
    host = make_host({"stacks:apiKey": key, "stacks:baseUrl": emulator.url})
    host.resource("Container", "one").up(name="one", template="nodejs")
    for name in ("two", "three"):
        with pytest.raises(CallFailedError, match=r'\$4\.00 is spent; "\w+" costs \$5\.00') as failure:
            host.resource("Container", name).up(name=name, template="nodejs", plan="standard")

    assert "the API was not asked again" in failure.value.message
    assert emulator.calls("containers.create") == 2
    # What does fit is still made.
    host.resource("Container", "small").up(name="small", template="nginx-micro")
    assert names(emulator) == {"one", "small"}


def test_what_a_promotional_code_makes_cheaper_is_asked_for(
    emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    key = emulator.new_key(spending_cap=Decimal(6))
    host = make_host({"stacks:apiKey": key, "stacks:baseUrl": emulator.url})
    host.resource("Container", "one").up(name="one", template="nodejs")
    for code in (None, "HALF"):
        with pytest.raises(CallFailedError):
            host.resource("Container", "two").up(name="two", template="nodejs", discount_code=code)

    assert emulator.calls("containers.create") == 3


# --- adoption ---


@pytest.fixture
def there(emulator: Emulator) -> str:
    """Id of a container that somebody else made."""
    with StacksClient(emulator.key, base_url=emulator.url) as client:
        return client.containers.create(name="web", template="nodejs", plan="basic").id


def test_a_taken_name_is_an_error_that_tells_the_line_to_write(web: HostedResource, there: str) -> None:
    with pytest.raises(CallFailedError) as failure:
        web.up(name="web", template="nodejs")

    assert there in failure.value.message
    assert web.host.worded('stacks.Container("web", ..., adopt="if_matching")') in failure.value.message
    assert failure.value.kept_id is None


def test_an_equal_container_is_taken_over_and_brought_to_the_inputs(
    web: HostedResource, there: str, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs", adopt="if_matching", external_access=True)

    assert (there, "running", True) == (web.id, web.outs["status"], web.outs["external_access"])
    assert emulator.calls("containers.create") == 1
    assert any("adopted the container" in line for line in web.lines())
    assert web.up(name="web", template="nodejs", adopt="if_matching", external_access=True) == []


@pytest.mark.parametrize("desired", ["stopped", "running", None])
def test_a_stopped_container_is_taken_over_as_it_is_or_as_it_is_wanted(
    web: HostedResource, there: str, emulator: Emulator, desired: str | None
) -> None:
    emulator.advance(1)
    emulator.drift.stop("web")

    web.up(name="web", template="nodejs", adopt="if_matching", desired_status=desired)

    assert (there, desired or "stopped") == (web.id, web.outs["status"])


def test_what_another_resource_of_the_program_has_is_not_taken_over(host: Host) -> None:
    host.resource("Container", "one").up(name="web", template="nodejs")

    failures = host.resource("Container", "two").check(name="Web", template="nodejs", adopt="if_matching")

    assert failures == {
        "name": "two resources declare the same Container (Web): 'one' and 'two'. Change or remove one of them"
    }


def test_a_name_that_one_resource_gives_up_is_free_for_another(host: Host) -> None:
    one = host.resource("Container", "one")
    one.checked(name="web", template="nodejs")
    one.checked(name="web-2", template="nodejs")

    assert host.resource("Container", "two").check(name="web", template="nodejs") == {}


def test_a_renamed_resource_does_not_delete_what_its_successor_took_over(
    host: Host, make_host: Callable[..., Host], emulator: Emulator
) -> None:
    old = host.resource("Container", "old")
    old.up(name="web", template="nodejs")
    # The next operation of the engine: a process of its own, which creates first and deletes then.
    later = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
    new = later.resource("Container", "new")
    new.up(name="web", template="nodejs", adopt="if_matching")
    old.host = later

    old.delete()

    assert names(emulator) == {"web"}
    assert any("was not deleted: 'new' in this program manages it now" in line for line in old.lines())


@pytest.mark.parametrize(
    ("inputs", "difference"),
    [
        ({"template": "python"}, "its template is 'nodejs', not 'python'"),
        ({"plan": "premium"}, "its plan is 'basic', not 'premium'"),
        ({"additional_storage_tier": 1}, "MB of storage, not"),
    ],
)
def test_what_differs_is_not_taken_over(
    web: HostedResource, there: str, inputs: dict[str, object], difference: str
) -> None:
    with pytest.raises(CallFailedError, match=difference):
        web.up(**{"name": "web", "template": "nodejs", "adopt": "if_matching", **inputs})


def test_the_configuration_can_allow_adoption_for_all(
    emulator: Emulator, there: str, make_host: type[Host]
) -> None:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url, "stacks:adopt": "if_matching"}
    web = make_host(config).resource("Container", "web")

    web.up(name="web", template="nodejs")

    assert web.id == there


# --- diff and update ---


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "other"}, "name would change from 'web' to 'other'"),
        ({"template": "python"}, "template would change from 'nodejs' to 'python'"),
        ({"plan": "premium"}, "plan would change from 'basic' to 'premium'"),
        ({"additional_storage_tier": 1}, "additional_storage_tier would change from None to 1"),
    ],
)
def test_a_change_that_destroys_data_is_refused_unless_allowed(
    web: HostedResource, emulator: Emulator, change: dict[str, object], words: str
) -> None:
    before = {"name": "web", "template": "nodejs"}
    web.up(**before)
    calls = emulator.calls()

    (reason,) = web.check(**{**before, **change}).values()

    assert words in reason
    assert web.host.worded("replace_on_change=True") in reason
    assert emulator.calls() == calls
    assert web.up(**{**before, **change, "replace_on_change": True}) == ["replace"]
    assert names(emulator) == {change.get("name", "web")}


def test_the_old_one_goes_first_where_the_name_stays(web: HostedResource) -> None:
    web.up(name="web", template="nodejs")

    same = web.diff(web.checked(name="web", template="python", replace_on_change=True))
    other = web.diff(web.checked(name="web2", template="python", replace_on_change=True))

    assert (True, False) == (same.deleteBeforeReplace, other.deleteBeforeReplace)


def test_an_unknown_plan_is_no_replacement_at_preview(web: HostedResource) -> None:
    web.up(name="web", template="nodejs")

    diff = web.diff(web.checked(name="web", template="nodejs", plan=UNKNOWN))

    assert list(diff.replaces) == []


def test_an_update_does_not_replace_in_secret(web: HostedResource) -> None:
    web.up(name="web", template="nodejs")
    # As if `check` had not seen the old inputs.
    checked = web.host.resource("Container", "web").checked(name="web", template="nodejs", plan="premium")

    with pytest.raises(CallFailedError, match="plan would change from 'basic' to 'premium'"):
        web.update(checked)


def test_how_we_work_is_no_change_of_the_container(web: HostedResource) -> None:
    web.up(name="web", template="nodejs", discount_code="SPRING")

    assert web.up(name="web", template="nodejs", adopt="if_matching", replace_on_change=True) == []


def test_start_stop_restart_and_access_follow_the_inputs(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs"}
    web.up(**inputs)

    assert web.up(**inputs, desired_status="stopped") == ["update"]
    assert web.outs["status"] == "stopped"
    assert web.up(**inputs, desired_status="running", restart_triggers=["a"]) == ["update"]
    assert web.outs["status"] == "running"
    restarts = emulator.calls("containers.set_status")
    assert web.up(**inputs, desired_status="running", restart_triggers=["b"]) == ["update"]
    assert emulator.calls("containers.set_status") == restarts + 1
    assert web.up(**inputs, external_access=True, restart_triggers=["b"]) == ["update"]
    assert web.outs["url"].endswith(".stackshosting.cloud")
    assert web.up(**inputs, external_access=False) == ["update"]
    assert "url" not in web.outs


def test_a_start_is_restart_enough(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs"}
    web.up(**inputs, desired_status="stopped", restart_triggers=["a"])
    changes = emulator.calls("containers.set_status")

    web.up(**inputs, desired_status="running", restart_triggers=["b"])

    assert emulator.calls("containers.set_status") == changes + 1


def test_whoever_stopped_an_unmanaged_container_is_left_alone(
    web: HostedResource, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs", restart_triggers=["a"])
    emulator.drift.stop("web")

    web.up(name="web", template="nodejs", restart_triggers=["b"])

    assert web.outs["status"] == "stopped"
    assert any("takes effect when it is started" in line for line in web.lines())


def test_an_update_of_what_is_gone_says_what_to_do(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.delete("web")

    with pytest.raises(CallFailedError, match="pulumi refresh"):
        web.up(name="web", template="nodejs", external_access=True)


# --- read ---


def test_nothing_drifted_is_nothing_to_do(web: HostedResource) -> None:
    inputs = {"name": "web", "template": "nodejs", "external_access": True, "desired_status": "running"}
    web.up(**inputs)
    before = dict(web.outs)

    assert web.read()

    assert web.outs == before
    assert web.up(**inputs) == []


def test_drift_shows_in_the_inputs_and_is_mended(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs", "external_access": True, "desired_status": "running"}
    web.up(**inputs)
    emulator.drift.stop("web")
    emulator.drift.set_external_access("web", enabled=False)

    assert web.read()

    assert ("stopped", False) == (web.inputs["desired_status"], web.inputs["external_access"])
    assert web.up(**inputs) == ["update"]
    assert ("running", True) == (web.outs["status"], web.outs["external_access"])


def test_what_is_not_managed_is_no_drift(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.stop("web")
    emulator.drift.set_external_access("web", enabled=True)

    web.read()

    assert web.outs["status"] == "stopped"
    assert web.up(name="web", template="nodejs") == []


def test_a_resize_in_the_dashboard_is_drift_that_the_program_follows(
    web: HostedResource, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.resize("web", "premium")

    web.read()

    assert ("premium", 10) == (web.inputs["plan"], web.outs["monthly_price_usd"])
    assert "plan would change from 'premium' to 'basic'" in web.check(name="web", template="nodejs")["plan"]
    # One update, which only forgets that there was a resize.
    assert web.up(name="web", template="nodejs", plan="premium") == ["update"]
    assert web.up(name="web", template="nodejs", plan="premium") == []


def test_a_resize_in_the_dashboard_is_never_undone_by_a_consent_to_something_else(
    web: HostedResource, emulator: Emulator
) -> None:
    inputs = {"name": "web", "template": "nodejs", "replace_on_change": True}
    web.up(**inputs)
    emulator.drift.resize("web", "premium")
    web.read()
    web.read()

    assert "plan was changed to 'premium' outside of this program" in web.check(**inputs)["plan"]
    web.up(**inputs, plan="premium")
    # From here on it is the program that changes.
    assert web.up(**inputs, plan="basic") == ["replace"]


def test_storage_added_in_the_dashboard_is_drift_with_its_price(
    web: HostedResource, emulator: Emulator
) -> None:
    inputs = {"name": "web", "template": "nodejs", "replace_on_change": True}
    web.up(**inputs)
    emulator.drift.resize("web", "basic", 5)

    web.read()

    assert (web.inputs["additional_storage_tier"], web.outs["monthly_price_usd"]) == (5, 9)
    refusal = web.check(**inputs)["additional_storage_tier"]
    assert (
        "additional_storage_tier was changed to 5 outside of this program, which still says None" in refusal
    )
    assert web.up(**inputs, additional_storage_tier=5) == ["update"]
    assert web.up(**inputs, additional_storage_tier=5) == []


def test_storage_of_which_the_api_tells_nothing_stays_as_it_was_asked_for(
    web: HostedResource, emulator: Emulator
) -> None:
    inputs = {"name": "web", "template": "nodejs", "additional_storage_tier": 5}
    web.up(**inputs)
    emulator.drift.resize("web", "basic")

    web.read()

    assert web.inputs["additional_storage_tier"] == 5
    assert web.up(**inputs) == []


def test_a_name_that_the_api_writes_in_small_letters_is_the_same_name(
    web: HostedResource, emulator: Emulator
) -> None:
    web.up(name="Web", template="nodejs")
    emulator.state.container("Web").name = "web"

    web.read()

    assert web.outs["name"] == "Web"
    assert web.up(name="Web", template="nodejs") == []


def test_a_container_that_was_renamed_outside_is_not_replaced_for_it(
    web: HostedResource, emulator: Emulator
) -> None:
    inputs = {"name": "web", "template": "nodejs", "replace_on_change": True}
    web.up(**inputs)
    emulator.state.container("web").name = "shop"

    web.read()

    assert "name was changed to 'shop' outside of this program" in web.check(**inputs)["name"]


def test_a_refused_change_says_how_to_keep_the_container(web: HostedResource) -> None:
    web.up(name="web", template="nodejs", plan="basic")

    told = {
        name: web.check(**{"name": "web", "template": "nodejs", "plan": "basic", name: value})[name]
        for name, value in (("name", "shop"), ("template", "python"), ("plan", "premium"))
    }

    assert "No container can be renamed: to keep it, write name='web' here" in told["name"]
    assert "do it in the STACKS dashboard" in told["plan"]
    assert not any("dashboard" in told[name] for name in ("name", "template"))


@pytest.mark.parametrize("change", [{"desired_status": "stopped"}, {"external_access": True}])
def test_a_container_that_is_about_to_stop_is_waited_for(
    web: HostedResource, emulator: Emulator, change: dict[str, Any]
) -> None:
    web.up(name="web", template="nodejs")
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, action_seconds=1.5)
    with StacksClient(emulator.key, base_url=emulator.url) as client:
        client.containers.set_status(web.id, "stopped")

    assert web.up(name="web", template="nodejs", **change) == ["update"]

    assert web.outs["status"] == "stopped"


def test_what_is_gone_is_forgotten_and_made_again(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.delete("web")

    assert not web.read()

    assert web.up(name="web", template="nodejs") == ["create"]


@pytest.mark.parametrize("fault", [401, 403, 500, 503])
def test_a_failed_look_is_an_error_and_never_means_gone(
    web: HostedResource, emulator: Emulator, fault: int
) -> None:
    web.up(name="web", template="nodejs")
    emulator.faults.add("containers.list", fault, times=None)
    emulator.faults.add("containers.status", fault, times=None)

    with pytest.raises(CallFailedError):
        web.read()

    emulator.faults.clear()
    assert web.read()


def test_an_empty_list_is_not_believed_before_the_container_itself_is_asked_for(
    web: HostedResource, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs")
    emulator.faults.add("containers.list", "answer", body={"success": True, "count": 0, "data": []})

    assert web.read()


def test_reads_share_one_call(host: Host, emulator: Emulator) -> None:
    webs = [host.resource("Container", f"web-{number}") for number in range(6)]
    in_parallel(*(lambda web=web: web.up(name=web.name, template="nodejs") for web in webs))
    calls = emulator.calls()

    for web in webs:
        assert web.read()

    assert emulator.calls() == calls + 1


def test_a_look_up_by_id_reads_what_is_there(web: HostedResource, there: str, emulator: Emulator) -> None:
    assert web.get(there)

    assert ("web", "nodejs", "basic", 4) == tuple(
        web.outs[name] for name in ("name", "template", "plan", "monthly_price_usd")
    )


def test_a_look_up_of_nothing_is_an_error(web: HostedResource) -> None:
    with pytest.raises(CallFailedError, match="Container usr-00000000-none does not exist in this account"):
        web.get("usr-00000000-none")


@pytest.mark.parametrize("operation", ["read", "delete"])
def test_the_key_of_another_account_makes_nothing_seem_gone(
    web: HostedResource, emulator: Emulator, make_host: Callable[..., Host], operation: str
) -> None:
    web.up(name="web", template="nodejs")
    key = emulator.new_key(account=emulator.new_account())
    web.host = make_host({"stacks:apiKey": key, "stacks:baseUrl": emulator.url})
    web.host.resource("Container", "theirs").up(name="theirs", template="nodejs")

    with pytest.raises(CallFailedError, match="is not in the account of this API key"):
        getattr(web, operation)()

    assert names(emulator) == {"web", "theirs"}


def test_what_failed_is_started_again_also_after_a_refresh(web: HostedResource, emulator: Emulator) -> None:
    emulator.fail_boot("web", 1)
    with pytest.raises(CallFailedError):
        web.up(name="web", template="nodejs")

    web.read()

    assert web.up(name="web", template="nodejs") == ["update"]
    assert web.outs["status"] == "running"


# --- delete ---


def test_a_deletion_waits_until_the_name_is_free(web: HostedResource, emulator: Emulator) -> None:
    emulator.platform.pace = emulator.platform.pace.__class__(delete_seconds=0.8)
    web.up(name="web", template="nodejs")

    web.delete()

    assert names(emulator) == set()


def test_what_is_gone_already_is_deleted(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.delete("web")

    web.delete()

    assert web.id == ""


def test_every_plan_can_be_made(host: Host, emulator: Emulator) -> None:
    for plan in catalog.PLANS.values():
        web = host.resource("Container", f"web-{plan.name}")
        template = "ubuntu-micro" if plan.name == "micro" else "ubuntu"
        web.up(name=web.name, template=template, plan=plan.name)
        assert (plan.memory_mb, plan.storage_mb) == (web.outs["memory_mb"], web.outs["storage_mb"])
