"""Everything that a run of the bench found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.run import Row


@dataclass(frozen=True)
class Figures:
    """
    What the page and the targets are made of.

    Attributes:
        rows: The newest row of each case and verb.
        empty_up: Seconds of an `up` of nothing.
        imports: Milliseconds of each import statement.
        long_list: Milliseconds of a list of 5,000 containers, by who reads it.
        plugin_start: Milliseconds until the engine can connect to the native plugin.
    """

    rows: Sequence[Row]
    empty_up: float
    imports: Mapping[str, float]
    long_list: Mapping[str, float]
    plugin_start: float
