"""Run all cells; nearly all of the time is spent waiting, so many cells run in parallel."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent import futures

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.platform import DrivenClock
from tests.chaos.matrix.cell import Cell, Verdict
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.failures import FAILURES, READ_SECONDS, TIMES
from tests.support.host import PROMPT, Host

__all__ = ["CELLS", "run"]

LANES = 12
"""Hosts that each run their cells one after the other."""

TOGETHER = 6
"""Cells that run in parallel on one host, because nearly all of their time is spent in one unanswered request."""

SPEED = 8.0
"""How many seconds of the clock of host and emulator pass in one second."""

CELLS: Sequence[Cell] = tuple(
    Cell(change, failure, times, number)
    for number, (change, failure) in enumerate(itertools.product(CHANGES, FAILURES))
    for times in TIMES
)

Found = dict[tuple[str, str, str], Verdict]
Row = Sequence[Cell]
"""The cells of one change and one failure, by the number of times. They run one after the other."""


def run(cells: Iterable[Cell], known: Found | None = None) -> Found:
    """
    Run every cell without a known result with the dynamic host, and return the results.

    A cell is not run if it would repeat the one before it: the fault that happens more often meets no further request.
    """
    rows = [list(row) for _, row in itertools.groupby(cells, lambda cell: cell.number)]
    slow = [row for row in rows if row[0].failure.slow]
    # A fault that matches the requests of every cell needs an account for itself.
    crowds = [[row] for row in slow if row[0].change.operation == "backups.pin"]
    others = [row for row in slow if row[0].change.operation != "backups.pin"]
    crowds += [others[start : start + TOGETHER] for start in range(0, len(others), TOGETHER)]
    quick = [row for row in rows if not row[0].failure.slow]
    queue = iter(quick)
    found = dict(known or {})
    lanes = min(LANES, len(quick))
    with futures.ThreadPoolExecutor(lanes + len(crowds)) as pool:
        work = [pool.submit(_crowd, crowd, found) for crowd in crowds]
        lock = threading.Lock()
        work += [pool.submit(_lane, queue, lock, found) for _ in range(lanes)]
        for done in work:
            done.result()
    return found


def _lane(queue: Iterator[Row], lock: threading.Lock, found: Found) -> None:
    with _account() as emulator:
        host = _host(emulator)
        try:
            while True:
                with lock:
                    row = next(queue, None)
                if row is None:
                    return
                _run_row(row, host, emulator, found)
        finally:
            host.stop()


def _crowd(rows: Sequence[Row], found: Found) -> None:
    with _account() as emulator:
        host = _host(emulator)
        try:
            with futures.ThreadPoolExecutor(len(rows)) as pool:
                for done in [pool.submit(_run_row, row, host, emulator, found) for row in rows]:
                    done.result()
        finally:
            host.stop()


def _run_row(row: Row, host: Host, emulator: Emulator, found: Found) -> None:
    before: Cell | None = None
    for cell in row:
        if cell.key in found:
            pass
        elif before is not None and before.repeats(found[before.key]):
            found[cell.key] = found[before.key]
        else:
            found[cell.key] = cell.run(host, emulator)
        before = cell


def _account() -> Emulator:
    # A short window: after a 429 without a time the client waits until the window ends. A restart takes longer than the
    # pause before the second attempt, which therefore always meets a container that is still busy with the first.
    return Emulator(rate_window=8.0, action_seconds=8.0, clock=DrivenClock(speed=SPEED))


def _host(emulator: Emulator) -> Host:
    config = {**PROMPT, "stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    reads = {"stacks_pulumi.api._transport": {"_READ_SECONDS": READ_SECONDS / SPEED}}
    return Host(config, speed=SPEED, constants=reads)
