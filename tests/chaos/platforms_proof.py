"""The life of a stack on every reading of the guide: it works, or is refused by name, and nothing is lost."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Iterator
from random import Random

from tests.chaos.platform_life import Life
from tests.prove.proof import Case, Proof, Seen
from tests.support.host import HOSTS
from tests.support.platforms import READINGS, random_reading

__all__ = ["PlatformsProof"]

_CODE = re.compile(r"\[([a-z-]+)\]$")


class PlatformsProof(Proof):
    """
    A case is one platform: a reading, or several at random. `platform_life.py` has the rules.

    The result is *works*, *refused by name* (an error with a code), or *lost*: something is billed outside of a state,
    somebody else's object is deleted, or a secret is shown. That is a failure, and so is a wrong step without an error.
    """

    about = "on each reading of the guide, and on random platforms, a stack works or is refused by name"
    cases = len(READINGS)
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
        parser.add_argument("--reading", choices=sorted(READINGS), help="only this one")

    @classmethod
    def short(cls) -> Iterator[list[str]]:
        yield ["--seed=20260403", "--cases=6", "--random"]

    def draw(self, chance: Random) -> Iterator[Case]:
        if self.given.random:
            for _ in itertools.count():
                yield {"host": self.given.host, "platform": chance.randrange(1_000_000)}
        for name in READINGS if self.given.reading is None else [self.given.reading]:
            yield {"host": self.given.host, "platform": name}

    def run(self, case: Case, seen: Seen) -> None:
        drawn = case["platform"]
        names, reading = random_reading(drawn) if isinstance(drawn, int) else ([drawn], READINGS[drawn])
        lived = Life(reading, kind=case["host"]).run()
        codes = sorted({found[1] for text in lived.messages if (found := _CODE.search(text))})
        result = (
            "lost" if lived.lost else "works" if lived.works else "refused by name" if codes else "unnamed"
        )
        seen.counts.update({"calls": lived.calls, result: 1})
        seen.note = f"{' + '.join(names)}: {result} {', '.join(codes)}".rstrip()
        assert result in {"works", "refused by name"}, [*lived.lost, *lived.wrongs, *lived.messages]
