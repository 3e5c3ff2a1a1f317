"""
Every operation that changes something meets every fault, once, twice and every time, through the real host.

The native host calls the same resources, and only writes values and errors in another form. So it meets one fault of
each kind, and every time, because an error is what it writes most rarely.

`tests/chaos/matrix/cell.py` has the rules for each cell: the `up` succeeds or fails with one clear line, the account
equals the state, the next `up` converges, `destroy` leaves nothing, and the fault did fire. All cells run once, many
in parallel; each test checks those of one operation.
"""

from __future__ import annotations

import pytest

from tests.chaos.matrix import table
from tests.chaos.matrix.cell import Cell
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.run import CELLS, Found, run

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.chaos]


NATIVE = {"lost before", "429", "500", "503", "503, done", "refused: already done", "HTML, not done"}
"""The faults of the native host: of those that are retried, looked into, refused and not understood, one each."""


def cells_of(host_kind: str) -> list[Cell]:
    if host_kind == "dynamic":
        return list(CELLS)
    return [cell for cell in CELLS if cell.failure.title in NATIVE and cell.times == "every time"]


@pytest.fixture(scope="module")
def found(host_kind: str) -> Found:
    """Run the cells of a host and return the results."""
    return run(cells_of(host_kind), kind=host_kind)


@pytest.mark.parametrize("operation", [change.operation for change in CHANGES])
def test_no_fault_leaves_an_orphan_or_a_duplicate(found: Found, host_kind: str, operation: str) -> None:
    mine = [cell.key for cell in cells_of(host_kind) if cell.change.operation == operation]

    assert mine
    assert {key: found[key].wrongs for key in mine if found[key].wrongs} == {}


def test_the_documentation_shows_the_results(
    found: Found, host_kind: str, request: pytest.FixtureRequest
) -> None:
    if host_kind != "dynamic":
        pytest.skip("the documentation has the messages as a program in Python gets them")
    if request.config.getoption("--write-docs"):
        table.BLOCK.write(table.render(found))

    assert table.BLOCK.read() == table.render(found), "run this file with --write-docs"
