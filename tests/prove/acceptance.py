"""
An acceptance run on a random platform leaves nothing, and neither does one that is killed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.prove.proof import Case, Proof, Seen
from tests.support.acceptance import emulated, killed_and_swept, left_on, walk_on
from tests.support.platforms import random_reading

__all__ = ["AcceptanceProof"]

_MINUTES = 15
_REQUESTS = 250


class AcceptanceProof(Proof):
    """A case is a platform, and the request at which a second run on it is killed."""

    about = (
        "an acceptance run on a random platform ends in time, and names what it leaves, also if it is killed"
    )
    cases = 20
    least: ClassVar[Mapping[str, int]] = {"killed": 2}

    @classmethod
    def short(cls) -> Iterator[list[str]]:
        yield ["--seed=1", "--cases=2"]

    def draw(self, chance: Random) -> Iterator[Case]:
        while True:
            yield {
                "platform": chance.randrange(1_000_000),
                "killed_at": chance.randrange(1, _REQUESTS),
                "sent": chance.random() < 0.5,
            }

    def run(self, case: Case, seen: Seen) -> None:
        names, reading = random_reading(case["platform"])
        seen.note = " + ".join(names)
        with emulated(reading) as api:
            began = api.clock.now()
            left = walk_on(api).run(lambda _: None)
            assert api.clock.now() - began <= _MINUTES * 60
            assert left or left_on(api) == []
        with tempfile.TemporaryDirectory() as folder, emulated(reading) as api:
            file = Path(folder) / "acc-0123abcd.json"
            left = killed_and_swept(api, file, case["killed_at"], sent=case["sent"])
            assert left or left_on(api) == []
        seen.counts["killed"] += 1
