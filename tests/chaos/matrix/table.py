"""The matrix as a block of docs/faults.md: the run writes it, and a test compares it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.matrix.cell import DONE, FAILED, KEPT
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.failures import FAILURES, TIMES
from tests.chaos.matrix.run import CELLS, Found
from tests.support.page_block import PageBlock

__all__ = ["BLOCK", "render"]

BLOCK = PageBlock(
    "faults.md",
    "<!-- matrix: written by `pytest tests/host/test_fault_matrix.py --write-docs` -->\n",
    "<!-- end of the matrix -->\n",
)
_MARKS = {DONE: "✓", KEPT: "◐", FAILED: "✗"}


def render(found: Found) -> str:
    """Return the block: the table and its notes."""
    return "".join([*_table(found), "\n", *_notes()])


def _table(found: Found) -> Iterator[str]:
    heads = [failure.title for failure in FAILURES]
    yield f"{len(CELLS)} cells. Each has three marks: the fault happens once, twice in a row, and every time.\n\n"
    yield f"| the `up` has to | {' | '.join(heads)} |\n"
    yield f"|---|{':-:|' * len(heads)}\n"
    rows: dict[str, list[str]] = {}
    for change in CHANGES:
        marks = [
            "".join(_MARKS[found[change.operation, failure.title, times].outcome] for times in TIMES)
            for failure in FAILURES
        ]
        rows.setdefault(" | ".join(marks), []).append(f"{change.what}: `{change.operation}`")
    # Operations with equal results share a row.
    yield from (f"| {'<br>'.join(changes)} | {marks} |\n" for marks, changes in rows.items())


def _notes() -> Iterator[str]:
    for change in CHANGES:
        if change.note:
            yield f"- `{change.operation}`: {change.note}.\n"
