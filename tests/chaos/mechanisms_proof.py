"""A mechanism of the provider that is switched off is noticed: by chaos, or by the tests that are about it."""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.chaos.mechanisms import MECHANISMS, switched_off
from tests.chaos.proof import ChaosProof
from tests.prove.proof import Case, Seen

__all__ = ["MechanismsProof"]

ROOT = Path(__file__).resolve().parents[2]

TESTED_BY: Mapping[str, Sequence[str]] = {
    "shield": [
        "tests/chaos/test_engine_gone.py::test_a_cancel_does_not_end_a_look_that_waits_for_the_rate_limit"
    ],
    "look after 503": ["tests/host/test_fault_matrix.py"],
}
"""The tests that fail without a mechanism; chaos finds the others."""

PROGRAMS = 200
"""How many programs chaos runs, at most, to find that a mechanism is off."""


class MechanismsProof(ChaosProof):
    """A case is a mechanism, and the seed of the programs that have to fail without it."""

    about = "without a mechanism of the provider, chaos or the tests that are about the mechanism fail"
    cases = len(MECHANISMS)
    at_once = 1
    # Only processes that start without the mechanism lack it, also the one that forks hosts.
    new_process = True
    searches = False
    least: ClassVar[Mapping[str, int]] = {"found": 1}

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--without",
            nargs="+",
            choices=MECHANISMS,
            default=list(MECHANISMS),
            metavar="MECHANISM",
            help=f"which of: {', '.join(MECHANISMS)} (default: all)",
        )

    @classmethod
    def short(cls) -> Iterator[list[str]]:
        yield ["--seed=1", "--cases=1", "--without=shield"]

    def draw(self, chance: Random) -> Iterator[Case]:
        for mechanism in itertools.cycle(self.given.without):
            yield {"mechanism": mechanism, "seed": chance.randrange(1_000_000)}

    def run(self, case: Case, seen: Seen) -> None:
        mechanism = case["mechanism"]
        with switched_off(mechanism):
            where = (
                _failing_tests(TESTED_BY[mechanism])
                if mechanism in TESTED_BY
                else self._failing_program(case["seed"], seen)
            )
        assert where is not None, f"nothing fails without {mechanism}"
        seen.counts["found"] += 1
        seen.note = f"without {mechanism}: {where}"

    def _failing_program(self, seed: int, seen: Seen) -> str | None:
        for program in itertools.islice(super().draw(Random(seed)), PROGRAMS):
            try:
                super().run(program, seen)
            except AssertionError as error:
                return f"after {seen.counts['steps']} steps of seed {seed}: {error}"
        return None


def _failing_tests(tests: Sequence[str]) -> str | None:
    run = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    # 1: tests failed. Anything else but 0 says that pytest did not run them.
    # What never happens without the mechanism is awaited for less time than what happens late.
    environment = {**os.environ, "PATIENCE": "30"}
    code = subprocess.run(run, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=False).returncode
    assert code in {0, 1}, f"pytest ended with {code}"
    return "its tests fail" if code == 1 else None
