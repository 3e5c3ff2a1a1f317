"""
An acceptance run finds out how a random platform differs, leaves nothing, and neither does one that is killed.

With the file that it writes, the life of a stack passes on that platform, or is refused by name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.chaos.platform_life import Life
from tests.prove.proof import Case, Proof, Seen
from tests.support.acceptance import killed_and_swept, learned_of, left_on, played, run_on, unnamed, wrong
from tests.support.platforms import is_refused, random_platform
from tools.acceptance.perform import perform

__all__ = ["AcceptanceProof"]

_MINUTES = 15
_REQUESTS = 450


class AcceptanceProof(Proof):
    """A case is a platform, and the request at which a second run on it is killed."""

    about = (
        "an acceptance run names what differs on a random platform and leaves nothing, also if it is killed; with "
        "the file that it writes a stack lives there"
    )
    cases = 20
    least: ClassVar[Mapping[str, int]] = {"facts": 4, "lives": 2, "killed": 2}

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
        facts = random_platform(case["platform"])
        seen.note = ", ".join(
            f"{name}: {known}" for name, known in facts.as_json().items() if name != "version"
        )
        with played(facts) as api:
            began, run = api.clock.now(), run_on(api)
            assert perform(run, lambda _: None) == []
            assert left_on(api) == []
            assert api.clock.now() - began <= _MINUTES * 60
            learned = learned_of(run)
        assert unnamed(facts, learned) == set()
        assert wrong(facts, learned) == {}
        seen.counts["facts"] += len(learned)
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "platform.yaml"
            written.write_text(run.learned.text("A run.", str), encoding="utf-8")
            lived = Life(facts, written).run()
            assert lived.lost == [], [*lived.lost, *lived.messages]
            assert lived.works or is_refused(facts), [*lived.wrongs, *lived.messages]
            seen.counts["lives"] += 1
            with played(facts) as api:
                record = Path(folder) / "acc-0123abcd.json"
                left, _ = killed_and_swept(api, record, case["killed_at"], sent=case["sent"])
                assert left == []
                assert left_on(api) == []
        seen.counts["killed"] += 1
