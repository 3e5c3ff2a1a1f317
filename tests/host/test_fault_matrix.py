"""
Every operation that changes something meets every fault, once, twice and for good, through the real host.

What must hold in each cell is in `tests/chaos/matrix/cell.py`: the `up` succeeds or fails with one clear line, the
account holds what the state says, the next `up` converges, `destroy` leaves nothing, and the fault did fire. All cells
run once, many at a time; a test looks at those of one operation and one fault.
"""

from __future__ import annotations

import pytest

from tests.chaos.matrix import table
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.failures import FAILURES, TIMES
from tests.chaos.matrix.run import Found, run

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.chaos,
    # The first test waits for all cells: a deletion that is never answered takes five read time-outs.
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def found(host_kind: str) -> Found:
    """What became of every cell."""
    return run(kind=host_kind)


@pytest.mark.parametrize("failure", [failure.title for failure in FAILURES])
@pytest.mark.parametrize("operation", [change.operation for change in CHANGES])
def test_nothing_is_lost_doubled_or_left(found: Found, operation: str, failure: str) -> None:
    wrongs = {times: found[operation, failure, times].wrongs for times in TIMES}

    assert wrongs == {times: [] for times in TIMES}


def test_the_documentation_shows_this_run(
    found: Found, host_kind: str, request: pytest.FixtureRequest
) -> None:
    if host_kind != "dynamic":
        pytest.skip("the documentation has the messages as a program in Python gets them")
    if request.config.getoption("--write-docs"):
        table.write(found)

    assert table.read() == table.render(found), "run this file with --write-docs"
