"""The matrix as a block of docs/faults.md: the run writes it, and a test compares it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.chaos.matrix.cell import DONE, FAILED, KEPT
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.failures import FAILURES, TIMES
from tests.chaos.matrix.run import CELLS, Found

__all__ = ["PAGE", "read", "render", "write"]

PAGE = Path(__file__).parents[3] / "docs" / "faults.md"

_BEGIN = "<!-- matrix: written by `pytest tests/host/test_fault_matrix.py --write-docs` -->\n"
_END = "<!-- end of the matrix -->\n"
_MARKS = {DONE: "✓", KEPT: "◐", FAILED: "✗"}
_SPOKEN = "containers.create"


def render(found: Found) -> str:
    """Return the block: the table, its notes, and the error messages."""
    return "".join([_BEGIN, *_table(found), "\n", *_notes(), *_messages(found), _END])


def read() -> str:
    """Return the block that is in the page."""
    text = PAGE.read_text(encoding="utf-8")
    return _BEGIN + text.partition(_BEGIN)[2].partition(_END)[0] + _END


def write(found: Found) -> None:
    """Write the block between its two marks in the page."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(_BEGIN)
    PAGE.write_text(head + render(found) + rest.partition(_END)[2], encoding="utf-8")


def _table(found: Found) -> Iterator[str]:
    heads = [failure.title for failure in FAILURES]
    yield f"{len(CELLS)} cells. Each has three marks: the fault happens once, twice in a row, and every time.\n\n"
    yield f"| | the `up` has to | {' | '.join(heads)} |\n"
    yield f"|---|---|{':-:|' * len(heads)}\n"
    for change in CHANGES:
        marks = [
            "".join(_MARKS[found[change.operation, failure.title, times].outcome] for times in TIMES)
            for failure in FAILURES
        ]
        yield f"| `{change.operation}` | {change.what} | {' | '.join(marks)} |\n"


def _notes() -> Iterator[str]:
    for change in CHANGES:
        if change.note:
            yield f"- `{change.operation}`: {change.note}.\n"


def _messages(found: Found) -> Iterator[str]:
    """Yield the errors of a `containers.create` that fails every time; they contain no ids or numbers of a run."""
    yield "\nThe error if a Container cannot be created because the fault happens every time:\n\n"
    for failure in FAILURES:
        verdict = found[_SPOKEN, failure.title, "every time"]
        if verdict.message:
            cell = next(cell for cell in CELLS if cell.key == (_SPOKEN, failure.title, "every time"))
            # A message may contain a command in backticks.
            yield f"- {failure.title}: `` {verdict.message.replace(cell.name, 'web')} ``\n"
