"""Check of a Container on the real host: defaults, the price and unknown inputs."""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.host import UNKNOWN, Host, HostedResource


@pytest.mark.hosts("dynamic", "native")
def test_check_adds_defaults_and_the_price(web: HostedResource) -> None:
    assert web.checked(name="web", template="nodejs") == {
        "name": "web",
        "template": "nodejs",
        "plan": "basic",
        "monthly_price_usd": 4,
    }


@pytest.mark.hosts("dynamic", "native")
def test_unknown_inputs_pass_and_are_unpriced(web: HostedResource) -> None:
    for name in ("name", "template", "plan", "additional_storage_tier", "restart_triggers"):
        value = [UNKNOWN] if name == "restart_triggers" else UNKNOWN
        checked = web.checked(**{"name": "web", "template": "nodejs", "plan": "basic", name: value})

        # A list with an unknown value is unknown.
        assert checked[name] == UNKNOWN
        # The price is also unknown, but not left out: an update with a plan accepts no input that the plan lacks.
        assert (checked["monthly_price_usd"] == UNKNOWN) is (name not in {"name", "restart_triggers"})


def test_the_price_is_shown_only_when_it_changes(web: HostedResource) -> None:
    web.up(name="web", template="nodejs")
    shown = web.lines().count("web: $4.00 a month")

    web.up(name="web", template="nodejs")

    assert (1, 1) == (shown, web.lines().count("web: $4.00 a month"))


@pytest.mark.hosts("dynamic", "native")
def test_check_works_without_a_key(emulator: Emulator, make_host: type[Host]) -> None:
    host = make_host({})

    assert host.resource("Container").check(name="x") == {
        "name": "'x': it has 1 character, but must have 3 to 32 [invalid-input]",
        "template": "template is missing: set it [missing-input]",
    }
