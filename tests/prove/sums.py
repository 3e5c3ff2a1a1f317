"""Two small proofs for the tests of the runner; in a module of their own, as a process that runs cases imports it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from random import Random

from tests.prove.proof import Case, Proof, Seen

__all__ = ["Reports", "Sums"]


class Sums(Proof):
    """Fails in every case that has a number above a limit."""

    about = "no number is above the limit"
    cases = 30

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--limit", type=int, default=90)

    @classmethod
    def short(cls) -> Sequence[Sequence[str]]:
        return ()

    def draw(self, chance: Random) -> Iterator[Case]:
        while True:
            yield {"limit": self.given.limit, "numbers": [{"is": chance.randrange(100)} for _ in range(5)]}

    def run(self, case: Case, seen: Seen) -> None:
        seen.counts["numbers"] += len(case["numbers"])
        seen.note = "added up"
        for number in case["numbers"]:
            assert number["is"] <= case["limit"], f"{number['is']} is above the limit"


class Reports(Sums):
    """The same, and goes on after a failure."""

    searches = False
