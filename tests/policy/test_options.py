from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks_pulumi.policy.guard import rules
from stacks_pulumi.policy.options import Settings
from tests.support.golden import Golden

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def problems(policy: str, **config: Any) -> list[str]:
    return Settings(rules()[policy].all_options, config).problems


@pytest.mark.parametrize(
    ("policy", "config", "text"),
    [
        (
            "monthly-budget",
            {"max_montly": 10},
            "'max_montly' is not an option; the options are max_monthly_usd, unknown, exempt",
        ),
        ("monthly-budget", {"max_monthly_usd": "10"}, "'max_monthly_usd' is not an amount in US dollars"),
        (
            "monthly-budget",
            {"max_monthly_usd": float("nan")},
            "'max_monthly_usd' is not an amount in US dollars",
        ),
        ("monthly-budget", {"max_monthly_usd": -0.01}, "'max_monthly_usd' is less than $0.00"),
        ("monthly-budget", {"unknown": "worst"}, "'unknown' is not one of worst-case, deny, ignore"),
        ("budget-warning", {"pct": 0}, "'pct' is not between 1 and 100"),
        ("max-resources", {"containers": 2.5}, "'containers' is not a whole number"),
        ("allowed-plans", {"allowed": "basic"}, "'allowed' is not a list of names"),
        (
            "allowed-plans",
            {"by_tag": {"prod": ["basic"]}},
            "'by_tag' is not a stack tag with its value, such as env=prod",
        ),
        ("allowed-plans", {"by_tag": {"env=prod": "basic"}}, "'by_tag' is not a list of names"),
        ("allowed-plans", {"by_tag": ["basic"]}, "'by_tag' is not an object such as"),
        ("naming", {"pattern": "["}, "'pattern' is not a regular expression"),
        ("naming", {"pattern": 5}, "'pattern' is not a regular expression"),
        ("naming", {"pattern": "a{99999999999999999}"}, "'pattern' is not a regular expression"),
        ("naming", {"pattern": "(" * 9000 + ")" * 9000}, "'pattern' is not a regular expression"),
        ("naming", {"exempt": {}}, "'exempt' is not a list"),
        ("naming", {"exempt": ["web"]}, "'exempt' entry 1 is not an object with text values"),
        (
            "naming",
            {"exempt": [{"name": "a", "reason": "b"}]},
            "'exempt' entry 1 needs a valid date in expires, such as 2030-12-31",
        ),
        ("naming", {"exempt": [{"name": "a", "expires": "2030-01-01"}]}, "'exempt' entry 1 has no reason"),
        (
            "naming",
            {"exempt": [{"name": "a", "reason": " ", "expires": "2030-01-01"}]},
            "'exempt' entry 1 has no reason",
        ),
        (
            "naming",
            {"exempt": [{"reason": "b", "expires": "2030-01-01"}]},
            "'exempt' entry 1 needs either urn or name, not both",
        ),
        (
            "naming",
            {"exempt": [{"nmae": "a", "reason": "b", "expires": "2030-01-01"}]},
            "'exempt' entry 1 has the unknown key 'nmae'",
        ),
    ],
)
def test_each_error_is_named(policy: str, config: dict[str, Any], text: str) -> None:
    [problem] = problems(policy, **config)

    assert problem.startswith(text)


def test_all_errors_are_named_together() -> None:
    assert len(problems("monthly-budget", max_monthly_usd="x", unknown="x", other="x")) == 3


def test_an_amount_keeps_its_decimal_value() -> None:
    settings = Settings(rules()["monthly-budget"].all_options, {"max_monthly_usd": 19.99})

    assert settings.money("max_monthly_usd") == Decimal("19.99")


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.name)
def test_defaults_are_valid_with_and_without_the_engine(rule: Any) -> None:
    defaults = {option.name: option.default for option in rule.all_options if option.default is not None}

    alone, helped = Settings(rule.all_options), Settings(rule.all_options, defaults)

    assert alone.problems == helped.problems == []
    assert all(alone[option.name] == helped[option.name] for option in rule.all_options)


def test_the_options_of_each_policy_are_as_recorded(golden: Golden) -> None:
    """Pulumi checks a pack's configuration with these options and shows them."""
    lines = [
        f"{rule.name} {option.name}: {json.dumps(option.schema, sort_keys=True)}"
        for rule in rules().values()
        for option in rule.all_options
    ]
    golden.text("policy-options.txt", "\n".join(lines))


@given(
    st.sampled_from([(rule, option) for rule in rules().values() for option in rule.all_options]), ANYTHING
)
def test_no_configuration_crashes(target: Any, value: Any) -> None:
    rule, option = target

    settings = Settings(rule.all_options, {option.name: value})

    assert settings.problems or settings[option.name] is not None or value is None
