"""Reports the figures: lines during the run, and the page of the documentation."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench import chart
from tests.bench.alone import Alone
from tests.bench.cases import HOSTS, OTHERS, PROVIDERS, VERBS
from tests.bench.mishaps import ACTION, BOOT, MishapRow
from tests.bench.run import Row
from tests.bench.stacks import CONTAINERS, DELAY_MS, AccountRow
from tests.bench.targets import Target, agreements, targets
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
# Performance

The table shows how many seconds a command of Pulumi takes, at 60 requests a minute. Every command starts with an
unused rate limit.

"""

_PROVIDERS = """
- **Containers** take 20 s to boot. A restart or a deletion takes 2 s. In *24 + 24*, every second container also has
  an AllowedIp and a Connection.
- **Ours** is the dynamic host of this package, and **native** is the [native plugin](native.md).
- **Peer** is written like the best providers for other clouds
  ([`peer_stacks.py`](../tests/bench/plain/peer_stacks.py)). It runs ten operations in parallel, sends one GET for each
  resource, and polls with growing pauses.
- **Plain** is written like the examples of Pulumi's documentation
  ([`plain_stacks.py`](../tests/bench/plain/plain_stacks.py)). It runs four operations in parallel, polls every 2 s,
  and does not wait for a deletion.
- **Bound** is the shortest possible time ([how it is computed](#how-it-is-measured)).

![up of each provider, as a multiple of the bound](images/bench.svg)

## Targets

{targets}

## How it is measured

One run of `make bench` took {minutes:.0f} minutes on a machine with {cores} cores, with Python {python}, Pulumi
SDK {sdk}, a real engine, and the emulator as the server.

**The clock** of the providers and the emulator runs {fastest:.0f} times as fast while a provider only waits. The
figures are seconds by this clock, as a user would wait. These cases were also measured in real time:

{agreements}

**The bound** is the time of an empty `up` ({empty:.1f} s here), plus the longer of two times: the time for which the
rate limit delays the necessary calls, and the time until the last container runs. If *idle* (a provider that does
nothing) takes longer, its time is used as the bound.

| Command | Necessary calls |
|---|---|
| `up` | one list of the containers, and each request that changes something |
| `refresh` | one list of all containers, and two lists for each container with children (addresses, connections) |
| `destroy` | one list, and a deletion of each resource |

Stacks with a rate limit run with `--parallel 64`. The others run with `--parallel 256` and `PULUMI_SKIP_CHECKPOINTS`,
because the engine's own time would otherwise grow with the square of the number of resources.
"""

_TABLE = """
## All figures

[bench.csv](bench.csv) contains every case.

- `seconds` is the median of repeated commands, with the lowest and the highest value. `x bound` is the median
  divided by the bound.
- `CPU s` is the processor time of the provider's process; `all CPU s` adds the engine and the program.
- `memory MB` is the peak of the provider's process.
- *Deleted with them* means that `stacks:deleteChildrenWithContainer` is set. *Shaped* is like
  *idle*, but each resource has as many properties as a resource of this package.
"""

_COLUMNS = (
    *("containers", "limit", "verb", "provider", "seconds", "x bound"),
    *("calls", "429s", "CPU s", "all CPU s", "memory MB"),
)

_MISHAPS = """
## When something goes wrong

The table shows the seconds that a fault, or a change in the dashboard, adds to a command. Here, a container takes
{boot:.0f} s to boot, a restart or a deletion takes {action:.0f} s, and there is no rate limit. The time in the
`Retry-After` of a 429 is not counted.

- *Fails* means that the command ends with an error.
- *1 unknown* means that a container is billed, but in no state.
- *Not met* means that this provider does not send such a request.

[bench-mishaps.csv](bench-mishaps.csv) also shows the results if the repeated request fails too.

| command | containers | what goes wrong | {columns} |
|---|---|---|{rule}|
"""

_ACCOUNTS = """
## Many stacks

The table shows how long [`stacks-pulumi account`](account.md) takes, with {containers} containers in each stack and
the extra `backends`. The S3 server and PostgreSQL run on the same machine. The slow network delays each direction
by {delay} ms, so a request takes {request:.1f} s.

| backend | network | stacks | seconds |
|---|---|--:|--:|
"""

_COST = """
For a preview of 5,000 resources, `stacks-pulumi cost` takes {cost:.1f} s of processor time.
"""

_TAIL = """
## How to run it

    make bench                            everything, and this page
    make bench ARGS="--containers 24"     a part; its page is build/bench/bench.md
    make bench ARGS="--stacks 50 300"     only the seconds of many stacks
"""


@dataclass(frozen=True)
class Figures:
    """
    The results of a run.

    Attributes:
        rows: A row for each case and verb.
        empty_up: Seconds of an `up` of an empty program.
        alone: The measurements without a stack; `None` in a partial run.
        minutes: The duration of the run in minutes.
        mishaps: The time that each fault and each change has added.
        accounts: The times of `stacks-pulumi account`.
    """

    rows: Sequence[Row]
    empty_up: float
    alone: Alone | None
    minutes: float
    mishaps: Sequence[MishapRow] = ()
    accounts: Sequence[AccountRow] = ()


def line(row: Row) -> str:
    """Return one row as a line for the terminal."""
    return f"{' | '.join(f'{cell:>9}' for cell in _cells(row))}{' | real time' if row.case.real else ''}"


def write(docs: Path, figures: Figures) -> None:
    """Write the page, its figures and its chart."""
    rows = sorted((row for row in figures.rows if not row.case.real), key=_order)
    found = targets(figures.rows, figures.alone, figures.mishaps, figures.accounts)
    about = _PROVIDERS.format(
        targets="\n".join(_missed(found)),
        cores=os.cpu_count(),
        python=platform.python_version(),
        sdk=version("pulumi"),
        empty=figures.empty_up,
        minutes=figures.minutes,
        fastest=FASTEST,
        agreements="\n".join(_agreements(figures.rows)),
    )
    cost = _COST.format(cost=figures.alone.cost / 1000) if figures.alone is not None else ""
    (docs / "images").mkdir(parents=True, exist_ok=True)
    _write_csv(docs / "bench.csv", [_COLUMNS, *map(_cells, rows)])
    reached = ((it.what, it.wanted, it.got, "yes" if it.reached else "no") for it in found)
    _write_csv(docs / "bench-targets.csv", [("target", "wanted", "reached", "is reached"), *reached])
    # The command without a mishap in real time is only a baseline for other rows.
    amiss = [row for row in figures.mishaps if row.mishap.what or not row.mishap.real]
    if amiss:
        columns = ("command", "containers", "what goes wrong", *amiss[0].ends)
        _write_csv(docs / "bench-mishaps.csv", [columns, *map(_mishap_cells, amiss)])
    others = [*_amiss(amiss), *_accounts(figures.accounts)]
    page = "".join([_HEAD, *_felt(rows), about, *others, _TABLE, cost, _TAIL])
    (docs / "bench.md").write_text(page, encoding="utf-8")
    (docs / "images" / "bench.svg").write_text(chart.draw(rows), encoding="utf-8")


def _write_csv(file: Path, rows: Sequence[Sequence[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as written:
        csv.writer(written, lineterminator="\n").writerows(rows)


def mishap_line(row: MishapRow) -> str:
    """Return a line of the table of mishaps for the terminal."""
    return " | ".join(_mishap_cells(row))


def _mishap_cells(row: MishapRow) -> tuple[str, ...]:
    return (row.mishap.verb, row.mishap.stack, row.mishap.what or "nothing", *_added(row))


def account_line(row: AccountRow) -> str:
    """Return a line of the table of many stacks for the terminal."""
    network = f"{row.delay_ms} ms each way" if row.delay_ms else "fast"
    return f"{row.backend} | {network} | {row.stacks} | {row.seconds:.1f}"


def _accounts(rows: Sequence[AccountRow]) -> Iterator[str]:
    if rows:
        yield _ACCOUNTS.format(containers=CONTAINERS, delay=DELAY_MS, request=2 * DELAY_MS / 1000)
        yield from (f"| {account_line(row)} |\n" for row in rows)


def _amiss(rows: Sequence[MishapRow]) -> Iterator[str]:
    if rows:
        names = list(rows[0].ends)
        columns, rule = " | ".join(names), "|".join("--:" for _ in names)
        yield _MISHAPS.format(boot=BOOT, action=ACTION, columns=columns, rule=rule)
        yield from (f"| {mishap_line(row)} |\n" for row in rows if row.mishap.kind != "two faults")


def _added(row: MishapRow) -> Iterator[str]:
    for name, ended in row.ends.items():
        lost = f", {ended.lost} unknown" if ended.lost else ""
        time = f"{row.added(name):+.1f}" if row.mishap.what else f"{ended.seconds:.1f}"
        if not ended.is_met:
            yield f"not met{lost}"
        elif ended.succeeded:
            yield f"{time}{lost}"
        else:
            yield f"fails after {ended.seconds:.1f}{lost}"


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


def _missed(found: Sequence[Target]) -> Iterator[str]:
    missed = [it for it in found if not it.reached]
    reached = (
        f"This run reached {len(found) - len(missed)} of {len(found)} targets ([all](bench-targets.csv))"
    )
    if not missed:
        yield f"{reached}."
        return
    yield f"{reached}. It missed these:\n\n| Target | Wanted | Reached |\n|---|---|---|"
    yield from (f"| {it.what} | {it.wanted} | {it.got} |" for it in missed)


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
