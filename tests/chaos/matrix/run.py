"""Run all cells; nearly all of the time is spent waiting, so many cells run in parallel."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent import futures

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.platform import DrivenClock
from tests.chaos.matrix.cell import Cell, Verdict
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.matrix.failures import FAILURES, READ_SECONDS, TIMES
from tests.support.host import HOSTS, PROMPT, Host

__all__ = ["CELLS", "run"]

LANES = 32
"""Hosts that each run their cells one after the other."""

TOGETHER = 6
"""Cells that run in parallel on one host, because nearly all of their time is spent in one unanswered request."""

SPEED = 8.0
"""How many seconds of the clock of host and emulator pass in one second."""

CELLS: Sequence[Cell] = tuple(
    Cell(change, failure, times, number)
    for number, (change, failure, times) in enumerate(
        (change, failure, times) for change in CHANGES for failure in FAILURES for times in TIMES
    )
)

Found = dict[tuple[str, str, str], Verdict]


def run(cells: Iterable[Cell] = CELLS, *, kind: str = "dynamic") -> Found:
    """Run every cell with a kind of host, and return their results."""
    cells = list(cells)
    quick = [cell for cell in cells if not cell.failure.slow]
    slow = [cell for cell in cells if cell.failure.slow]
    # A fault that matches the requests of every cell needs an account for itself.
    crowds = [[cell] for cell in slow if cell.change.operation == "backups.pin"]
    others = [cell for cell in slow if cell.change.operation != "backups.pin"]
    crowds += [others[start : start + TOGETHER] for start in range(0, len(others), TOGETHER)]
    queue = iter(quick)
    found: Found = {}
    lanes = min(LANES, len(quick))
    with futures.ThreadPoolExecutor(lanes + len(crowds)) as pool:
        work = [pool.submit(_crowd, crowd, kind, found) for crowd in crowds]
        lock = threading.Lock()
        work += [pool.submit(_lane, queue, lock, kind, found) for _ in range(lanes)]
        for done in work:
            done.result()
    return found


def _lane(queue: Iterator[Cell], lock: threading.Lock, kind: str, found: Found) -> None:
    with _account() as emulator:
        host = _host(emulator, kind)
        try:
            while True:
                with lock:
                    cell = next(queue, None)
                if cell is None:
                    return
                found[cell.key] = cell.run(host, emulator)
        finally:
            host.stop()


def _crowd(cells: Sequence[Cell], kind: str, found: Found) -> None:
    with _account() as emulator:
        host = _host(emulator, kind)
        try:
            with futures.ThreadPoolExecutor(len(cells)) as pool:
                for cell, verdict in zip(
                    cells, pool.map(lambda cell: cell.run(host, emulator), cells), strict=True
                ):
                    found[cell.key] = verdict
        finally:
            host.stop()


def _account() -> Emulator:
    # A short window: after a 429 without a time the client waits until the window ends. A restart takes longer than the
    # pause before the second attempt, which therefore always meets a container that is still busy with the first.
    return Emulator(rate_window=8.0, action_seconds=8.0, clock=DrivenClock(speed=SPEED))


def _host(emulator: Emulator, kind: str) -> Host:
    config = {**PROMPT, "stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    reads = {"stacks_pulumi.api._transport": {"_READ_SECONDS": READ_SECONDS / SPEED}}
    return HOSTS[kind](config, speed=SPEED, constants=reads)
