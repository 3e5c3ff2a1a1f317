"""
Chaos: random programs, random drift and random faults.

    make chaos                              thousands of steps from a new seed, which it prints; about half an hour
    make chaos ARGS="--seed 42"             the same again
    make chaos ARGS="--programs 400"        more
    make chaos ARGS="--steps rename,target" with renames and targets among the steps; `all` and `none` work too
    make chaos ARGS="--host native"         with the native plugin instead of the dynamic host
    python tests/chaos --without identity   with a mechanism of the provider switched off, so the run has to fail

Most of the time is spent waiting, so several lives run in parallel, each in its own process and with its own seed.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

ROOT = Path(__file__).resolve().parents[2]
if not __package__:
    # Run by its folder, Python puts the folder first on the path, where its modules could hide others.
    sys.path[0] = str(ROOT)

from tests.chaos.identity_steps import DEFAULT, STEPS, IdentityChaos, chosen  # noqa: E402  (as above)
from tests.chaos.mechanisms import MECHANISMS, switched_off  # noqa: E402  (as above)
from tests.chaos.random_steps import Chaos  # noqa: E402  (the path has to be set first)
from tests.support.host import HOSTS  # noqa: E402  (as above)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run lives and return the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the first life")
    parser.add_argument("--programs", type=int, default=200, help="how many, over all lives")
    parser.add_argument(
        "--turns", type=int, default=25, help="how many operations and drifts for each, at most"
    )
    parser.add_argument("--at-once", type=int, default=4, help="how many lives")
    parser.add_argument(
        "--steps", default=DEFAULT, help=f"which of: {', '.join(STEPS)} (default: %(default)s)"
    )
    parser.add_argument(
        "--host", choices=sorted(HOSTS), default="dynamic", help="which host the providers run in"
    )
    parser.add_argument("--without", choices=MECHANISMS, help="switch a mechanism of the provider off")
    parser.add_argument(
        "--tests",
        nargs="+",
        metavar="FILE",
        help="run these tests instead: tests/host/test_fault_matrix.py ...",
    )
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        steps = chosen(given.steps)
    except ValueError as error:
        parser.error(str(error))
    if given.alone:
        return live(given.seed, given.programs, given.turns, steps, given.host)
    began = time.monotonic()
    if not given.tests:
        say(f"Seed {given.seed}: {given.programs} programs in {given.at_once} lives.")
    with switched_off(given.without):
        if given.tests:
            run = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *given.tests]
            # 1: tests failed. Anything else but 0 says that pytest did not run them.
            code = subprocess.run(run, cwd=ROOT, check=False).returncode
            say(f"without {given.without}: {'found' if code == 1 else 'NOT FOUND'}")
            return 0 if code == 1 else 1
        total, failed = together(
            given.seed, given.programs, given.turns, given.at_once, steps=given.steps, host=given.host
        )
    say(f"{time.monotonic() - began:.0f} s; {describe(total)}")
    if given.without is not None:
        say(f"without {given.without}: {'found' if failed else 'NOT FOUND'}")
        return 0 if failed else 1
    return 1 if failed else 0


def together(
    first: int, programs: int, turns: int, at_once: int, *, steps: str = DEFAULT, host: str = "dynamic"
) -> tuple[Counter[str], list[str]]:
    """Run several lives in parallel; return the sum of their counts, and the output of those that failed."""
    lives = [
        subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).parent), "--alone"),
                *("--seed", str(first + number)),
                *("--programs", str(-(-programs // at_once)), "--turns", str(turns), "--steps", steps),
                *("--host", host),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        for number in range(at_once)
    ]
    total: Counter[str] = Counter()
    failed = []
    for number, process in enumerate(lives):
        text, _ = process.communicate()
        said, _, counts = text.strip().rpartition("\n")
        counted: dict[str, int] = json.loads(counts) if counts.startswith("{") else {}
        if process.returncode != 0:
            failed.append(f"seed {first + number}, after {counted.get('steps', 0)} steps:\n{said}")
            say(failed[-1])
        total.update(counted)
    return total, failed


def live(number: int, programs: int, turns: int, steps: frozenset[str], host: str) -> int:
    """Run one life; its last line of output is its counts, as JSON."""
    profile = settings(
        max_examples=programs,
        stateful_step_count=turns,
        deadline=None,
        database=None,
        # A life ends at its first failure, so that its count of steps says where the failure happened.
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        # A run is in real time: shrinking a failure takes longer than reading it.
        phases=(Phase.generate,),
    )
    machine: type[Chaos] = IdentityChaos if steps else Chaos
    IdentityChaos.steps = steps
    Chaos.host_kind = host
    try:
        run_state_machine_as_test(seed(number)(machine), settings=profile)
    except BaseException:  # noqa: BLE001  (hypothesis raises groups and interrupts; print all of them)
        say(traceback.format_exc())
        return 1
    finally:
        say(json.dumps(Chaos.counts))
    return 0


def describe(total: Counter[str]) -> str:
    """Return the counts as one line of text."""
    kinds = {name.removeprefix("fault "): count for name, count in total.items() if name.startswith("fault ")}
    fired = ", ".join(
        f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1]) if count
    )
    wider = "".join(f", {total[name]} {name}" for name in STEPS if total[name])
    return (
        f"{total['programs']} programs, {total['steps']} steps: {total['up']} up, {total['refresh']} refresh, "
        f"{total['destroy']} destroy, {total['drifts']} drifts{wider}; {total['faults fired']} faults fired ({fired}); "
        f"{total['errors']} operations failed as they should"
    )


def say(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
