"""
Every fault hits every changing operation once, twice and every time, through the real host.

`tests/chaos/matrix/cell.py` contains the rules for each cell: the `up` succeeds or fails with one clear line, the
account equals the state, the next `up` converges, `destroy` leaves nothing, and the fault did fire. All cells run once,
many in parallel; each test checks the cells of one operation. `make test-extra` runs all cells. `make test` runs a
sample: `tests/unit/api` has the logic of each fault and of each operation, so few cells show that both meet.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.chaos.matrix import table
from tests.chaos.matrix.cell import Cell
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.failures import FAILURES
from tests.chaos.matrix.run import CELLS, Found, run

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.chaos]

OPERATIONS: Final = [change.operation for change in CHANGES]


def is_in_sample(cell: Cell) -> bool:
    """Return whether a cell has a lost answer, or one of the four faults of its operation, which happen once."""
    change, failure = divmod(cell.number, len(FAILURES))
    return cell.times == "once" and (cell.failure.title == "lost after" or (change + failure) % 4 == 0)


@pytest.fixture(scope="module")
def sample() -> Found:
    """Run the cells of the sample, in which each fault meets four operations, and return their results."""
    return run(filter(is_in_sample, CELLS))


@pytest.fixture(scope="module")
def found(sample: Found) -> Found:
    """Run the other cells too, and return the results of all."""
    return run(CELLS, sample)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_leaves_no_orphan_and_no_duplicate(sample: Found, operation: str) -> None:
    wrongs = {key: it.wrongs for key, it in sample.items() if key[0] == operation}
    assert len(wrongs) >= 4
    assert {key: found for key, found in wrongs.items() if found} == {}


@pytest.mark.extra
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_fault_leaves_no_orphan_and_no_duplicate(found: Found, operation: str) -> None:
    assert found.keys() == {cell.key for cell in CELLS}
    assert {key: it.wrongs for key, it in found.items() if key[0] == operation and it.wrongs} == {}


@pytest.mark.extra
def test_the_documentation_shows_the_results(found: Found, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-docs"):
        table.BLOCK.write(table.render(found))

    assert table.BLOCK.read() == table.render(found), "run this file with --write-docs"
