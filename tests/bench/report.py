"""The figures for people: lines as they come, and the page of the documentation."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from tests.bench import chart
from tests.bench.cases import VERBS
from tests.bench.figures import Figures
from tests.bench.run import Row
from tests.bench.targets import targets

HEAD = """\
# What it takes

Written by `make bench ARGS=--write` on a machine with {cores} cores: Python {python}, Pulumi SDK {sdk}, a real engine,
and the emulator as the server. An empty `up` takes {empty:.1f} s there. Another run gives other seconds; the calls stay
the same, give or take a poll.

*Ours* is this package's dynamic providers, *native* the same resources in the native plugin. *Plain* is a provider
written as Pulumi's documentation teaches it
([`tests/bench/plain`](../tests/bench/plain/plain_stacks.py)): POST, then a poll of the container's own status every
2 s, and a sleep for as long as a 429 asks for; the stock host runs four operations in parallel. Both run with
`--parallel 64` on the same server, where a container boots for 20 s and a restart or a deletion takes 2 s. Every verb
finds a fresh window of the rate limit. The two hundred without a limit run with `--parallel 256` and as large a
`stacks:maxConcurrency`: with 64 in parallel they would boot in four rounds.

*Idle* is a provider that does nothing: the time of the engine alone. Most of it goes into the state, which the engine
writes as a whole before and after each step; so it grows with the square of the number of resources.

The **bound** is the least for any provider: an empty `up`, the boot, and the windows of the rate limit that are filled
by the calls which have to be made; or the time of the idle provider, where that is longer. The calls of an `up` are one
look at the containers, which shows the names that are taken, and the requests that change something: the creates, and
for each pair of children the external access, the connection, the restart of its source and the address. Those of a
`destroy` are one look and a deletion of each resource, and those of a `refresh` one list for all containers and two for
each pair of children.

![up, ours and plain, in multiples of what has to be](images/bench.svg)
"""

TARGETS = """
## Targets

| what | wanted | reached | |
|---|---|---|---|
"""

TABLE = """
## All figures

*Children*: every second container has external access with an AllowedIp, and a Connection to its neighbour; *deleted
with them* is `stacks:deleteChildrenWithContainer`. *CPU* and *memory* are the provider's process alone.

| containers | limit | verb | provider | seconds | x bound | calls | 429s | CPU s | memory MB |
|---|---|---|---|--:|--:|--:|--:|--:|--:|
"""

TAIL = """
## How to run it

    make bench                                          everything; some hours, most of it waiting for the rate limit
    make bench ARGS=--quick                             24 containers, both hosts and plain; about seven minutes
    make bench ARGS="--only native --containers 60"     a piece
    make bench ARGS="--none --write"                    write this page from the figures that there are

The figures of each run are kept in `build/bench.jsonl`, so a full run can be done in pieces.
"""


def line(row: Row) -> str:
    """One row, as soon as it is there."""
    case, measured = row.case, row.measured
    return (
        f"{case.provider:6} {case.what:>18} {case.limit:>8} {row.verb:8} {measured.seconds:7.1f} s "
        f"{row.ratio:5.2f} x bound {measured.calls:5} calls {measured.refused:3} x 429 "
        f"{measured.cpu:6.1f} s cpu {measured.peak_kb / 1024:6.1f} MB"
    )


def write(docs: Path, figures: Figures) -> None:
    """Write the page and its chart."""
    head = HEAD.format(
        cores=os.cpu_count(), python=platform.python_version(), sdk=version("pulumi"), empty=figures.empty_up
    )
    reached = [
        f"| {target.what} | {target.wanted} | {target.got} | {'yes' if target.reached else '**no**'} |\n"
        for target in targets(figures)
    ]
    lines = [_cells(row) for row in sorted(figures.rows, key=_order)]
    (docs / "images").mkdir(parents=True, exist_ok=True)
    (docs / "bench.md").write_text("".join([head, TARGETS, *reached, TABLE, *lines, TAIL]), encoding="utf-8")
    (docs / "images" / "bench.svg").write_text(chart.draw(figures.rows), encoding="utf-8")


def _cells(row: Row) -> str:
    case, measured = row.case, row.measured
    cells = (
        case.what,
        case.limit,
        row.verb,
        case.provider,
        f"{measured.seconds:.1f}",
        f"{row.ratio:.2f}",
        measured.calls,
        measured.refused,
        f"{measured.cpu:.1f}",
        f"{measured.peak_kb / 1024:.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |\n"


def _order(row: Row) -> tuple[bool, int, bool, bool, int, str]:
    case = row.case
    return (
        case.per_minute is None,
        case.containers,
        case.children,
        case.with_container,
        VERBS.index(row.verb),
        case.provider,
    )
