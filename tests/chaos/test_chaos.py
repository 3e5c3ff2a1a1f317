"""
Programs, drift and faults at random: nothing is lost, doubled, deleted unasked or told.

A few hundred steps from a fixed seed; `make chaos` goes on for thousands, from a new one.
"""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import together

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.host, pytest.mark.timeout(400)]

SEED = 20260401


def test_nothing_is_lost_doubled_deleted_unasked_or_told() -> None:
    total, failed = together(SEED, programs=16, turns=8, at_once=4)

    assert failed == []
    assert total["steps"] >= 200
    # It was 29 of 111 `up` and 25 `refresh`, many of which have nothing to do. Threads run freely, so it differs.
    assert total["faults fired"] >= 20
