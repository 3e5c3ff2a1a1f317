"""
Every operation that changes something meets every fault, once, twice and every time, through the real host.

The native host calls the same resources, and only writes values and errors in another form. So it meets each fault
once.

`tests/chaos/matrix/cell.py` has the rules for each cell: the `up` succeeds or fails with one clear line, the account
equals the state, the next `up` converges, `destroy` leaves nothing, and the fault did fire. All cells run once, many
in parallel; each test checks those of one operation and one fault.
"""

from __future__ import annotations

import pytest

from tests.chaos.matrix import table
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.failures import FAILURES, TIMES
from tests.chaos.matrix.run import CELLS, Found, run

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.chaos]


def times_of(host_kind: str) -> list[str]:
    """Return how often in a row a host meets each fault."""
    return list(TIMES) if host_kind == "dynamic" else ["once"]


@pytest.fixture(scope="module")
def found(host_kind: str) -> Found:
    """Run the cells of a host and return the results."""
    return run((cell for cell in CELLS if cell.times in times_of(host_kind)), kind=host_kind)


@pytest.mark.parametrize("failure", [failure.title for failure in FAILURES])
@pytest.mark.parametrize("operation", [change.operation for change in CHANGES])
def test_a_fault_leaves_no_orphan_and_no_duplicate(
    found: Found, host_kind: str, operation: str, failure: str
) -> None:
    wrongs = {times: found[operation, failure, times].wrongs for times in times_of(host_kind)}

    assert wrongs == {times: [] for times in times_of(host_kind)}


def test_the_documentation_shows_the_results(
    found: Found, host_kind: str, request: pytest.FixtureRequest
) -> None:
    if host_kind != "dynamic":
        pytest.skip("the documentation has the messages as a program in Python gets them")
    if request.config.getoption("--write-docs"):
        table.BLOCK.write(table.render(found))

    assert table.BLOCK.read() == table.render(found), "run this file with --write-docs"
