"""One limit for several policies, names that the catalogue has, and exemptions by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stacks_pulumi.policy import SPEND, StacksGuard
from stacks_pulumi.policy.testing import Outcome, PackTester, container, pinned_backup, resource

KEEPERS = ("monthly-budget", "budget-warning", "spend-gate")


def spend(**config: Any) -> PackTester:
    given = {name.replace("_", "-"): value for name, value in config.items()}
    return PackTester(StacksGuard("test", SPEND), given)


@pytest.mark.parametrize("lacking", KEEPERS)
@pytest.mark.parametrize("others", [1, 2])
def test_a_missing_limit_is_a_violation_before_any_create(lacking: str, others: int) -> None:
    having = [name for name in KEEPERS if name != lacking][-others:]
    config: dict[str, Any] = {name: {"max_monthly_usd": 50} for name in having}
    disabled: dict[str, Any] = {
        name: "disabled" for name in KEEPERS if name not in having and name != lacking
    }
    pack = PackTester(StacksGuard("test", SPEND), {**config, **disabled})

    for outcome in (pack.preview(container("a")), pack.update(container("a"))):
        [found] = outcome.of(lacking)
        assert f"{lacking} has no max_monthly_usd, and {having[0]} has one" in found.message
        assert found.level == ("advisory" if lacking == "budget-warning" else "mandatory")
        assert "no monthly limit is set" not in str(outcome)
    if lacking != "budget-warning":
        assert outcome.made == ()


def test_a_limit_without_a_policy_is_one_warning() -> None:
    outcome = spend().preview(container("a"))

    outcome.assert_warned_by("budget-warning", "no monthly limit is set")
    assert not outcome.blocked


def test_limits_may_differ_and_a_disabled_policy_needs_none() -> None:
    limits = {"monthly_budget": {"max_monthly_usd": 50}, "spend_gate": {"max_monthly_usd": 60}}

    spend(**limits, budget_warning="disabled").preview(container("a")).assert_passes()


def test_a_wrong_configuration_stops_an_update_before_any_create() -> None:
    outcome = spend(monthly_budget={"max_montly_usd": 5}).update(container("a"))

    outcome.assert_blocked_by("monthly-budget", "is misconfigured")
    assert outcome.made == ()


def judged(policy: str, config: dict[str, Any]) -> Outcome:
    return PackTester(StacksGuard("test", [policy], all="mandatory"), {policy: config}).preview(
        container("a")
    )


@pytest.mark.parametrize(
    ("policy", "config", "wrong", "meant"),
    [
        ("allowed-templates", {"denied": ["wordpres"]}, "wordpres", "wordpress"),
        ("allowed-templates", {"allowed": ["nodejs", "Nodejs"]}, "Nodejs", "nodejs"),
        ("allowed-plans", {"allowed": ["basic", "micor"]}, "micor", "micro"),
        ("allowed-plans", {"by_tag": {"env=prod": ["standart"]}}, "standart", "standard"),
        ("clamp-plan", {"allowed": ["premum"]}, "premum", "premium"),
        ("protect-data", {"templates": ["postgres"]}, "postgres", "postgresql"),
        ("backup-required", {"templates": ["mysq"]}, "mysq", "mysql"),
        ("no-public-database", {"templates": ["mongo"]}, "mongo", "mongodb"),
        ("open-allowed-ip", {"open_services": ["https"]}, "https", "http"),
    ],
)
def test_an_unknown_name_is_a_violation_unless_listed_as_new(
    policy: str, config: dict[str, Any], wrong: str, meant: str
) -> None:
    judged(policy, config).assert_blocked_by(
        policy, f"has {wrong!r}, which is not in the catalogue (did you mean {meant!r}?)", "new_names"
    )
    assert "misconfigured" not in str(judged(policy, {**config, "new_names": [wrong]}))


class TestNameThatTwoResourcesShare:
    ONE, TWO = (
        container("web", plan="premium"),
        replace(container("web", plan="premium"), parent="shop:index:Site"),
    )

    def gate(self, **exemption: str) -> PackTester:
        exempt = [{"reason": "agreed", "expires": "2999-12-31", **exemption}]
        return PackTester(
            StacksGuard("test", ["spend-gate"]), {"spend-gate": {"max_monthly_usd": 5, "exempt": exempt}}
        )

    def test_it_exempts_one_and_the_sum_keeps_the_other(self) -> None:
        outcome = self.gate(name="web").update(self.ONE, self.TWO)

        outcome.assert_blocked_by("spend-gate", "which more than one resource has", "costs $10.00 a month")
        assert outcome.made == ("web",)

    def test_the_urn_exempts_one_resource(self) -> None:
        self.gate(urn=self.ONE.urn).update(self.ONE).assert_passes()
        assert self.gate(urn=self.ONE.urn).update(self.ONE, self.TWO).made == ("web",)


def test_a_backup_of_two_joined_ids_is_of_neither_container() -> None:
    pack = PackTester(StacksGuard("test", ["backup-required"], all="mandatory"))
    databases = container("one", "mysql"), container("two", "mysql")
    both = replace(pinned_backup("safe", of="one"), sources={"container": ["one", "two"]})

    outcome = pack.preview(*databases, both)

    assert [found.resource for found in outcome.of("backup-required")] == ["one", "two"]


def test_a_backup_of_a_known_id_is_of_that_container() -> None:
    pack = PackTester(StacksGuard("test", ["backup-required"], all="mandatory"))
    databases = (
        container("one", "mysql", internal_host="usr-1-one"),
        container("two", "mysql", internal_host="usr-1-two"),
    )

    outcome = pack.update(*databases, pinned_backup("safe", of="one", container="usr-1-two"))

    assert [found.resource for found in outcome.of("backup-required")] == ["one"]


def test_tester_accepts_class_names_and_refuses_unknown_types() -> None:
    pack = PackTester(StacksGuard("test", ["allowed-plans"], allowed_plans=["micro"]))

    pack.preview(resource("Container", "web", template="nodejs", plan="premium")).assert_blocked_by(
        "allowed-plans"
    )
    with pytest.raises(ValueError, match="'container' is not a type token such as"):
        resource("container", "web")


@pytest.mark.parametrize("unknown", ["worst-case", "ignore", "deny"])
def test_resource_of_an_unknown_kind_fits_into_no_budget(unknown: str) -> None:
    config: dict[str, Any] = {
        "monthly-budget": {"max_monthly_usd": 1000, "unknown": unknown},
        "known-resources": "disabled",
    }
    pack = PackTester(StacksGuard("test", ["monthly-budget"]), config)

    pack.preview(resource("stacks:index:Gpu", "gpu", size="large")).assert_blocked_by(
        "monthly-budget", "an unknown sum"
    )
