"""
Run a proof on random cases, for minutes or hours.

    make prove                                     the proofs, with what each of them shows
    make prove ARGS="chaos --seed 42 --cases 400"  400 cases of one; the same seed draws the same cases
    make prove ARGS="chaos --minutes 60"           as many as an hour has time for
    make prove ARGS="chaos --from FILE"            the cases of a file again: a kept case, or the results of a run

The first failure of a proof that searches for one is reduced, and kept in `tests/prove/kept`, where `make test` runs
it. The results of all cases are in `build/prove`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if not __package__:
    # Run by its folder, Python puts the folder first on the path, where its modules could hide others.
    sys.path[0] = str(ROOT)

from tests.prove.proof import Case, Ran  # noqa: E402  (the path has to be set first)
from tests.prove.registry import PROOFS  # noqa: E402  (as above)
from tests.prove.run import Runner, keep, last_line, say  # noqa: E402  (as above)

RESULTS = ROOT / "build" / "prove"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a proof and return the exit code: 1 after a failure."""
    given = options(arguments)
    if given.proof is None:
        say("\n".join(f"{name:10} {proof.about}" for name, proof in PROOFS.items()))
        return 0
    failed, _ = prove(given)
    return 1 if failed else 0


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(prog="make prove", description=(__doc__ or "").strip().splitlines()[0])
    named = parser.add_subparsers(dest="proof", metavar="PROOF")
    for name, proof in PROOFS.items():
        one = named.add_parser(name, help=proof.about, description=proof.about)
        one.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="random by default")
        one.add_argument(
            "--cases", type=int, help=f"at most (default: {proof.cases}, or what --minutes allows)"
        )
        one.add_argument("--minutes", type=float, help="no case starts later")
        one.add_argument(
            "--at-once", type=int, default=proof.at_once, help="how many cases (default: %(default)s)"
        )
        one.add_argument("--from", dest="file", type=Path, help="run the cases of this file instead")
        proof.add_options(one)
    return parser.parse_args(arguments)


def prove(given: argparse.Namespace) -> tuple[list[Ran], Counter[str]]:
    """Run the cases that the options ask for; return the failures, reduced, and the sum of the counts."""
    proof = PROOFS[given.proof]
    began, ran, written = time.monotonic(), list[Ran](), 0.0
    results = RESULTS / f"{given.proof}-{given.file.stem if given.file else given.seed}.json"
    runner = Runner(proof, given)
    try:
        for one in runner.run(_cases(given), minutes=given.minutes):
            ran.append(one)
            say(f"{len(ran):4} {time.monotonic() - began:6.0f} s  {one.note}")
            if one.failure is not None:
                say(one.failure)
            # The whole file each time, so only now and then: thousands of cases would be slower to write than to run.
            if time.monotonic() - written > 10:
                _write(results, ran)
                written = time.monotonic()
        failed = [one for one in ran if one.failure is not None]
        if failed and proof.searches and not given.file:
            say("Reducing the first failure.")
            failed = [runner.reduced(failed[0])]
            kept = keep(given.proof, str(given.seed), failed[0])
            say(f"{last_line(failed[0])}\nKept as {kept}, which make test runs from now on.")
    finally:
        _write(results, ran)
        proof.ended(given, ran)
        runner.close()
    total = sum((one.counts for one in ran), Counter[str]())
    sums = ", ".join(f"{count} {name}" for name, count in total.most_common())
    say(f"{len(ran)} cases, {len(failed)} failed, in {time.monotonic() - began:.0f} s; {sums}")
    if given.file:
        passed = [one.case for one in proof.read(given.file) if one.failure is None]
        new = sum(one.case in passed for one in failed)
        say(f"{new} did not fail in {given.file}")
    return failed, total


def _cases(given: argparse.Namespace) -> Iterable[Case]:
    proof = PROOFS[given.proof]
    if given.file:
        say(f"{given.proof}: the cases of {given.file}.")
        return [one.case for one in proof.read(given.file)][: given.cases]
    most = proof.cases if given.cases is None and given.minutes is None else given.cases
    say(f"{given.proof}: seed {given.seed}, {given.at_once} at once.")
    return itertools.islice(proof(given).draw(random.Random(given.seed)), most)


def _write(path: Path, ran: Sequence[Ran]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([vars(one) for one in ran], indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
