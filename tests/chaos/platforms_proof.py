"""Every operation of the API that changes something, on every reading of the guide, without a fault."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from random import Random

from tests.chaos.matrix.changes import CHANGES
from tests.chaos.platform_life import Life
from tests.prove.proof import Case, Proof, Seen
from tests.support.host import HOSTS
from tests.support.platforms import READINGS, is_refused, needs_a_file, random_platform

__all__ = ["PlatformsProof"]


class PlatformsProof(Proof):
    """A case is one change of a program on one platform: a reading, or several at random."""

    about = (
        "each operation on each reading of the guide, and on random platforms, works or is refused by name"
    )
    cases = len(CHANGES) * len(READINGS)
    searches = False
    # Most of the time is spent waiting.
    at_once = 8

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--random", action="store_true", help="draw platforms that differ in several ways"
        )
        parser.add_argument(
            "--host", choices=sorted(HOSTS), default="dynamic", help="which host the providers run in"
        )

    @classmethod
    def short(cls) -> Iterator[list[str]]:
        yield ["--seed=20260403", "--cases=12", "--random"]

    def draw(self, chance: Random) -> Iterator[Case]:
        pairs = [(change.operation, name) for change in CHANGES for name in READINGS]
        chance.shuffle(pairs)
        for operation, name in pairs:
            number = chance.randrange(1_000_000)
            while needs_a_file(random_platform(number)):
                number += 1
            yield {
                "host": self.given.host,
                "operation": operation,
                "platform": number if self.given.random else name,
            }

    def run(self, case: Case, seen: Seen) -> None:
        change = next(one for one in CHANGES if one.operation == case["operation"])
        drawn = case["platform"]
        facts = random_platform(drawn) if isinstance(drawn, int) else READINGS[drawn]
        lived = Life(
            facts,
            kind=case["host"],
            stages=[change.before("cell"), change.after("cell")],
            kept=change.slack,
        ).run()
        result = "lost" if lived.lost else "works" if lived.works else "refused by name"
        seen.counts.update({"calls": lived.calls, result: 1})
        seen.note = f"{change.what}, {drawn}"
        assert lived.lost == [], [*lived.lost, *lived.messages]
        assert lived.wrongs == [] or is_refused(facts), [*lived.wrongs, *lived.messages]
