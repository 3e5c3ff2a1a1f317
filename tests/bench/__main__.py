"""
Benchmark: seconds, calls, processor time and memory for many containers, compared with other providers.

    make bench                            everything, and docs/bench.md
    make bench ARGS="--mishaps"           only faults and changes in the dashboard (--only ours: one provider)
    make bench ARGS="--broker"            only the broker's own time, which takes seconds
    make bench ARGS="--stacks 50 300"     only `account`, for these numbers of stacks
    make bench ARGS="--containers 24"     a partial run; like a failed run, it writes build/bench/bench.md
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# If Python runs this folder, it puts the folder first on the path, and its modules could hide other modules.
ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)

from tests.bench import alone, broker, mishaps, report, stacks  # noqa: E402  (the path must be set first)
from tests.bench.cases import PROVIDERS, Case, all_cases, piece  # noqa: E402
from tests.bench.run import FailedError, Row, empty_up, run  # noqa: E402
from tests.bench.stacks import AccountRow  # noqa: E402
from tests.bench.targets import Target, of_broker, targets  # noqa: E402
from tests.support.forked import commands  # noqa: E402
from tools.engine.ensure import ensure  # noqa: E402


def main() -> int:
    """Run the benchmark and return the exit code."""
    arguments = _arguments()
    if arguments.broker:
        found_targets = list(of_broker(broker.measure()))
        for target in found_targets:
            say(_line(target))
        return int(not all(target.reached for target in found_targets))
    # A shell ignores SIGINT for background jobs. The engine stops its host with SIGINT and would wait five seconds.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # With a forked provider, the measured process would be the fork server's client.
    commands.Mode.real = True
    began = time.monotonic()
    engine = ensure().bin
    cases = all_cases() if arguments.containers is None else piece(arguments.containers)
    if arguments.mishaps or arguments.stacks:
        cases = iter(())
    # The idle provider is the baseline of the others.
    chosen = [case for case in cases if not arguments.only or case.provider in {*arguments.only, "idle"}]
    is_part = arguments.containers or arguments.only or arguments.mishaps or arguments.stacks
    is_whole = not is_part
    empty = empty_up(engine)
    say(f"An empty up takes {empty:.2f} s here.")
    found = alone.measure() if is_whole else None
    accounts: list[AccountRow] = []
    failed = False
    try:
        for one in stacks.run(arguments.stacks or (stacks.COUNTS if is_whole else ()), say):
            accounts.append(one)
            say(report.account_line(one))
    except FailedError as error:
        failed = True
        say(str(error))
    rows: list[Row] = []
    for case in chosen:
        try:
            for row in run(case, engine, lambda case, verb: _bound(case, verb, empty, rows)):
                rows.append(row)
                say(report.line(row))
        except FailedError as error:
            failed = True
            say(f"{case.provider}, {case.what}, {case.limit}: {error}")
    amiss = []
    if is_whole or arguments.mishaps:
        named = tuple(name for name in mishaps.PROVIDERS if name in (arguments.only or mishaps.PROVIDERS))
        amiss = mishaps.run(engine, lambda row: say(report.mishap_line(row)), named)
    for target in targets(rows, found, amiss, accounts):
        say(_line(target))
    docs = ROOT / "docs" if is_whole and not failed else ROOT / "build" / "bench"
    report.write(docs, report.Figures(rows, empty, found, (time.monotonic() - began) / 60, amiss, accounts))
    say(
        f"Wrote {(docs / 'bench.md').relative_to(ROOT)}, after {(time.monotonic() - began) / 60:.1f} minutes."
    )
    return int(failed)


def _bound(case: Case, verb: str, empty: float, rows: Sequence[Row]) -> float:
    if case.provider == "idle":
        return empty
    seconds = [row.seconds for row in rows if row.verb == verb and row.case == case.idle()]
    return case.seconds_at_least(verb, empty, max(seconds, default=0.0))


def _line(target: Target) -> str:
    reached = "reached" if target.reached else "NOT REACHED"
    return f"{reached}: {target.what}: {target.got}, wanted {target.wanted}"


def say(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--only", action="append", choices=PROVIDERS, help="one provider; given twice, two")
    parser.add_argument("--containers", type=int, help="stacks of this size alone, with the rate limit")
    parser.add_argument(
        "--mishaps", action="store_true", help="only the faults and the changes in the dashboard"
    )
    parser.add_argument(
        "--stacks", type=int, nargs="+", metavar="N", help="only `account`, for these numbers of stacks"
    )
    parser.add_argument("--broker", action="store_true", help="only the broker's own time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
