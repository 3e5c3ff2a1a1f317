from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pulumi_policy
import pytest
from pulumi_policy import EnforcementLevel

from stacks_pulumi.policy import EXPOSURE, PLANS, SPEND, ContainerView, ResourceRule, StacksGuard
from stacks_pulumi.policy.guard import rules
from stacks_pulumi.policy.testing import PackTester, container


def test_one_limit_applies_to_every_policy_that_has_it() -> None:
    config = StacksGuard(
        max_monthly_usd=Decimal("19.99"),
        max_container_usd=5,
        allowed_plans=["micro"],
        allowed_templates=["nodejs"],
    ).initial_config()

    mandatory = {"enforcementLevel": EnforcementLevel.MANDATORY}
    assert config == {
        "monthly-budget": {"max_monthly_usd": 19.99, **mandatory},
        "budget-warning": {"max_monthly_usd": 19.99, "enforcementLevel": EnforcementLevel.ADVISORY},
        "spend-gate": {"max_monthly_usd": 19.99, **mandatory},
        "resource-price-cap": {"max_usd": 5.0, **mandatory},
        "allowed-plans": {"allowed": ["micro"], **mandatory},
        "clamp-plan": {"allowed": ["micro"], "enforcementLevel": EnforcementLevel.DISABLED},
        "allowed-templates": {"allowed": ["nodejs"], **mandatory},
    }


def test_a_policys_configuration_overrides_the_common_limit() -> None:
    guard = StacksGuard(
        max_monthly_usd=10, config={"budget-warning": {"max_monthly_usd": 5}, "naming": "disabled"}
    )

    assert guard.initial_config()["budget-warning"]["max_monthly_usd"] == 5
    assert guard.initial_config()["naming"] == {"enforcementLevel": EnforcementLevel.DISABLED}


def test_the_users_configuration_overrides_the_packs() -> None:
    guard = StacksGuard(max_monthly_usd=1, only=["monthly-budget"])

    assert PackTester(guard).preview(container("web")).blocked
    assert not PackTester(guard, {"monthly-budget": {"max_monthly_usd": 9}}).preview(container("web")).blocked


def test_a_policys_level_overrides_the_common_level() -> None:
    guard = StacksGuard(
        "test",
        ["monthly-budget", "resource-price-cap"],
        all="advisory",
        max_monthly_usd=1,
        max_container_usd=1,
        config={"resource-price-cap": "mandatory"},
    )

    outcome = PackTester(guard).preview(container("web"))

    outcome.assert_warned_by("monthly-budget")
    outcome.assert_blocked_by("resource-price-cap")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"only": ["monthly-bugdet"]}, "only contains 'monthly-bugdet', which is not a policy of this pack"),
        ({"config": {"monthly-bugdet": "disabled"}}, "config contains 'monthly-bugdet'"),
        ({"config": {"monthly-budget": "madnatory"}}, "the level of 'monthly-budget' is 'madnatory'"),
        (
            {"config": {"monthly-budget": {"enforcementLevel": "off"}}},
            "the level of 'monthly-budget' is 'off'",
        ),
        ({"all": "strict"}, "the level of 'all' is 'strict'"),
        (
            {"config": {"naming": EnforcementLevel.ADVISORY}},
            "the level of 'naming' is <EnforcementLevel.ADVISORY",
        ),
        (
            {"only": ["naming"], "max_monthly_usd": 5},
            "max_monthly_usd is set, but no policy that uses it",
        ),
        (
            {"config": {"all": {"enforcementLevel": "mandatory", "max_monthly_usd": 5}}},
            "'max_monthly_usd' is set for 'all', which accepts only a level",
        ),
        ({"config": {"all": {"exempt": []}}}, "'exempt' is set for 'all'"),
        (
            {"all": "disabled", "max_monthly_usd": 50},
            "max_monthly_usd would have no effect, because these policies are disabled: monthly-budget, budget-warn",
        ),
        (
            {"only": ["clamp-plan"], "allowed_plans": ["micro"]},
            "allowed_plans would have no effect, because these policies are disabled: clamp-plan",
        ),
        ({"max_monthly_usd": math.nan}, "the options of 'monthly-budget' cannot be sent to the engine"),
        ({"config": {"monthly-budget": {"max_monthly_usd": Decimal(5)}}}, "'monthly-budget' cannot be sent"),
        (
            {"config": {"account-headroom": {"cap_usd": 50}}},
            "account-headroom is disabled, so its cap_usd would have",
        ),
        (
            {"all": "disabled", "config": {"naming": {"pattern": "a"}}},
            "naming is disabled, so its pattern would have no effect",
        ),
        ({"only": "naming"}, "only is the text 'naming': it must be a list"),
        ({"allowed_plans": "basic"}, "allowed_plans is the text 'basic': it must be a list"),
        ({"allowed_templates": "nodejs"}, "allowed_templates is the text 'nodejs': it must be a list"),
        ({"only": ["naming", "naming"]}, "two policies of this pack are called 'naming'"),
    ],
)
def test_unknown_names_are_refused_when_the_pack_is_made(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        StacksGuard(**arguments)


def test_a_custom_rule_cannot_reuse_the_name_of_a_policy() -> None:
    own = ResourceRule(
        "allowed-plans",
        "Our own.",
        "advisory",
        "low",
        "Fix it.",
        view=ContainerView,
        check=lambda _view, _settings: (),
    )

    for only in (["allowed-plans"], None):
        with pytest.raises(ValueError, match="two policies of this pack are called 'allowed-plans'"):
            StacksGuard(only=only, allowed_plans=["micro"], extra=[own])
    assert [policy.name for policy in StacksGuard(only=[], extra=[own]).policies()] == [
        "known-resources",
        "allowed-plans",
    ]


def test_every_policy_is_in_one_of_the_packs() -> None:
    names = [*PLANS, *SPEND, *EXPOSURE]

    assert sorted(set(names)) == sorted(rules())


def test_a_pack_can_hold_policies_made_with_the_sdk() -> None:
    own = pulumi_policy.ResourceValidationPolicy(
        "own", "Our own.", lambda _args, report: report("no", None), EnforcementLevel.MANDATORY
    )

    PackTester(StacksGuard("test", ["naming"], extra=[own])).preview().assert_blocked_by("own", "no")


def test_a_policy_without_a_level_has_the_level_of_its_pack_also_with_options() -> None:
    own = pulumi_policy.ResourceValidationPolicy("own", "Our own.", lambda _args, report: report("no", None))
    config = {"own": {"strict": True}}

    PackTester(StacksGuard("test", [], extra=[own])).preview().assert_blocked_by("own")
    PackTester(StacksGuard("test", [], extra=[own], config=config)).preview().assert_blocked_by("own")
    PackTester([own]).preview().assert_warned_by("own")


def test_run_serves_the_pack_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    served: dict[str, Any] = {}
    monkeypatch.setattr(pulumi_policy, "PolicyPack", lambda **given: served.update(given))

    StacksGuard("ours", SPEND, max_monthly_usd=5).run()

    assert served["name"] == "ours"
    assert [policy.name for policy in served["policies"]] == list(SPEND)
    assert served["initial_config"]["spend-gate"]["max_monthly_usd"] == 5.0


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.name)
def test_every_policy_has_a_description(rule: Any) -> None:
    policy, *rest = StacksGuard("test", [rule.name]).policies()
    assert [other.name for other in rest] == ["known-resources"] * (rule.name != "known-resources")

    assert policy.description.endswith(".")
    assert policy.remediation_steps
    assert policy.severity is not None
    schema = policy.config_schema
    assert schema is not None
    assert "exempt" in schema.properties
    assert all(option["description"] for option in schema.properties.values())


def test_a_pack_may_have_options_for_a_policy_that_a_file_enables() -> None:
    preset = {"enforcementLevel": "disabled", "pattern": "shop-.*"}
    pack = StacksGuard("own", ["naming"], config={"naming": preset})

    PackTester(pack).preview(container("web")).assert_passes()
    PackTester(pack, {"naming": "mandatory"}).preview(container("web")).assert_blocked_by("naming")
    some = StacksGuard("own", all="disabled", max_monthly_usd=3, config={"monthly-budget": "mandatory"})
    PackTester(some).preview(container("web")).assert_blocked_by("monthly-budget")
