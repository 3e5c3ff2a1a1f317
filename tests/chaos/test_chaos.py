"""
Programs, drift and faults at random: nothing is lost, doubled, deleted unasked or told.

A few hundred steps from a fixed seed; `make chaos` goes on for thousands, from a new one.
"""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import together
from tests.support.host import HOSTS

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.host, pytest.mark.timeout(400)]

SEED = 20260401


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_is_lost_doubled_deleted_unasked_or_told(host: str) -> None:
    total, failed = together(SEED, programs=16, turns=8, at_once=4, host=host)

    assert failed == []
    assert total["steps"] >= 200
    # It was 41 in 152 operations, many of which have nothing to do and send no request. Threads run freely.
    assert total["faults fired"] >= 25
