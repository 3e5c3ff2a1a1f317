from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks_pulumi.pricing.money import (
    FREE,
    Change,
    Price,
    billed,
    count,
    shown_plan,
    signed,
    storage_tier,
    total,
    usd,
)
from stacks_pulumi.pricing.recognition import UNKNOWN, Unknown

amounts = st.decimals(0, 1000, places=2)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    low = draw(amounts)
    more = draw(st.none() | amounts)
    return Price(low, None if more is None else low + more)


def inside(price: Price) -> Decimal:
    """A possible price within the bounds."""
    return price.low if price.high is None else (price.low + price.high) / 2


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("4", "$4.00"),
        ("1234.5", "$1,234.50"),
        ("-1", "-$1.00"),
        ("0.005", "$0.01"),
        ("-0.001", "$0.00"),
    ],
)
def test_a_sum_is_shown_to_the_cent(amount: str, text: str) -> None:
    assert usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("amount", "text"), [("4", "+$4.00"), ("-4", "-$4.00"), ("0", "$0.00"), ("0.001", "$0.00")]
)
def test_a_difference_is_shown_with_its_sign(amount: str, text: str) -> None:
    assert signed(Decimal(amount)) == text


def test_a_price_shows_its_known_bounds() -> None:
    assert str(Price(Decimal(4), Decimal(4))) == "$4.00"
    assert str(Price(Decimal(1), Decimal(10))) == "$1.00\N{EN DASH}$10.00"
    assert str(Price(Decimal(1), None)) == "$1.00 or more"


def test_a_change_shows_its_known_bounds() -> None:
    assert str(Change(Decimal(-1), Decimal(-1))) == "-$1.00"
    assert str(Change(Decimal(-1), Decimal(2))) == "-$1.00 to +$2.00"
    assert str(Change(Decimal(1), None)) == "+$1.00 or more"
    # "-$3.00 or more" looks like a saving of at least $3.
    assert str(Change(Decimal(-3), None)) == "-$3.00 to an unknown sum"
    assert str(Change(None, Decimal(1))) == "at most +$1.00"
    assert str(Change(None, None)) == "unknown"


def test_a_missing_upper_bound_is_contagious() -> None:
    assert total([Price(Decimal(1), Decimal(2)), Price(Decimal(1), None)]) == Price(Decimal(2), None)


def test_sums_are_exact() -> None:
    assert total([Price(Decimal("0.10"), Decimal("0.10"))] * 3).high == Decimal("0.30")


def test_a_sum_names_each_unknown_property_once() -> None:
    one = Price(Decimal(1), Decimal(2), ("plan",))

    assert (one + one).unknown == ("plan",)


@given(prices(), prices())
def test_every_possible_difference_lies_within_the_change(before: Price, after: Price) -> None:
    difference = inside(after) - inside(before)
    change = Change.between(before, after)

    assert change.low is None or change.low <= difference
    assert change.high is None or difference <= change.high


@given(prices())
def test_nothing_added_changes_nothing(price: Price) -> None:
    assert price + FREE == price


def test_one_thing_has_no_plural() -> None:
    assert [count(number, "container") for number in (0, 1, 2)] == [
        "0 containers",
        "1 container",
        "2 containers",
    ]


GB = 1024


@pytest.mark.parametrize(
    ("tier", "storage_mb", "counts"),
    [
        (3, None, 3),
        (None, 10 * GB, None),
        (3, 10 * GB, 3),
        (None, 10 * 1000, None),
        (None, 74 * GB, 3),
        (1, 74 * GB, 3),
        (5, 74 * GB, 5),
        (3, 74 * 1000, 3),
        (None, 74 * 1000, UNKNOWN),
        (3, 100 * GB, UNKNOWN),
        (UNKNOWN, 74 * GB, UNKNOWN),
        # The state hides it.
        (3, UNKNOWN, UNKNOWN),
    ],
)
def test_the_higher_of_the_declared_storage_and_that_of_the_state_counts(
    tier: int | Unknown | None, storage_mb: int | Unknown | None, counts: int | Unknown | None
) -> None:
    """The plan basic has 10 GB; the tiers have 32, 64 and 128."""
    assert storage_tier("nodejs", "basic", tier, storage_mb) == counts


@pytest.mark.parametrize(("storage_mb", "counts"), [(40 * GB, 1), (400 * GB, UNKNOWN)])
def test_an_unknown_plan_has_no_more_storage_than_the_largest(storage_mb: int, counts: int | Unknown) -> None:
    assert storage_tier("nodejs", UNKNOWN, 1, storage_mb) == counts


@pytest.mark.parametrize(
    ("storage_mb", "high"),
    [(10 * GB, "4"), (20 * GB, "9"), (138 * GB, "9"), (200 * GB, None), (UNKNOWN, None)],
)
def test_a_size_that_fits_no_tier_has_a_bound_only_up_to_the_highest(
    storage_mb: int | Unknown, high: str | None
) -> None:
    price, _ = billed("nodejs", "basic", None, storage_mb)

    assert price.high == (None if high is None else Decimal(high))


@pytest.mark.parametrize(
    ("shown", "storage_mb", "counts"),
    [
        (None, None, "basic"),
        ("micro", None, "basic"),
        ("premium", None, "premium"),
        # The platform's own word for the declared plan, as the storage shows, or a new plan.
        ("Starter", 10 * GB, "basic"),
        ("Starter", 10_000, "basic"),
        ("Starter", 42 * GB, "basic"),
        ("colossal", 80 * GB, "colossal"),
        ("colossal", None, "colossal"),
        ("colossal", UNKNOWN, "colossal"),
        (UNKNOWN, 10 * GB, UNKNOWN),
    ],
)
def test_the_plan_that_a_state_shows_counts_unless_it_is_the_declared_one(
    shown: str | Unknown | None, storage_mb: int | Unknown | None, counts: str | Unknown
) -> None:
    assert shown_plan("nodejs", "basic", shown, storage_mb) == counts


def test_a_plan_that_is_not_in_the_catalogue_stays_so_whatever_the_state_shows() -> None:
    assert shown_plan("nodejs", "colossal", "basic", 10 * GB) == "colossal"
    assert shown_plan("nodejs", UNKNOWN, "basic", 10 * GB) is UNKNOWN


def test_storage_that_a_state_hides_counts_also_where_the_template_takes_none() -> None:
    assert billed("postgresql", "basic", 5, UNKNOWN)[0].high is None
    assert billed("stacks-vpn", UNKNOWN, None, 52 * GB)[0].high == Decimal(6)


def test_a_tier_that_is_not_known_is_none_where_the_api_takes_none() -> None:
    assert billed("postgresql", "basic", UNKNOWN, None)[1] is None
    assert billed("nodejs", "basic", UNKNOWN, None)[1] is UNKNOWN
