"""Run the cases of a proof in several processes; reduce and keep the first one that fails."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

from tests.prove.proof import Case, Proof, Ran, Seen

__all__ = ["KEPT", "Runner", "smaller"]

KEPT = Path(__file__).parent / "kept"
"""The reduced cases that failed once, in a folder for each proof."""

REDUCE_MINUTES = 20


class _Here(futures.Executor):
    """Runs each case in this process, which has imported all that it needs, and forks its hosts already."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        done = futures.Future[Any]()
        done.set_result(work(*args, **kwargs))
        return done


class Runner:
    """
    Runs cases of one proof: several at once in other processes, or one by one in this process.

    Args:
        proof: The proof.
        given: Its options.
    """

    def __init__(self, proof: type[Proof], given: argparse.Namespace) -> None:
        self._proof = proof
        self._at_once = given.at_once
        self._pool: futures.Executor
        if self._at_once == 1 and not proof.new_process:
            _start(proof, given)
            self._pool = _Here()
        else:
            # A new interpreter for each process, as the cases start threads.
            self._pool = futures.ProcessPoolExecutor(
                self._at_once, multiprocessing.get_context("spawn"), _start, (proof, given)
            )

    def run(self, cases: Iterable[Case], *, minutes: float | None = None) -> Iterator[Ran]:
        """Yield the result of each case as it ends; start none after the minutes, or after what ends the run."""
        deadline = float("inf") if minutes is None else time.monotonic() + minutes * 60
        drawn, running, ended = iter(cases), set[futures.Future[Ran]](), False
        while True:
            while not ended and len(running) < self._at_once:
                case = next(drawn, None)
                if case is None or time.monotonic() > deadline:
                    ended = True
                else:
                    running.add(self._pool.submit(_run, case))
            if not running:
                return
            done, running = futures.wait(running, return_when=futures.FIRST_COMPLETED)
            for one in done:
                ran = one.result()
                ended = ended or (ran.failure is not None and self._proof.searches)
                yield ran

    def reduced(self, ran: Ran) -> Ran:
        """Return a failure without each object that it does not need, as far as `REDUCE_MINUTES` allow."""
        deadline, smallest = time.monotonic() + REDUCE_MINUTES * 60, ran
        shorter = smaller(ran.case)
        while time.monotonic() < deadline and (case := next(shorter, None)) is not None:
            again = self._pool.submit(_run, case).result()
            if again.failure is not None:
                smallest, shorter = again, smaller(case)
        return smallest

    def close(self) -> None:
        """Stop the processes."""
        self._pool.shutdown()


def smaller(value: Any) -> Iterator[Any]:
    """Yield a case without one object of one of its lists, the last objects of the outer lists first."""
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        for at in reversed(range(len(value))):
            yield [*value[:at], *value[at + 1 :]]
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in parts:
        for less in smaller(inner):
            copy = value.copy()
            copy[key] = less
            yield copy


def keep(proof: str, name: str, ran: Ran) -> Path:
    """Write a failing case where `make test` runs it again, and return the file."""
    path = KEPT / proof / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"failure": last_line(ran), "case": ran.case}, indent=2) + "\n", encoding="utf-8"
    )
    return path


def last_line(ran: Ran) -> str:
    """Return the last line of the failure, which is the error."""
    return (ran.failure or "").strip().rpartition("\n")[2]


_proofs: list[Proof] = []
"""The proof of this process."""


def _start(proof: type[Proof], given: argparse.Namespace) -> None:
    _proofs[:] = [proof(given)]


def _run(case: Case) -> Ran:
    seen = Seen()
    failure = None
    try:
        _proofs[0].run(case, seen)
    except Exception:  # noqa: BLE001  (whatever a proof raises is a failure of the case)
        failure = traceback.format_exc()
    return Ran(case, failure, seen.counts, seen.note)


def say(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
