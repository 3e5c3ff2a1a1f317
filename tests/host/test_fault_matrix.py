"""
Every fault hits every changing operation once, twice and every time, through the real host.

`tests/chaos/matrix/cell.py` contains the rules for each cell: the `up` succeeds or fails with one clear line, the
account equals the state, the next `up` converges, `destroy` leaves nothing, and the fault did fire. All cells run once,
many in parallel; each test checks the cells of one operation.
"""

from __future__ import annotations

import pytest

from tests.chaos.matrix import table
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.run import CELLS, Found, run

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.chaos]


@pytest.fixture(scope="module")
def found() -> Found:
    """Run all cells and return the results."""
    return run(CELLS)


@pytest.mark.parametrize("operation", [change.operation for change in CHANGES])
def test_no_fault_leaves_an_orphan_or_a_duplicate(found: Found, operation: str) -> None:
    mine = [cell.key for cell in CELLS if cell.change.operation == operation]

    assert mine
    assert {key: found[key].wrongs for key in mine if found[key].wrongs} == {}


def test_the_documentation_shows_the_results(found: Found, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-docs"):
        table.BLOCK.write(table.render(found))

    assert table.BLOCK.read() == table.render(found), "run this file with --write-docs"
