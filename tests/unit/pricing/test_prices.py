from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks_pulumi import catalog
from stacks_pulumi.pricing.money import Price, describe, price
from stacks_pulumi.pricing.recognition import UNKNOWN, Unknown

templates = st.sampled_from(list(catalog.TEMPLATES))
plans = st.sampled_from([None, *catalog.PLANS])
tiers = st.sampled_from([None, *catalog.STORAGE_TIERS])


def dollars(exact: int) -> Price:
    return Price(Decimal(exact), Decimal(exact))


def at_least(low: int, *unknown: str) -> Price:
    return Price(Decimal(low), None, unknown)


@pytest.mark.parametrize(
    ("template", "plan", "tier", "expected"),
    [
        ("nodejs", "basic", None, dollars(4)),
        ("nodejs", "premium", 5, dollars(15)),
        ("redis-micro", None, None, dollars(1)),
        ("nodejs", None, None, dollars(4)),
        ("stacks-vpn", None, None, dollars(5)),
        ("nodejs", UNKNOWN, None, at_least(1, "plan")),
        ("nodejs", UNKNOWN, 3, at_least(4, "plan")),
        ("nodejs", "basic", UNKNOWN, at_least(4, "additional storage")),
        ("nodejs", UNKNOWN, UNKNOWN, at_least(1, "plan", "additional storage")),
        (UNKNOWN, "basic", None, at_least(4, "template")),
        (UNKNOWN, UNKNOWN, UNKNOWN, at_least(1, "template", "plan", "additional storage")),
        (None, "basic", None, at_least(4, "template")),
    ],
)
def test_an_unknown_value_costs_at_least_the_cheapest_and_has_no_upper_bound(
    template: str | Unknown | None, plan: str | Unknown | None, tier: int | Unknown | None, expected: Price
) -> None:
    assert price(template, plan, tier) == expected


@pytest.mark.parametrize("template", ["postgresql", "redis-micro"])
def test_no_storage_is_counted_where_the_api_takes_none(template: str) -> None:
    assert price(template, None, UNKNOWN).exact


def test_an_unknown_plan_does_not_change_the_price_of_a_vpn() -> None:
    assert price("stacks-vpn", UNKNOWN, None) == dollars(5)


@pytest.mark.parametrize(
    ("plan", "tier", "low"), [("colossal", None, 0), ("basic", 7, 4), ("colossal", 3, 0)]
)
def test_a_plan_outside_the_catalogue_has_no_upper_bound(plan: str, tier: int | None, low: int) -> None:
    assert price("nodejs", plan, tier) == Price(Decimal(low), None, ("price",))


@pytest.mark.parametrize("plan", [None, "standard", UNKNOWN])
def test_a_template_that_the_catalogue_does_not_know_has_no_upper_bound(plan: str | Unknown | None) -> None:
    guess = price("brand-new", plan, 3)

    assert (guess.low, guess.high) == (Decimal(0), None)
    assert "price" in guess.unknown


def is_within(one: Price, other: Price) -> bool:
    """Return whether every limit that refuses one price also refuses the other."""
    return other.high is None or (one.high is not None and one.high <= other.high)


@given(
    st.sampled_from([*catalog.TEMPLATES, "brand-new"]),
    st.sampled_from([None, *catalog.PLANS, "colossal"]),
    st.sampled_from([None, *catalog.STORAGE_TIERS, 7]),
    st.sampled_from(["template", "plan", "tier"]),
)
def test_an_unknown_value_is_never_cheaper_than_any_word(
    template: str, plan: str | None, tier: int | None, hidden: str
) -> None:
    # The API accepts additional storage for neither of them.
    if catalog.is_micro(template, plan) or catalog.is_database(template):
        tier = None
    values: dict[str, Any] = {"template": template, "plan": plan, "tier": tier}
    if template == catalog.VPN_TEMPLATE and hidden == "plan":
        return

    assert is_within(price(**values), price(**{**values, hidden: UNKNOWN}))


@given(templates, plans, tiers, st.sets(st.sampled_from(["template", "plan", "tier"])))
def test_the_true_price_lies_within_the_bounds(
    template: str, plan: str | None, tier: int | None, hidden: set[str]
) -> None:
    plan = plan or catalog.default_plan(template)
    if catalog.is_micro(template, plan) or catalog.is_database(template):
        tier = None
    truth = catalog.monthly_price(template, plan, tier)
    assert truth is not None

    guess = price(
        UNKNOWN if "template" in hidden else template,
        UNKNOWN if "plan" in hidden else plan,
        UNKNOWN if "tier" in hidden else tier,
    )

    assert guess.low <= truth
    assert guess.high is None or truth <= guess.high


def test_a_kind_is_described_in_words_of_the_catalogue() -> None:
    assert describe("nodejs", "basic", 3) == "nodejs, basic, 64 GB more"
    assert describe("stacks-vpn", None, None) == "stacks-vpn"
    assert describe(UNKNOWN, UNKNOWN, UNKNOWN) == "template unknown, plan unknown, storage unknown"
    assert describe("nodejs", None, None) == "nodejs, default plan"


@given(st.text(min_size=4))
def test_an_unknown_word_is_not_repeated(word: str) -> None:
    shown = describe(f"<{word}>", f"<{word}>", 99)

    assert f"<{word}>" not in shown
    assert [part.partition(" (")[0] for part in shown.split(", ")] == [
        "template not in the catalogue",
        "plan not in the catalogue",
        "storage not in the catalogue",
    ]


def test_the_word_that_a_misspelt_one_means_is_named() -> None:
    assert describe("nodejss", "premum", None) == (
        "template not in the catalogue (did you mean nodejs?), plan not in the catalogue (did you mean premium?)"
    )


def test_other_prices_can_be_used() -> None:
    assert price("nodejs", "basic", None, lambda *_: Decimal(7)) == dollars(7)


def test_without_a_template_no_default_plan_counts() -> None:
    assert price(None, None, None) == price(UNKNOWN, UNKNOWN, UNKNOWN)
