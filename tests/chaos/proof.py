"""Random programs, random drift and random faults, through the real host."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from random import Random
from typing import Any, ClassVar, Final

from tests.chaos.faults import Drawn
from tests.chaos.identity_steps import DEFAULT, STEPS, IdentityChaos, chosen
from tests.chaos.random_steps import Chaos, Drift, Edit, edits
from tests.prove.proof import Case, Proof, Seen
from tests.support.host import HOSTS
from tests.support.platforms import READINGS

__all__ = ["ChaosProof"]

MADE_OF: dict[str, Callable[..., Any]] = {"children": Edit, "changes": Edit, "drifts": Drift, "faults": Drawn}
"""What the objects in a list of a turn are, by the name of the list."""


class ChaosProof(Proof):
    """A case is one program: its first children, and its turns, which are operations and drifts."""

    about = "random programs, drift and faults leave no orphan, no duplicate, no unasked deletion, no leaked secret"
    cases = 200
    # Most of the time is spent waiting.
    at_once = 4
    # Many operations are no-ops without a request, so few of the faults fire. Threads vary their number.
    least: ClassVar[Mapping[str, int]] = {"steps": 100, "faults fired": 8}

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--turns", type=int, default=25, help="how many operations and drifts for each program, at most"
        )
        parser.add_argument(
            "--steps",
            type=chosen,
            default=DEFAULT,
            help=f"all, none, or which of: {', '.join(STEPS)} (default: %(default)s)",
        )
        parser.add_argument(
            "--platforms",
            action="store_true",
            help="let each program live on another platform, with the defaults of the provider alone",
        )
        parser.add_argument(
            "--host", choices=sorted(HOSTS), default="dynamic", help="which host the providers run in"
        )

    @classmethod
    def short(cls) -> Iterator[list[str]]:
        for host in HOSTS:
            yield ["--seed=20260401", "--cases=8", "--turns=8", f"--host={host}"]
        yield ["--seed=20260402", "--cases=8", "--turns=6", "--platforms"]

    def draw(self, chance: Random) -> Iterator[Case]:
        steps, host = self.given.steps, self.given.host
        turns = _turns(steps)
        while True:
            drawn = []
            for _ in range(chance.randint(-(-self.given.turns // 2), self.given.turns)):
                name = chance.choice(sorted(turns))
                drawn.append(
                    {"turn": name, **{key: plain(draw(chance)) for key, draw in turns[name].items()}}
                )
            yield {
                "host": host,
                "platform": chance.choice(PLATFORMS) if self.given.platforms else None,
                "steps": sorted(steps),
                "children": plain(edits(2, 4)(chance)),
                "turns": drawn,
            }

    def run(self, case: Case, seen: Seen) -> None:
        life = machine(case["host"], seen.counts, frozenset(case["steps"]), case.get("platform"))
        try:
            life.begin(_made("children", case["children"]))
            for turn in case["turns"]:
                arguments = {key: _made(key, value) for key, value in turn.items() if key != "turn"}
                getattr(life, turn["turn"])(**arguments)
            life.converges()
        finally:
            life.close()
            where = f", {case['platform']}" if case.get("platform") else ""
            seen.note = f"{seen.counts['steps']} steps, {seen.counts['faults fired']} faults{where}"


def machine(host: str, counts: Counter[str], steps: frozenset[str], platform: str | None = None) -> Chaos:
    """Return an account with an empty program."""
    facts = None if platform is None else READINGS[platform]
    return IdentityChaos(host, counts, steps, facts) if steps else Chaos(host, counts, facts)


PLATFORMS: Final = (
    "lists lag 20 s",
    "every second list lags 20 s",
    "listed after 20 s",
    "connections listed 5 s late",
    "backups and pins listed 5 s late",
    "the caller's address 3 s later",
    "pages by address",
    "times as seconds",
    "camelCase",
    "unknown fields",
    "a clock ten minutes ahead",
)
"""Readings on which every program converges with the defaults: lists that are late, and forms that the guide shows."""


def _turns(steps: frozenset[str]) -> dict[str, dict[str, Callable[[Random], Any]]]:
    """Return the turns that a run with some steps can have, with how to draw their arguments."""
    marked = {
        name: vars(method)
        for name, method in {**vars(Chaos), **vars(IdentityChaos)}.items()
        if "draws" in getattr(method, "__dict__", {})
    }
    return {name: marks["draws"] for name, marks in marked.items() if marks["needs"] <= steps}


def plain(value: Any) -> Any:
    """Return drawn arguments as JSON."""
    return [asdict(one) for one in value] if isinstance(value, list) else value


def _made(name: str, value: Any) -> Any:
    return [MADE_OF[name](**one) for one in value] if name in MADE_OF else value
