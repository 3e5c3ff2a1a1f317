"""One limit for several policies, names in the catalogue, and exemptions by name."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi_policy
import pytest
from pulumi.runtime import proto

from stacks_pulumi.cli import main
from stacks_pulumi.policy import PLANS, SPEND, StacksGuard
from stacks_pulumi.policy._analyzer import CheckedServicer
from stacks_pulumi.policy.testing import (
    Outcome,
    PackTester,
    configuration_problems,
    container,
    pinned_backup,
    resource,
)
from tests.support.policy_cases import SOON

ROOT = Path(__file__).parents[2]
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
        assert f"{lacking} has no max_monthly_usd, but {having[0]} has one" in found.message
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
        policy, f"contains {wrong!r}, which is not in the catalogue (did you mean {meant!r}?)", "new_names"
    )
    assert "misconfigured" not in str(judged(policy, {**config, "new_names": [wrong]}))


class TestNameThatTwoResourcesShare:
    ONE, TWO = (
        container("web", plan="premium"),
        replace(container("web", plan="premium"), parent="shop:index:Site"),
    )

    def gate(self, **exemption: str) -> PackTester:
        exempt = [{"reason": "agreed", "expires": SOON, **exemption}]
        return PackTester(
            StacksGuard("test", ["spend-gate"]), {"spend-gate": {"max_monthly_usd": 5, "exempt": exempt}}
        )

    def test_it_exempts_one_and_the_sum_keeps_the_other(self) -> None:
        outcome = self.gate(name="web").update(self.ONE, self.TWO)

        outcome.assert_blocked_by("spend-gate", "several resources have this name", "costs $10.00 a month")
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


LIMITS = {name: {"max_monthly_usd": 5} for name in KEEPERS}


def problems(config: Any, pack: str | None = None) -> str:
    text = config if isinstance(config, str) else json.dumps(config)
    return "\n".join(configuration_problems(text, pack))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"allowed_plans": {"allowed": ["micro"], "enforcementLevel": "mandatory"}},
            "did you mean 'allowed-plans'?",
        ),
        ({"Monthly-budget": "mandatory"}, "entry 'Monthly-budget', which is not a policy of this pack"),
        ({"monthly-budget": "Mandatory"}, "the level of 'monthly-budget' is 'Mandatory': it must be one of"),
        ({"monthly-budget": {"enforcementLevel": None}}, "the level of 'monthly-budget' is None"),
        ({"monthly-budget": None}, "the entry of 'monthly-budget' is neither a level nor an object"),
        ({"monthly-budget": "remediate"}, "'remediate', but this policy changes nothing: write mandatory"),
        (
            {"all": {"enforcementLevel": "advisory", "max_monthly_usd": 5}},
            "'max_monthly_usd' is set for 'all'",
        ),
        ({"all": "Disabled"}, "the level of 'all' is 'Disabled'"),
        ({**LIMITS, "monthly-budget": {"max_montly_usd": 5}}, "'max_montly_usd' is not an option"),
        ({**LIMITS, "spend-gate": {}}, "spend-gate has no max_monthly_usd, but monthly-budget has one"),
        ({"monthly-budget": {"max_monthly_usd": 5}}, "budget-warning has no max_monthly_usd"),
        ({"allowed-plans": {"allowed": ["micor"]}}, "did you mean 'micro'?"),
        (
            {"spend-gate": "advisory", "allowed-plans": "advisory"},
            "no ready pack has all of spend-gate, allowed-plans",
        ),
        (
            {"all": "disabled", **LIMITS},
            "monthly-budget is disabled, so its max_monthly_usd would have no effect",
        ),
        (
            '{"allowed-plans": {"allowed": ["micro"], "allowed": ["premium"]}}',
            "the key 'allowed' occurs twice in one object, and the engine uses only the last one",
        ),
        ('{"allowed-plans": "mandatory", "allowed-plans": "disabled"}', "'allowed-plans' occurs twice"),
        (
            {"account-headroom": {"cap_usd": 100}},
            "account-headroom is disabled, so its cap_usd would have no effect",
        ),
        ("", "it is empty, which the engine treats as no configuration"),
        ("[]", "it is not an object"),
        ('{"naming": NaN}', "NaN is not a valid number in JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_file_is_checked_for_what_the_engine_ignores(config: Any, said: str) -> None:
    assert said in problems(config)


@pytest.mark.parametrize(
    "config",
    [
        {},
        LIMITS,
        {**LIMITS, "all": "advisory"},
        {"all": "disabled", **{name: {**LIMITS[name], "enforcementLevel": "mandatory"} for name in KEEPERS}},
        {"budget-warning": "disabled", "cost-report": "advisory"},
        {"clamp-plan": "remediate", "known-resources": "mandatory"},
    ],
)
def test_a_correct_file_has_no_problem(config: Any) -> None:
    assert problems(config) == ""


def test_a_policy_of_the_sdk_for_the_whole_stack_remediates_nothing(tmp_path: Path) -> None:
    theirs = "pulumi_policy.StackValidationPolicy('theirs', 'Anything.', lambda args, report: None)"
    (tmp_path / "PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text(
        f"import pulumi_policy\npulumi_policy.PolicyPack('x', policies=[{theirs}])\n", encoding="utf-8"
    )

    (problem,) = configuration_problems('{"theirs": "remediate"}', tmp_path)

    assert "'remediate', but this policy changes nothing: write mandatory" in problem


@pytest.mark.parametrize("pack", ["plans", "spend", "exposure"])
def test_the_examples_of_the_packs_are_correct(pack: str) -> None:
    folder = ROOT / "policies" / pack
    [example] = re.findall(
        r"```json\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )

    assert problems(example) == problems(example, str(folder)) == ""


def test_the_packs_own_error_is_the_same_text(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(
        "from stacks_pulumi.policy import StacksGuard\n"
        "StacksGuard('own', ['naming'], longest_exemption_days=3).run()\n",
        encoding="utf-8",
    )
    config = {"naming": {"exempt": [{"name": "web", "reason": "agreed", "expires": SOON}]}}

    [text] = configuration_problems(json.dumps(config), tmp_path)
    found = PackTester(tmp_path, config).preview(container("web")).of("naming")[0]

    assert found.message.endswith(text)
    assert "more than 3 days from now" in text
    assert "has an entry 'spend-gate'" in problems({"spend-gate": "advisory"}, str(tmp_path))


def test_an_exemption_ends_within_a_year() -> None:
    def judged(expires: str) -> Outcome:
        exempt = [{"name": "web", "reason": "agreed", "expires": expires}]
        config = {"allowed-plans": {"allowed": ["micro"], "exempt": exempt}}
        pack = StacksGuard("test", ["allowed-plans"])
        return PackTester(pack, config, today=datetime.date(2026, 1, 1)).preview(container("web"))

    judged("2027-01-02").assert_passes()
    judged("2027-01-03").assert_blocked_by(
        "allowed-plans",
        "'exempt' entry 1 ends on 2027-01-03, more than 366 days from now: the latest possible date is 2027-01-02",
    )


@pytest.mark.parametrize("level", ["disabled", {"enforcementLevel": "disabled"}])
def test_options_of_a_policy_that_all_disables_are_refused(level: Any) -> None:
    with pytest.raises(
        ValueError, match="monthly-budget is disabled, so its max_monthly_usd would have no effect"
    ):
        spend(all=level, monthly_budget={"max_monthly_usd": 5}).preview(container("a"))

    own = StacksGuard("test", SPEND, max_monthly_usd=5)
    PackTester(own, {"all": "disabled"}).preview(container("a", plan="premium")).assert_passes()


def test_the_command_prints_each_problem_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = tmp_path / "right.json", tmp_path / "wrong.json"
    right.write_text(json.dumps(LIMITS), encoding="utf-8")
    wrong.write_text(
        '{"allowed_plans": {"allowed": ["micro"], "enforcementLevel": "mandatory"}}', encoding="utf-8"
    )

    assert main(["policy", "check", str(right)]) == 0
    assert capsys.readouterr().out == f"{right}: correct\n"
    assert main(["policy", "check", str(right), str(wrong)]) == 1
    assert f"{wrong}: the configuration has an entry 'allowed_plans'" in capsys.readouterr().out
    assert main(["policy", "check", str(tmp_path / "none.json")]) == 1
    assert main(["policy", "check", str(right), "--pack", str(tmp_path)]) == 1


def test_the_program_of_a_pack_gets_no_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("STACKS_API_KEY", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE")
    for name in names:
        monkeypatch.setenv(name, "secret")
    (tmp_path / "PulumiPolicy.yaml").write_text("runtime: python\nname: x\n", encoding="utf-8")
    program = f"import os, pulumi_policy\nassert not {set(names)!r} & set(os.environ)\n"
    program += "pulumi_policy.PolicyPack('x', policies=[])\n"
    (tmp_path / "__main__.py").write_text(program, encoding="utf-8")
    (tmp_path / "rules.json").write_text("{}", encoding="utf-8")

    assert main(["policy", "check", str(tmp_path / "rules.json"), "--pack", str(tmp_path)]) == 1

    assert "refuses the policy pack that this program serves: Missing policies" in capsys.readouterr().out


def test_a_limit_that_is_null_is_not_taken_for_no_limit() -> None:
    limit = '{"max_monthly_usd": null}'
    given = f'{{"monthly-budget": {limit}, "budget-warning": {limit}, "spend-gate": {limit}}}'

    problems = configuration_problems(given)

    assert len(problems) == 3
    assert all("'max_monthly_usd' is null: write a value, or leave the option out" in one for one in problems)


@pytest.mark.parametrize("name", ["allowed_plans", "monthly-budget", "all"])
def test_the_pack_itself_refuses_an_entry_that_has_no_effect(name: str) -> None:
    # The engine passes on every entry with a level, even for a policy that the pack does not contain.
    guard = StacksGuard("test", PLANS)
    servicer = CheckedServicer("test", "1", guard.policies(), pulumi_policy.EnforcementLevel.MANDATORY)
    request = proto.ConfigureAnalyzerRequest()
    request.policyConfig[name].enforcementLevel = proto.MANDATORY
    request.policyConfig[name].properties.update({"max_usd": 1})

    with pytest.raises(ValueError, match=f"has an entry '{name}', which is not|'max_usd' is set for 'all'"):
        servicer.Configure(request, None)


def test_a_level_for_all_and_policies_of_the_sdk_are_known() -> None:
    theirs = pulumi_policy.StackValidationPolicy("theirs", "Anything.", lambda _args, _report: None)
    guard = StacksGuard("test", PLANS, extra=[theirs])
    servicer = CheckedServicer("test", "1", guard.policies(), pulumi_policy.EnforcementLevel.MANDATORY)
    request = proto.ConfigureAnalyzerRequest()
    for name in ("all", "theirs"):
        request.policyConfig[name].enforcementLevel = proto.ADVISORY
    request.policyConfig["theirs"].properties.update({"option": 1})

    servicer.Configure(request, None)
