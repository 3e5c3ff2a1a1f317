"""The test harness for users' packs is the SDK's analyzer and behaves like the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi_policy
import pytest
from pulumi_policy import EnforcementLevel, PolicyConfigSchema, ResourceValidationPolicy

from stacks_pulumi.policy import CONTAINER, StacksGuard
from stacks_pulumi.policy.testing import UNKNOWN, PackTester, Secret, container, load_pack, resource

ROOT = Path(__file__).parents[2]


def seen_by_a_policy(*resources: Any, config: Any = None, tags: Any = None, schema: Any = None) -> list[Any]:
    seen: list[Any] = []

    def validate(args: pulumi_policy.ResourceValidationArgs, _report: Any) -> None:
        seen.append(args)

    policy = ResourceValidationPolicy(
        "spy", "Looks.", validate, EnforcementLevel.MANDATORY, schema and PolicyConfigSchema(schema)
    )
    PackTester([policy], config, tags=tags).preview(*resources)
    return seen


def test_the_stack_itself_comes_first() -> None:
    assert [args.resource_type for args in seen_by_a_policy(container("web"))] == [
        "pulumi:pulumi:Stack",
        CONTAINER,
    ]


def test_secrets_arrive_as_unmarked_plain_text() -> None:
    assert (
        seen_by_a_policy(container("web", discount_code=Secret("SAVE10")))[1].props["discount_code"]
        == "SAVE10"
    )


def test_whole_numbers_arrive_as_floats() -> None:
    assert isinstance(
        seen_by_a_policy(container("web", additional_storage_tier=3))[1].props["additional_storage_tier"],
        float,
    )


def test_schema_defaults_are_filled_in_and_overridden() -> None:
    schema = {"limit": {"type": "number", "default": 5}, "other": {"type": "string", "default": "a"}}

    [args] = seen_by_a_policy(config={"spy": {"limit": 7}}, schema=schema)

    assert args.get_config() == {"limit": 7, "other": "a"}


def test_tags_and_protection_are_passed_on() -> None:
    [_, args] = seen_by_a_policy(container("web", protect=True), tags={"env": "prod"})

    assert args.stack_tags == {"env": "prod"}
    assert args.opts.protect


def test_a_misspelt_policy_or_level_is_refused() -> None:
    with pytest.raises(ValueError, match="has an entry 'spyy', which is not a policy of this pack"):
        seen_by_a_policy(config={"spyy": "disabled"})
    with pytest.raises(ValueError, match="'off' is not an enforcement level"):
        seen_by_a_policy(config={"spy": "off"})


def test_a_policys_entry_overrides_the_level_of_all() -> None:
    guard = StacksGuard(
        "test", ["monthly-budget", "resource-price-cap"], max_monthly_usd=1, max_container_usd=1
    )

    outcome = PackTester(guard, {"all": "advisory", "monthly-budget": "mandatory"}).preview(container("web"))

    outcome.assert_blocked_by("monthly-budget")
    outcome.assert_warned_by("resource-price-cap")


def test_an_update_has_no_unknown_values() -> None:
    with pytest.raises(ValueError, match="'web' has an unknown value"):
        PackTester(StacksGuard("test", ["naming"])).update(container("web", plan=UNKNOWN))


def test_assertions_show_what_was_found() -> None:
    outcome = PackTester(StacksGuard("test", ["monthly-budget"], max_monthly_usd=1)).preview(container("web"))

    with pytest.raises(AssertionError, match=r"costs \$4\.00 a month"):
        outcome.assert_passes()
    with pytest.raises(AssertionError, match="expected a advisory violation of monthly-budget"):
        outcome.assert_warned_by("monthly-budget")
    with pytest.raises(AssertionError, match="expected 'nothing of it' in"):
        outcome.assert_blocked_by("monthly-budget", "nothing of it")


@pytest.mark.parametrize(
    ("pack", "resources", "policy", "config"),
    [
        (
            "plans",
            [container("web", plan="premium")],
            "allowed-plans",
            {"allowed-plans": {"allowed": ["basic"]}},
        ),
        (
            "spend",
            [container("web", plan="premium")],
            "monthly-budget",
            {"monthly-budget": {"max_monthly_usd": 9}},
        ),
        (
            "exposure",
            [resource("pulumi-python:dynamic/stacks:AllowedIp", "door", ip_address="::/0")],
            "open-allowed-ip",
            {},
        ),
    ],
)
def test_the_packs_of_this_package_run_from_their_folders(
    pack: str, resources: list[Any], policy: str, config: dict[str, Any]
) -> None:
    PackTester(ROOT / "policies" / pack, config).preview(*resources).assert_blocked_by(policy)


def test_a_folder_that_serves_nothing_is_not_a_pack(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text("print('hello')\n", encoding="utf-8")

    with pytest.raises(ValueError, match="serves no policy pack"):
        load_pack(tmp_path)


def test_a_pack_made_only_with_the_sdk_can_be_tested(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(
        "from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy\n"
        "PolicyPack('own', [ResourceValidationPolicy('never', 'Never.', lambda args, report: report('no'),"
        " EnforcementLevel.MANDATORY)])\n",
        encoding="utf-8",
    )

    PackTester(tmp_path).preview(container("web")).assert_blocked_by("never", "no")


@pytest.mark.parametrize(
    ("entry", "level"), [("{'limit': 5}", "advisory"), ("{}", "advisory"), ("None", "mandatory")]
)
def test_a_pack_made_only_with_the_sdk_is_as_the_engine_gets_it(
    entry: str, level: str, tmp_path: Path
) -> None:
    initial = "None" if entry == "None" else f"{{'never': {entry}}}"
    (tmp_path / "__main__.py").write_text(
        "from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy\n"
        "never = ResourceValidationPolicy('never', 'Never.', lambda args, report: report('no'))\n"
        f"PolicyPack('own', [never], EnforcementLevel.MANDATORY, {initial})\n",
        encoding="utf-8",
    )

    # The SDK sends no level for an entry without a level, and the engine reads this as advisory.
    [finding, *_] = PackTester(tmp_path).preview(container("web")).findings
    assert finding.level == level
