"""
Every fault hits every changing operation once, twice and every time, through the real host.

`tests/chaos/matrix/cell.py` contains the rules for each cell: the `up` succeeds or fails with one clear line, the
account equals the state, the next `up` converges, `destroy` leaves nothing, and the fault did fire. All cells run once,
many in parallel; each test checks the cells of one operation. `make test` runs the cells whose fault happens once.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.chaos.matrix import table
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.run import CELLS, Found, run

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.chaos]

OPERATIONS: Final = [change.operation for change in CHANGES]


@pytest.fixture(scope="module")
def once() -> Found:
    """Run the cells whose fault happens once, and return their results."""
    return run([cell for cell in CELLS if cell.times == "once"])


@pytest.fixture(scope="module")
def found(once: Found) -> Found:
    """Run the other cells too, and return the results of all."""
    return run(CELLS, once)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_fault_leaves_no_orphan_and_no_duplicate(once: Found, operation: str) -> None:
    assert {key[0] for key in once} == set(OPERATIONS)
    assert {key: it.wrongs for key, it in once.items() if key[0] == operation and it.wrongs} == {}


# What a repeated fault changes is the number of attempts, which tests/unit/api counts.
@pytest.mark.extra
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_repeated_fault_leaves_no_orphan_and_no_duplicate(found: Found, operation: str) -> None:
    assert found.keys() == {cell.key for cell in CELLS}
    assert {key: it.wrongs for key, it in found.items() if key[0] == operation and it.wrongs} == {}


@pytest.mark.extra
def test_the_documentation_shows_the_results(found: Found, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-docs"):
        table.BLOCK.write(table.render(found))

    assert table.BLOCK.read() == table.render(found), "run this file with --write-docs"
