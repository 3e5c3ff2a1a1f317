from __future__ import annotations

import datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from stacks_pulumi.cost.report import rest_of_month
from stacks_pulumi.pricing.money import Change, Price

UTC = datetime.timezone.utc


def test_half_a_month_costs_half() -> None:
    rest = rest_of_month(datetime.datetime(2026, 6, 16, tzinfo=UTC))

    assert str(rest) == "15 days 0 hours of 30 days"
    assert rest.share(Decimal(10)) == Decimal("5.00")


def test_the_month_is_that_of_utc() -> None:
    tokyo = datetime.timezone(datetime.timedelta(hours=9))

    rest = rest_of_month(datetime.datetime(2026, 7, 1, 8, 59, tzinfo=tokyo))

    assert rest.minutes == 1
    assert rest.of == 30 * 24 * 60


@given(st.datetimes(timezones=st.just(UTC)), st.decimals(0, 1000, places=2))
def test_the_rest_is_never_more_than_the_month(now: datetime.datetime, amount: Decimal) -> None:
    assert 0 <= rest_of_month(now).share(amount) <= amount


def test_cents_are_rounded_up() -> None:
    rest = rest_of_month(datetime.datetime(2026, 6, 30, 23, 59, tzinfo=UTC))

    assert rest.share(Decimal(10)) == Decimal("0.01")


def test_bounds_that_are_not_known_stay_so() -> None:
    rest = rest_of_month(datetime.datetime(2026, 6, 16, tzinfo=UTC))

    assert rest.price(Price(Decimal(10), None)) == Price(Decimal(5), None)
    assert rest.change(Change(None, Decimal(-10))) == Change(None, Decimal(-5))
