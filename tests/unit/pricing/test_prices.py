from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks_pulumi import catalog
from stacks_pulumi.pricing.money import Price, describe, price
from stacks_pulumi.pricing.recognition import UNKNOWN, Unknown

templates = st.sampled_from(list(catalog.TEMPLATES))
plans = st.sampled_from([None, *catalog.PLANS])
tiers = st.sampled_from([None, *catalog.STORAGE_TIERS])


def dollars(low: int, high: int | None = None, *unknown: str) -> Price:
    return Price(Decimal(low), Decimal(low if high is None else high), unknown)


@pytest.mark.parametrize(
    ("template", "plan", "tier", "expected"),
    [
        ("nodejs", "basic", None, dollars(4)),
        ("nodejs", "premium", 5, dollars(15)),
        ("redis-micro", None, None, dollars(1)),
        ("nodejs", None, None, dollars(4)),
        ("stacks-vpn", None, None, dollars(5)),
        ("nodejs", UNKNOWN, None, dollars(1, 10, "plan")),
        ("nodejs", UNKNOWN, 3, dollars(4, 13, "plan")),
        ("nodejs", "basic", UNKNOWN, dollars(4, 9, "additional storage")),
        ("nodejs", UNKNOWN, UNKNOWN, dollars(1, 15, "plan", "additional storage")),
        (UNKNOWN, "basic", None, dollars(4, 5, "template")),
        (UNKNOWN, UNKNOWN, UNKNOWN, dollars(1, 15, "template", "plan", "additional storage")),
        (None, "basic", None, dollars(4, 5, "template")),
    ],
)
def test_unknown_ranges_from_the_cheapest_to_the_most_expensive(
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


@given(templates, plans, tiers, st.sets(st.sampled_from(["template", "plan", "tier"])))
def test_the_true_price_lies_within_the_range(
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

    assert guess.high is not None
    assert guess.low <= truth <= guess.high


def test_a_kind_is_described_in_words_of_the_catalogue() -> None:
    assert describe("nodejs", "basic", 3) == "nodejs, basic, 64 GB more"
    assert describe("stacks-vpn", None, None) == "stacks-vpn"
    assert describe(UNKNOWN, UNKNOWN, UNKNOWN) == "template unknown, plan unknown, storage unknown"
    assert describe("nodejs", None, None) == "nodejs, default plan"


@given(st.text(min_size=4))
def test_an_unknown_word_is_not_repeated(word: str) -> None:
    shown = describe(f"<{word}>", f"<{word}>", 99)

    assert shown == "template not in the catalogue, plan not in the catalogue, storage not in the catalogue"


def test_other_prices_can_be_used() -> None:
    assert price("nodejs", "basic", None, lambda *_: Decimal(7)) == dollars(7)


def test_without_a_template_no_default_plan_counts() -> None:
    assert price(None, None, None) == price(UNKNOWN, UNKNOWN, UNKNOWN)
