"""The figures for people: lines as they come, and the page of the documentation."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench import chart
from tests.bench.alone import Alone
from tests.bench.cases import HOSTS, OTHERS, PROVIDERS, VERBS
from tests.bench.run import Row
from tests.bench.targets import agreements, targets
from tests.support.hurried.shared_clock import FASTEST

_FELT = (
    ("up", "24"),
    ("up", "24 + 24"),
    ("up", "200"),
    ("no-op up", "200"),
    ("refresh", "200"),
    ("destroy", "24 + 24"),
)
"""What a user feels, at 60 requests a minute."""

_HEAD = """\
# What it takes

Seconds until a command of the engine ends, at 60 requests a minute:

"""

_PROVIDERS = """
- *Containers* boot for 20 s; a restart or a deletion takes 2 s. *24 + 24*: every second container also has an AllowedIp
  and a Connection to its neighbour.
- *Ours* is this package's dynamic host, *native* the same resources in the [native plugin](native.md).
- *Peer* has the pattern of the best providers for other hosts
  ([`peer_stacks.py`](../tests/bench/plain/peer_stacks.py)), as terraform-provider-hcloud has it: ten operations in
  parallel, one GET for each resource that is refreshed, and polls that begin with half a second and double.
- *Plain* is a provider as Pulumi's documentation teaches to write one
  ([`plain_stacks.py`](../tests/bench/plain/plain_stacks.py)): a poll every 2 s, four operations in parallel, no wait
  for a deletion. Both sleep after a 429 for as long as it asks for.

![up of each provider, in multiples of what has to be](images/bench.svg)

## How it is measured

One run of `make bench` on a machine with {cores} cores, in {minutes:.0f} minutes: Python {python}, Pulumi SDK {sdk},
a real engine, and the emulator as the server. Every verb finds a fresh window of the rate limit.

**The clock** of the providers and of the emulator runs {fastest:.0f} times as fast while a provider waits (for a
boot, a poll or a window) and no process works; in all other moments it runs as usual. So all seconds on this page are
those of a user: of a wait, and of the engine's and the providers' own work. What was also measured in real time:

{agreements}

**The bound** is the least for any provider: an empty `up` ({empty:.1f} s here), the boot, and the windows of the rate
limit that are filled by the calls which have to be made; or the time of *idle*, where that is longer. *Idle* is a
provider that does nothing: the time of the engine alone. The calls of an `up` are one look at the containers, which
shows the names that are taken, and the requests that change something: the creates, and for each pair of children the
external access, the connection, the restart of its source and the address. Those of a `destroy` are one look and a
deletion of each resource, and those of a `refresh` one list for all containers and two for each pair of children.

Limited stacks run with `--parallel 64`. Stacks without a limit run with `--parallel 256`, and their engine writes no
state in between (`PULUMI_SKIP_CHECKPOINTS`): it would write all of it around each step, which takes time with the
square of the number of resources, for any provider.

## Targets

| what | wanted | reached | |
|---|---|---|---|
"""

_TABLE = """
## All figures

Seconds are the median, with the least and the most where a verb was repeated. *CPU* is the processor time of the
provider's process, and of all processes with the engine and the program: the least of the repetitions. *Memory* is
the peak of the provider's process. *Deleted with them* is `stacks:deleteChildrenWithContainer`. *Shaped* is as idle,
with as many properties as ours: the SDK makes an output of each.

| containers | limit | verb | provider | seconds | x bound | calls | 429s | CPU s | all CPU s | memory MB |
|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|
"""

_COST = """
`stacks-pulumi cost` of a preview of 5,000 resources takes {cost:.1f} s of processor time.
"""

_TAIL = """
## How to run it

    make bench                            everything, and this page
    make bench ARGS="--containers 24"     a piece; its page is build/bench/bench.md
"""


@dataclass(frozen=True)
class Figures:
    """
    Everything that a run found out.

    Attributes:
        rows: Each case and verb.
        empty_up: Seconds of an `up` of nothing.
        alone: What needs no stack; `None` in a piece of a run.
        minutes: How long the run took.
    """

    rows: Sequence[Row]
    empty_up: float
    alone: Alone | None
    minutes: float


def line(row: Row) -> str:
    """One row, as soon as it is there."""
    return f"{' | '.join(f'{cell:>9}' for cell in _cells(row))}{' | real time' if row.case.real else ''}"


def write(docs: Path, figures: Figures) -> None:
    """Write the page and its chart."""
    rows = sorted((row for row in figures.rows if not row.case.real), key=_order)
    about = _PROVIDERS.format(
        cores=os.cpu_count(),
        python=platform.python_version(),
        sdk=version("pulumi"),
        empty=figures.empty_up,
        minutes=figures.minutes,
        fastest=FASTEST,
        agreements="\n".join(_agreements(figures.rows)),
    )
    reached = [
        f"| {it.what} | {it.wanted} | {it.got} | {'yes' if it.reached else '**no**'} |\n"
        for it in targets(figures.rows, figures.alone)
    ]
    table = [f"| {' | '.join(_cells(row))} |\n" for row in rows]
    cost = _COST.format(cost=figures.alone.cost / 1000) if figures.alone is not None else ""
    (docs / "images").mkdir(parents=True, exist_ok=True)
    page = "".join([_HEAD, *_felt(rows), about, *reached, _TABLE, *table, cost, _TAIL])
    (docs / "bench.md").write_text(page, encoding="utf-8")
    (docs / "images" / "bench.svg").write_text(chart.draw(rows), encoding="utf-8")


def _felt(rows: Sequence[Row]) -> Iterator[str]:
    columns = (*HOSTS, *OTHERS)
    yield f"| containers | command | {' | '.join(columns)} | bound |\n|---|---|{'--:|' * (len(columns) + 1)}\n"
    for verb, what in _FELT:
        found = {
            row.case.provider: row
            for row in rows
            if (row.verb, row.case.what) == (verb, what) and row.case.per_minute
        }
        if "ours" in found:
            cells = [f"{found[name].seconds:.1f}" if name in found else "" for name in columns]
            yield f"| {what} | {verb} | {' | '.join(cells)} | {found['ours'].bound:.1f} |\n"


def _agreements(rows: Sequence[Row]) -> Iterator[str]:
    yield "| containers | command | seconds, scaled | real | calls, scaled | real |\n|---|---|--:|--:|--:|--:|"
    for scaled, real in agreements(rows):
        cells = (f"{scaled.seconds:.1f}", f"{real.seconds:.1f}", str(scaled.calls), str(real.calls))
        yield f"| {real.case.what} | {real.verb} | {' | '.join(cells)} |"


def _cells(row: Row) -> tuple[str, ...]:
    case, seconds = row.case, [it.seconds for it in row.runs]
    spread = f" ({min(seconds):.1f} to {max(seconds):.1f})" if len(seconds) > 1 else ""
    return (
        case.what,
        case.limit,
        row.verb,
        case.provider,
        f"{row.seconds:.1f}{spread}",
        f"{row.ratio:.2f}",
        str(row.calls),
        str(row.refused),
        f"{row.provider_cpu:.2f}",
        f"{row.all_cpu:.1f}",
        f"{row.peak_kb / 1024:.0f}",
    )


def _order(row: Row) -> tuple[bool, int, bool, bool, int, int]:
    case = row.case
    return (
        case.per_minute is None,
        case.containers,
        case.children,
        case.with_container,
        VERBS.index(row.verb),
        PROVIDERS.index(case.provider),
    )
