from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.policy import StacksGuard
from stacks_pulumi.policy.testing import UNKNOWN, Outcome, PackTester, Resource, Secret, container
from tests.support.policy_cases import SOON

BY_TAG = {"env=prod": ["standard", "premium"], "team=web": ["basic", "standard"]}


def preview(policy: str, *resources: Resource, tags: dict[str, str] | None = None, **config: Any) -> Outcome:
    return PackTester(StacksGuard("test", [policy]), {policy: config}, tags=tags).preview(*resources)


@pytest.mark.parametrize(
    ("tags", "plan", "allowed"),
    [
        ({}, "micro", True),
        ({"env": "dev"}, "micro", True),
        ({"env": "prod"}, "micro", False),
        ({"env": "prod"}, "premium", True),
        ({"env": "prod", "team": "web"}, "premium", False),
        ({"env": "prod", "team": "web"}, "standard", True),
    ],
)
def test_several_stack_tags_allow_the_common_plans(tags: dict[str, str], plan: str, allowed: bool) -> None:
    outcome = preview(
        "allowed-plans", container("web", plan=plan), tags=tags, allowed=["micro"], by_tag=BY_TAG
    )

    assert outcome.blocked is not allowed


def test_unknown_can_be_denied_at_preview() -> None:
    preview("allowed-plans", container("web", plan=UNKNOWN), unknown="deny").assert_blocked_by(
        "allowed-plans", "the plan is not known at preview"
    )


def test_a_vpn_container_has_no_plan_to_judge() -> None:
    preview("allowed-plans", container("vpn", "stacks-vpn"), allowed=[]).assert_passes()


def test_an_unknown_plan_is_not_allowed_by_default() -> None:
    outcome = preview("allowed-plans", container("web", plan="colossal"))

    outcome.assert_blocked_by("allowed-plans", "a plan that is not in the catalogue")
    assert "colossal" not in str(outcome)


def test_without_a_plan_the_default_is_judged() -> None:
    from stacks_pulumi.policy import CONTAINER
    from stacks_pulumi.policy.testing import resource

    bare = resource(CONTAINER, "web", name="web", template="nodejs")

    preview("allowed-plans", bare, allowed=["micro"]).assert_blocked_by("allowed-plans", "plan basic")
    preview("allowed-plans", resource(CONTAINER, "web", template=UNKNOWN)).assert_warned_by(
        "allowed-plans", "template"
    )


def test_only_listed_templates_are_allowed() -> None:
    preview("allowed-templates", container("web", "ghost"), allowed=["nodejs"]).assert_blocked_by(
        "allowed-templates", "allowed: nodejs"
    )
    preview("allowed-templates", container("web", "novelty"), allowed=["nodejs"]).assert_blocked_by(
        "allowed-templates", "a template that is not in the catalogue"
    )


def test_a_denied_template_is_denied_even_if_it_is_allowed() -> None:
    assert preview("allowed-templates", container("web"), allowed=["nodejs"], denied=["nodejs"]).blocked


@pytest.mark.parametrize("template", ["WordPress", "wordpress "])
def test_a_denied_template_is_denied_in_every_case(template: str) -> None:
    assert preview("allowed-templates", container("web", template), denied=["wordpress"]).blocked


@pytest.mark.parametrize("policy", ["allowed-templates", "allowed-storage", "naming"])
def test_without_a_setting_the_policy_passes(policy: str) -> None:
    outcome = preview(policy, container("web", "novelty", plan="basic", additional_storage_tier=5))

    outcome.assert_passes()
    assert policy in outcome.not_applicable


def test_a_storage_limit_above_all_tiers_needs_no_value() -> None:
    preview("allowed-storage", container("web", additional_storage_tier=UNKNOWN), max_usd=5).assert_passes()


def test_an_unknown_storage_tier_is_not_allowed() -> None:
    preview("allowed-storage", container("web", additional_storage_tier=7), max_usd=5).assert_blocked_by(
        "allowed-storage", "its price is unknown"
    )


def test_the_whole_name_has_to_match() -> None:
    assert preview("naming", container("x", name="shop-dev-old"), pattern="shop-dev").findings
    preview("naming", container("x", name=UNKNOWN), pattern="x", unknown="deny").assert_warned_by(
        "naming", "the name is not known at preview"
    )


class TestClampPlan:
    def clamp(self, resource: Resource, **config: Any) -> Outcome:
        guard = StacksGuard("test", ["clamp-plan", "allowed-plans"], allowed_plans=["micro", "basic"])
        settings = {"enforcementLevel": "remediate", **config}
        return PackTester(guard, {"clamp-plan": settings}).update(resource)

    def test_a_plan_outside_of_the_list_is_lowered_with_its_price(self) -> None:
        outcome = self.clamp(container("web", plan="premium", additional_storage_tier=1))

        outcome.assert_passes()
        assert outcome.properties["web"]["plan"] == "basic"
        assert outcome.properties["web"]["monthly_price_usd"] == 5

    def test_a_plan_is_lowered_to_one_that_is_allowed_alone(self) -> None:
        guard = StacksGuard("test", ["clamp-plan", "allowed-plans"], all="remediate", allowed_plans=["micro"])
        outcome = PackTester(guard).update(container("web", plan="premium"))

        outcome.assert_passes()
        assert outcome.properties["web"]["plan"] == "micro"

    def test_secrets_stay_secrets(self) -> None:
        outcome = self.clamp(
            container("web", plan="premium", discount_code=Secret("SAVE10"), __provider=Secret("blob"))
        )

        assert outcome.properties["web"]["discount_code"] == Secret("SAVE10")
        assert outcome.properties["web"]["__provider"] == Secret("blob")

    def test_a_secret_plan_is_lowered_and_stays_a_secret(self) -> None:
        outcome = self.clamp(container("web", plan=Secret("premium")))

        assert outcome.properties["web"]["plan"] == Secret("basic")

    @pytest.mark.parametrize(
        ("resource", "config"),
        [
            (container("web", plan="micro"), {}),
            (container("vpn", "stacks-vpn"), {}),
            (container("web", plan="colossal"), {}),
            (container("web", plan="standard"), {"allowed": ["premium"], "to": "standard"}),
            (container("web", plan="premium", additional_storage_tier=1), {"to": "micro"}),
        ],
        ids=["allowed", "no plan", "price unknown", "none is cheaper", "micro takes no storage"],
    )
    def test_other_values_are_left_to_allowed_plans(self, resource: Resource, config: dict[str, str]) -> None:
        assert self.clamp(resource, **config).properties[resource.name] == resource.properties

    def test_unknown_values_are_not_changed(self) -> None:
        guard = StacksGuard("test", ["clamp-plan"], allowed_plans=["micro"], all="remediate")
        given = container("web", plan=UNKNOWN)

        assert PackTester(guard).preview(given).properties["web"] == given.properties

    @pytest.mark.parametrize("level", ["advisory", "mandatory"])
    def test_at_other_levels_it_reports_what_it_would_lower(self, level: str) -> None:
        outcome = self.clamp(container("web", plan="premium"), enforcementLevel=level)

        [found] = outcome.of("clamp-plan")
        assert found.level == level
        assert "clamp-plan would change the plan of 'web', but a policy changes properties only" in str(found)
        assert not self.clamp(container("web"), enforcementLevel=level).findings

    def test_it_does_nothing_unless_it_is_enabled(self) -> None:
        guard = StacksGuard("test", ["clamp-plan", "allowed-plans"], allowed_plans=["micro"])
        outcome = PackTester(guard, {"allowed-plans": "advisory"}).update(container("web", plan="premium"))

        assert outcome.properties["web"]["plan"] == "premium"

    def test_an_exempt_container_keeps_its_plan(self) -> None:
        exempt = [{"name": "web", "reason": "load test", "expires": SOON}]

        assert (
            self.clamp(container("web", plan="premium"), exempt=exempt).properties["web"]["plan"] == "premium"
        )

    def test_a_wrong_configuration_blocks(self) -> None:
        self.clamp(container("web", plan="premium"), too="basic").assert_blocked_by(
            "clamp-plan", "'too' is not an option"
        )
