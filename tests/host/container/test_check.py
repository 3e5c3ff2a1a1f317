"""Check of a Container on the real host: defaults, prices, and invalid inputs."""

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


@pytest.mark.parametrize(
    ("inputs", "plan", "price"),
    [
        ({"template": "redis-micro"}, "micro", 1),
        ({"template": "nodejs", "plan": "premium", "additional_storage_tier": 5}, "premium", 15),
        ({"template": "stacks-vpn"}, None, 5),
        ({"template": "stacks-vpn", "additional_storage_tier": 1}, None, 6),
        # The default plan is sent, but an unknown template may have a different tier.
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
        ({"name": "under_score"}, {"name": 'a valid name: name="under-score"'}),
        ({"name": "-edge"}, {"name": "start and end"}),
        ({"template": None}, {"template": "missing"}),
        ({"template": 7}, {"template": "it is a number"}),
        ({"template": "stacks-vpn", "plan": "basic"}, {"plan": "a separate tier ($5/month)"}),
        ({"template": "redis-micro", "plan": "premium"}, {"plan": "or use the template redis"}),
        ({"template": "secrets-micro", "plan": "standard"}, {"plan": "the micro tier"}),
        ({"template": "postgresql", "additional_storage_tier": 1}, {"additional_storage_tier": "a database"}),
        ({"template": "nginx-micro", "additional_storage_tier": 1}, {"additional_storage_tier": "a micro"}),
        ({"plan": "micro", "additional_storage_tier": 1}, {"additional_storage_tier": "a micro"}),
        ({"additional_storage_tier": 1.5}, {"additional_storage_tier": "a whole number"}),
        ({"additional_storage_tier": True}, {"additional_storage_tier": "true or false"}),
        ({"desired_status": "runing"}, {"desired_status": "did you mean 'running'?"}),
        ({"restart_triggers": "v1"}, {"restart_triggers": "but must be a list"}),
        ({"replace_on_change": "yes"}, {"replace_on_change": "but must be true or false"}),
        ({"adopt": "yes", "discount_code": ""}, {"adopt": "never, if_matching", "discount_code": "empty"}),
    ],
)
def test_invalid_inputs_fail_on_their_property(
    web: HostedResource, inputs: dict[str, object], failures: dict[str, str]
) -> None:
    found = web.check(**{"name": "web", "template": "nodejs", **inputs})

    assert found.keys() == failures.keys()
    for name, words in failures.items():
        assert web.host.worded(words) in found[name]


@pytest.mark.parametrize("adopt", [None, "if_matching"])
def test_a_plan_of_another_tier_passes_for_what_exists(web: HostedResource, adopt: str | None) -> None:
    inputs = {"name": "web", "template": "redis-micro", "plan": "premium", "adopt": adopt}
    if adopt is None:
        web.id, web.inputs = "usr-1-web", {"name": "web", "template": "redis-micro", "plan": "premium"}

    assert web.check(**inputs) == {}


def test_the_plan_micro_of_a_template_without_it_is_a_warning(web: HostedResource) -> None:
    web.checked(name="web", template="nodejs", plan="micro")

    [warning] = [line.text for line in web.host.engine.lines if line.severity == "WARNING"]
    assert "the API may refuse it" in warning


def test_names_outside_the_catalogue_pass_with_a_warning(web: HostedResource) -> None:
    web.checked(name="web", template="nodejss", plan="mega")

    warnings = [line.text for line in web.host.engine.lines if line.severity == "WARNING"]
    assert any("does not know the template 'nodejss' (did you mean 'nodejs'?)" in text for text in warnings)
    assert any("does not know the plan 'mega'" in text for text in warnings)


@pytest.mark.hosts("dynamic", "native")
@pytest.mark.parametrize("name", ["name", "template", "plan", "additional_storage_tier", "restart_triggers"])
def test_unknown_inputs_pass_and_are_unpriced(web: HostedResource, name: str) -> None:
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
