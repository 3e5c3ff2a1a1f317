"""What a proof is: a rule that has to hold for every case, with a way to draw cases at random."""

from __future__ import annotations

import abc
import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, ClassVar

__all__ = ["Case", "Proof", "Ran", "Seen"]

Case = dict[str, Any]
"""All that a run needs, as JSON. In a list of objects any of them may be left out, which reduces the case."""


@dataclass
class Seen:
    """
    What a run of a case tells, besides its failure.

    Attributes:
        counts: How much of what happened; the runner prints the sums.
        note: One line about the case.
    """

    counts: Counter[str] = field(default_factory=Counter)
    note: str = ""


@dataclass(frozen=True)
class Ran:
    """The result of a case: the traceback of its failure, if it failed, its counts, and a note."""

    case: Case
    failure: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    note: str = ""


class Proof(abc.ABC):
    """
    A rule that has to hold for every case. Each process that runs cases makes one.

    Args:
        given: The options, with those of `add_options`.
    """

    about: ClassVar[str]
    """One line for the list of proofs."""

    cases: ClassVar[int]
    """How many cases are run by default."""

    searches: ClassVar[bool] = True
    """Whether the first failure ends the run, and is reduced and kept; otherwise all failures are reported."""

    at_once: ClassVar[int] = 1
    """How many cases run in parallel by default."""

    new_process: ClassVar[bool] = False
    """Whether its cases cannot run in the process that draws them."""

    least: ClassVar[Mapping[str, int]] = {}
    """The counts that each short form has to reach, because a run in which nothing happens proves nothing."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given

    @classmethod  # noqa: B027  (most proofs have none)
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options that only this proof has."""

    @classmethod
    def read(cls, path: Path) -> list[Ran]:
        """Return the contents of a file: a kept case, or all cases of a run."""
        found = json.loads(path.read_text(encoding="utf-8"))
        return [Ran(**one) for one in (found if isinstance(found, list) else [found])]

    @classmethod  # noqa: B027  (most proofs write nothing)
    def ended(cls, given: argparse.Namespace, ran: Sequence[Ran]) -> None:
        """Write what the options ask for after a run."""

    @classmethod
    @abc.abstractmethod
    def short(cls) -> Iterable[Sequence[str]]:
        """Return the options of each short form; `make test` runs them, so they take seconds."""

    @abc.abstractmethod
    def draw(self, chance: Random) -> Iterator[Case]:
        """Yield cases without an end; the same ones for the same seed."""

    @abc.abstractmethod
    def run(self, case: Case, seen: Seen) -> None:
        """Run a case. Any exception is a failure."""
