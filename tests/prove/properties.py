"""The tests that draw their examples with Hypothesis, with other examples than in `make test`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

from tests.prove.proof import Case, Proof, Seen

__all__ = ["Properties"]

ROOT = Path(__file__).resolve().parents[2]


class Properties(Proof):
    """A case is the seed of one run of all these tests. Hypothesis reduces a failure and prints its example."""

    about = "the Hypothesis tests without the engine, with new seeds; put a falsifying example above its test"
    cases = 20
    searches = False

    @classmethod
    def short(cls) -> Iterable[Sequence[str]]:
        """Return nothing: `make test` runs the tests themselves."""
        return ()

    def draw(self, chance: Random) -> Iterator[Case]:
        while True:
            yield {"seed": chance.randrange(1_000_000)}

    def run(self, case: Case, seen: Seen) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "hypothesis"]
        command += [f"--hypothesis-seed={case['seed']}", "tests/unit", "tests/policy"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        seen.note = done.stdout.strip().rpartition("\n")[2]
        assert done.returncode == 0, done.stdout
