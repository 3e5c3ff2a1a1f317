"""Drift of a Container on the real host: the output of a refresh, and the effect of the next `up`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from stacks_pulumi.api import StacksClient
from stacks_pulumi.emulator import Emulator
from tests.support.host import HostedResource


@pytest.mark.hosts("dynamic", "native")
def test_without_drift_the_up_is_a_no_op(web: HostedResource) -> None:
    inputs = {"name": "web", "template": "nodejs", "external_access": True, "desired_status": "running"}
    web.up(**inputs)
    before = dict(web.outs)

    assert web.read()

    assert web.outs == before
    assert web.up(**inputs) == []


@pytest.mark.hosts("dynamic", "native")
def test_drift_shows_in_the_inputs_and_is_corrected(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs", "external_access": True, "desired_status": "running"}
    web.up(**inputs)
    emulator.drift.stop("web")
    emulator.drift.set_external_access("web", enabled=False)

    assert web.read()

    assert ("stopped", False) == (web.inputs["desired_status"], web.inputs["external_access"])
    assert web.up(**inputs) == ["update"]
    assert ("running", True) == (web.outs["status"], web.outs["external_access"])


def test_unmanaged_properties_are_no_drift(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.stop("web")
    emulator.drift.set_external_access("web", enabled=True)

    web.read()

    assert web.outs["status"] == "stopped"
    assert web.up(name="web", template="nodejs") == []


def test_a_resize_outside_is_accepted_by_the_program(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.resize("web", "premium")

    web.read()

    assert ("premium", 10) == (web.inputs["plan"], web.outs["monthly_price_usd"])
    refusal = web.check(name="web", template="nodejs")["plan"]
    assert "plan was changed to 'premium' outside of this program, which still has 'basic'" in refusal
    # A replacement is also refused, so it is not a way out.
    assert web.host.worded("set replace_on_change=True") not in refusal
    # One update, which only removes the mark of the resize from the state.
    assert web.up(name="web", template="nodejs", plan="premium") == ["update"]
    assert web.up(name="web", template="nodejs", plan="premium") == []


def test_another_consent_does_not_undo_a_resize_outside(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs", "replace_on_change": True}
    web.up(**inputs)
    emulator.drift.resize("web", "premium")
    web.read()
    web.read()

    assert "plan was changed to 'premium' outside of this program" in web.check(**inputs)["plan"]
    web.up(**inputs, plan="premium")
    # From here on, the program changes.
    assert web.up(**inputs, plan="basic") == ["replace"]


def test_storage_added_outside_is_drift_with_its_price(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs", "replace_on_change": True}
    web.up(**inputs)
    emulator.drift.resize("web", "basic", 5)

    web.read()

    assert (web.inputs["additional_storage_tier"], web.outs["monthly_price_usd"]) == (5, 9)
    refusal = web.check(**inputs)["additional_storage_tier"]
    words = "additional_storage_tier was changed to 5 outside of this program, which still has None"
    assert web.host.worded(words) in refusal
    assert web.up(**inputs, additional_storage_tier=5) == ["update"]
    assert web.up(**inputs, additional_storage_tier=5) == []


def test_storage_that_the_api_omits_keeps_its_input(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs", "additional_storage_tier": 5}
    web.up(**inputs)
    emulator.drift.resize("web", "basic")

    web.read()

    assert web.inputs["additional_storage_tier"] == 5
    assert web.up(**inputs) == []


def test_a_name_in_lower_case_is_the_same_name(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="Web", template="nodejs")
    emulator.state.container("Web").name = "web"

    web.read()

    assert web.outs["name"] == "Web"
    assert web.up(name="Web", template="nodejs") == []


def test_a_rename_outside_does_not_replace(web: HostedResource, emulator: Emulator) -> None:
    inputs = {"name": "web", "template": "nodejs", "replace_on_change": True}
    web.up(**inputs)
    emulator.state.container("web").name = "shop"

    web.read()

    assert "name was changed to <as in the state> outside of this program" in web.check(**inputs)["name"]


def test_a_refused_change_says_how_to_keep_the_container(web: HostedResource) -> None:
    web.up(name="web", template="nodejs", plan="basic")

    told = {
        name: web.check(**{"name": "web", "template": "nodejs", "plan": "basic", name: value})[name]
        for name, value in (("name", "shop"), ("template", "python"), ("plan", "premium"))
    }

    words = "No container can be renamed: to keep it, write name='web' here"
    assert web.host.worded(words) in told["name"]
    assert "use the STACKS dashboard" in told["plan"]
    assert not any("dashboard" in told[name] for name in ("name", "template"))


@pytest.mark.parametrize("change", [{"desired_status": "stopped"}, {"external_access": True}])
def test_a_stopping_container_is_waited_for(
    web: HostedResource, emulator: Emulator, change: dict[str, Any]
) -> None:
    web.up(name="web", template="nodejs")
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, action_seconds=15.0)
    with StacksClient(emulator.key, base_url=emulator.url) as client:
        client.containers.set_status(web.id, "stopped")

    assert web.up(name="web", template="nodejs", **change) == ["update"]

    assert web.outs["status"] == "stopped"


@pytest.mark.hosts("dynamic", "native")
def test_a_deleted_container_leaves_the_state_and_is_recreated(
    web: HostedResource, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.delete("web")

    assert not web.read()

    assert web.up(name="web", template="nodejs") == ["create"]
