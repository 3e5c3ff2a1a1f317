"""The stored state of a spending cap."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stacks_pulumi.errors import SpendingCapError
from stacks_pulumi.resources._session import SpendGuard
from tests.support.clock import FakeClock

# 2026-12-15 12:00 UTC: the next month is in the next year.
DECEMBER = 1797336000.0


@pytest.fixture
def guard() -> SpendGuard:
    """Return a guard without a known cap."""
    return SpendGuard(FakeClock(DECEMBER))


def refusal(cap: float | None, spent: float | None) -> SpendingCapError:
    """Return the API's message."""
    return SpendingCapError("said", status=402, spending_cap=cap, amount_spent=spent)


def test_without_a_known_cap_nothing_is_refused(guard: SpendGuard) -> None:
    guard.admit("web", Decimal(1000))


def test_a_402_is_explained_with_all_its_numbers(guard: SpendGuard) -> None:
    error = guard.learn("web", Decimal(4), refusal(10.0, 7.5))

    for words in (
        "$10.00 a month",
        "$7.50 is spent",
        'create container "web"',
        "it costs $4.00",
        "$1.50 more",
        "2027-01-01",
    ):
        assert words in str(error)


def test_what_does_not_fit_is_refused_and_what_fits_is_not(guard: SpendGuard) -> None:
    guard.learn("web", Decimal(4), refusal(10.0, 7.5))

    guard.admit("small", Decimal("2.5"))
    guard.admit("of unknown price", None)
    with pytest.raises(SpendingCapError, match="no request was sent"):
        guard.admit("large", Decimal("2.51"))


def test_a_402_without_numbers_is_not_stored(guard: SpendGuard) -> None:
    error = refusal(None, None)

    assert guard.learn("web", Decimal(4), error) is error
    guard.admit("web", Decimal(4))
