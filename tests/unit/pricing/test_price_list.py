"""Which prices in a list of templates are trusted?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from stacks_pulumi import catalog
from stacks_pulumi.platform_file import PlatformFile, Prices
from stacks_pulumi.pricing.money import price
from stacks_pulumi.pricing.price_list import PriceList, price_list

NOTHING = Prices()


def prices(*entries: dict[str, Any], facts: Prices = NOTHING) -> PriceList:
    """The price list of an answer with these entries."""
    rows = [(entry["id"], entry.get("plan", entry.get("tier")), entry) for entry in entries]
    return price_list(rows, facts)


def notes(listed: PriceList) -> list[str]:
    return list(listed.notes(PlatformFile().advice))


def test_the_listed_prices_replace_the_catalogues_and_differences_are_named() -> None:
    listed = prices(
        {"id": "nodejs", "plan": "basic", "price": 4.5},
        {"id": "nginx-micro", "plan": "micro", "price": 1},
        {"id": "novelty", "plan": "Special", "price": 20},
    )

    assert listed("nodejs", "basic", None) == listed("nodejs", None, None) == Decimal("4.5")
    assert listed("novelty", "basic", None) == listed("novelty", "special", None) == Decimal(20)
    assert listed("novelty", "premium", None) is None
    assert notes(listed) == [
        "live prices: nodejs costs $4.50 a month, but the catalogue shows $4.00",
        "live prices: novelty costs $20.00 a month, but the catalogue shows no price",
    ]


@pytest.mark.parametrize(
    "said",
    [
        {"currencyCode": "EUR"},
        {"price_currency": "EUR"},
        {"currency": {"code": "GBP"}},
        {"symbol": "€"},
        {"billing_period": "week"},
        {"billing": {"cycle": "quarterly"}},
        {"interval": "month", "interval_count": 3},
        {"billing_cycle": "3 months"},
        {"price_unit": "credits"},
        {"quantity": 4},
    ],
)
@pytest.mark.parametrize("where", ["entry", "answer"])
def test_a_price_in_another_unit_is_not_believed_wherever_the_answer_says_it(
    said: dict[str, Any], where: str
) -> None:
    entry = {"id": "nodejs", "price": 4}

    listed = (
        prices({**entry, **said})
        if where == "entry"
        else price_list([("redis", None, entry), ("nodejs", None, entry)], NOTHING, said)
    )

    assert listed("nodejs", None, None) is None
    assert "price may not be the paid price" in notes(listed)[0]


@pytest.mark.parametrize(
    "said",
    [
        {"currency_code": "USD", "billing_period": "monthly", "interval_count": 1},
        {"trial_period": "14 days", "storage_unit": "GB", "backup_frequency": "daily"},
        {"discount": None, "tax_rate": 0, "discount_codes_accepted": True},
        {"tax_included": True},
    ],
)
def test_what_is_beside_a_price_and_changes_nothing_leaves_it_believed(said: dict[str, Any]) -> None:
    assert prices({"id": "nodejs", "price": 4, **said})("nodejs", None, None) == Decimal(4)


@pytest.mark.parametrize(
    "said",
    [{"discounted_price": 2}, {"discount": {"percent": 50}}, {"vat": "19 %"}, {"tax_included": False}],
)
def test_a_price_is_not_what_is_paid_if_a_tax_or_discount_is_beside_it(said: dict[str, Any]) -> None:
    entry = {"id": "nodejs", "price": 4}

    for listed in (prices({**entry, **said}), price_list([("nodejs", None, entry)], NOTHING, said)):
        assert listed("nodejs", None, None) is None
        assert "price may not be the paid price" in notes(listed)[0]
    facts = Prices(field="price", unit="dollars")
    assert prices({**entry, **said}, facts=facts)("nodejs", None, None) == Decimal(4)


def test_the_catalogue_is_used_where_the_platform_has_shown_that_it_is_right_and_is_named() -> None:
    listed = prices(
        {"id": "nodejs", "plan": "basic", "price": 4}, {"id": "mysql", "plan": "basic", "price": 3}
    )

    assert listed("nodejs", "premium", None) == Decimal(10)
    assert listed("nodejs", "basic", 3) == Decimal(7)
    assert listed("nodejs", "basic", 9) is None
    # Its price has changed, so the catalogue is not valid for its other plans.
    assert listed("mysql", "premium", None) is None
    assert listed("mysql", "basic", 3) is None
    # The platform does not list this template.
    assert listed("redis", "basic", None) is None
    assert notes(listed)[-1] == (
        "live prices: the API does not list nodejs premium, nodejs basic with additional storage, so the "
        "catalogue's prices apply"
    )


def test_a_template_that_is_listed_with_several_plans_has_several_prices() -> None:
    listed = prices(
        {"id": "nodejs", "tier": "Basic", "price": 4},
        {"id": "nodejs", "tier": "Ultra", "price": 9},
        {"id": "redis", "plan": "basic", "price": 4},
        {"id": "redis", "plan": "basic", "price": 5},
    )

    assert listed("nodejs", None, None) == Decimal(4)
    assert listed("nodejs", "ultra", None) == Decimal(9)
    assert listed("redis", "basic", None) is None
    assert "redis is not known: it is listed with two prices" in notes(listed)[-1]


DOLLARS: list[dict[str, Any]] = [
    {"price": 4},
    {"price": 4.0},
    {"price": "4.00"},
    {"price": "$4.00"},
    {"price": "4 USD"},
    {"price": "$4/month"},
    {"monthlyPriceUsd": 4.0},
    {"price": 4, "currency": "USD"},
    {"pricing": {"monthly": 4, "currency": "USD"}},
    {"cost": {"amount": {"value": "4.00"}}},
    {"price": 4, "port": 15, "recurring": True, "tags": ["web"]},
    {"price": 4, "hourly": None},
]

UNCLEAR: list[dict[str, Any]] = [
    {},
    {"price": None},
    {"price": 400},
    {"price": 0.0055},
    {"price": 0},
    {"price": -4},
    {"price": "4,00"},
    {"price": "1,234"},
    {"price": "4,00 EUR"},
    {"price": "€4.00"},
    {"price": "from $4"},
    {"price": "$4 - $10"},
    {"price": "free"},
    {"price": True},
    {"price": [4, 10]},
    {"price": "A$4"},
    {"price": "$4/a"},
    {"price": "4 USD/yr"},
    {"price": "4.00 per hour"},
    {"price_cents": 400},
    {"price_eur": 4},
    {"hourly": 0.0055},
    {"pricing": {"monthly": 4, "hourly": 0.0055}},
    {"pricing": {"amount": 400, "unit": "cents"}},
    {"pricing": {"basic": 4, "premium": 10}},
    {"price": 4, "cost": 5},
    {"price": 4, "renewal_price": 4},
    {"price": 4, "prices": [{"plan": "basic", "price": 4}]},
    {"price": 4, "plans": [{"name": "premium", "price": 20}]},
    {"price": 4, "plans": {"premium": {"price": 20}}},
    {"price": 4, "storage_price": {"1": 20}},
    {"price": 4, "currency": "EUR"},
    {"price": 4, "currency": ["EUR"]},
    {"price": 4, "ccy": "EUR"},
    {"price": 4, "sold": {"name": "basic", "currency": "EUR"}},
    {"price": 4, "meta": {"billing": {"currency": {"code": "EUR"}}}},
    {"price": 4, "unit": "credits"},
    {"price": 4, "symbol": "A$"},
    {"price": 4, "denomination": "EUR"},
    {"price": 4, "sold_in": "Euro"},
    {"price": 4, "money": {"sign": "€"}},
    {"price": 4, "billing": "weekly"},
    {"price": 4, "term": "week"},
]


@pytest.mark.parametrize("entry", DOLLARS, ids=str)
def test_a_price_that_is_clearly_in_dollars_a_month_is_believed(entry: dict[str, Any]) -> None:
    listed = prices({"id": "nodejs", "plan": "basic", **entry})

    assert listed("nodejs", "basic", None) == Decimal(4)
    assert notes(listed) == []


@pytest.mark.parametrize("entry", UNCLEAR, ids=str)
def test_any_other_price_is_unknown_and_named_and_has_no_upper_bound(entry: dict[str, Any]) -> None:
    listed = prices({"id": "nodejs", "plan": "basic", **entry})

    assert listed("nodejs", "basic", None) is None
    assert listed("nodejs", "premium", 3) is None
    assert price("nodejs", "basic", None, listed).high is None
    [note] = notes(listed)
    assert note.startswith("live prices: the price of nodejs is not known: ")
    assert "prices: {field: price, unit: cents}" in note


def test_one_price_far_from_the_catalogue_makes_all_of_that_answer_unknown() -> None:
    entries: list[dict[str, Any]] = [
        {"id": name, "plan": template.plan.name, "price": int(template.plan.usd * 100)}
        for name, template in catalog.TEMPLATES.items()
        if template.plan is not None
    ]
    listed = prices(*entries, {"id": "novelty", "price": 3})

    assert all(listed(entry["id"], entry["plan"], None) is None for entry in entries)
    assert listed("novelty", None, None) is None
    [note] = notes(listed)
    assert (
        "and 22 more is not known: if price were in US dollars a month, ubuntu-micro would cost $100.00"
        in note
    )


@pytest.mark.parametrize(
    ("facts", "entry"),
    [
        (Prices(unit="cents"), {"price": 400}),
        (Prices(field="offer.eachMonth"), {"offer": {"eachMonth": 4}, "price": 9}),
        (Prices(field="price_cents", unit="cents"), {"price_cents": "400", "currency": "EUR"}),
        (Prices(field="starting_price", unit="dollars"), {"starting_price": "$4.00"}),
    ],
)
def test_the_platform_file_says_the_field_and_its_unit(facts: Prices, entry: dict[str, Any]) -> None:
    listed = prices({"id": "nodejs", "plan": "basic", **entry}, facts=facts)

    assert listed("nodejs", "basic", None) == Decimal(4)


@pytest.mark.parametrize(
    ("facts", "entry"),
    [
        (Prices(unit="dollars"), {"price": 400}),
        (Prices(unit="dollars"), {"price": 4, "currency": "EUR"}),
        (Prices(field="pricing.monthly"), {"price": 4}),
        (Prices(field="price.monthly"), {"price": 4}),
    ],
)
def test_a_platform_file_that_does_not_fit_makes_no_price_known(facts: Prices, entry: dict[str, Any]) -> None:
    assert prices({"id": "nodejs", "plan": "basic", **entry}, facts=facts)("nodejs", "basic", None) is None


def test_a_new_template_alone_is_believed_only_with_a_platform_file() -> None:
    novelty = {"id": "novelty", "price": 20}

    assert prices(novelty)("novelty", None, None) is None
    assert prices(novelty, facts=Prices(unit="dollars"))("novelty", None, None) == Decimal(20)


def test_a_list_of_templates_with_a_gap_says_so() -> None:
    assert price_list([], NOTHING).incomplete == ""
    assert (
        PriceList({}, {}, {}, gap="no page 2").incomplete == "the list of templates is incomplete: no page 2"
    )
