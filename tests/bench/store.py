"""
The figures of the last run of each case, kept in `build/` (which is not under version control).

A full run takes hours, so it may be done in parts; the page shows the newest figures of all parts.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from tests.bench.cases import Case
from tests.bench.measure import Measured
from tests.bench.run import Row


class Store:
    """
    A file of rows.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, Row] = {}
        if path.exists():
            for text in path.read_text(encoding="utf-8").splitlines():
                self._keep(_row(json.loads(text)))

    @property
    def rows(self) -> list[Row]:
        """The newest row of each case and verb."""
        return list(self._rows.values())

    def add(self, row: Row) -> None:
        """Store a row immediately, because the run may be interrupted later."""
        self._keep(row)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(row)) + "\n")

    def _keep(self, row: Row) -> None:
        self._rows[f"{row.case} {row.verb}"] = row


def _row(stored: dict[str, object]) -> Row:
    case, measured = stored["case"], stored["measured"]
    assert isinstance(case, dict)
    assert isinstance(measured, dict)
    return Row(Case(**case), str(stored["verb"]), Measured(**measured), float(str(stored["bound"])))
