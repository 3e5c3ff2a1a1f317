"""
Benchmark: seconds and calls for many containers, with both hosts and a plain provider.

    make bench                      everything; some hours, most of it waiting for the rate limit
    make bench ARGS=--quick         24 containers, both hosts and plain; about seven minutes
    make bench ARGS="--only ours --containers 60"
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

# Run as a script, Python puts this folder first on the path, where its modules could hide others.
ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)

from tests.bench import cases, imports, long_list, plugin_start, report  # noqa: E402  (the path has to be set first)
from tests.bench.figures import Figures  # noqa: E402
from tests.bench.measure import TookTooLongError  # noqa: E402
from tests.bench.run import empty_up, run  # noqa: E402
from tests.bench.store import Store  # noqa: E402
from tests.bench.targets import targets  # noqa: E402
from tests.support.forked import commands  # noqa: E402
from tools.engine.ensure import ensure  # noqa: E402


def main() -> int:
    """Run the benchmark and return the exit code."""
    arguments = _arguments()
    # Of a forked provider, processor time and memory would be those of the server's client.
    commands.Mode.real = True
    engine = ensure().bin
    empty = empty_up(engine)
    say(f"An empty up takes {empty:.1f} s here.")
    took = imports.milliseconds()
    listed = long_list.milliseconds()
    started = plugin_start.milliseconds()
    say(f"The plugin starts in {started:.0f} ms.")
    say("; ".join(f"{name}: {took:.1f} ms" for name, took in listed.items()))
    store = Store(ROOT / "build" / "bench.jsonl")
    failed = False
    for case in (
        () if arguments.none else filter(_chosen(arguments), cases.QUICK if arguments.quick else cases.FULL)
    ):
        try:
            idle = _idle(case, engine, empty, store)
            for row in run(case, engine, empty, idle):
                store.add(row)
                say(report.line(row))
        except TookTooLongError as error:
            failed = True
            say(f"{case.provider}, {case.what}, {case.limit}: {error}")
    figures = Figures(store.rows, empty, took, listed, started)
    for target in targets(figures):
        failed = failed or not target.reached
        say(
            f"{'reached' if target.reached else 'NOT REACHED'}: {target.what}: {target.got}, wanted {target.wanted}"
        )
    if arguments.write:
        report.write(ROOT / "docs", figures)
        say("Wrote docs/bench.md and docs/images/bench.svg.")
    return 1 if failed else 0


def _idle(case: cases.Case, engine: Path, empty: float, store: Store) -> dict[str, float]:
    """Return the seconds of each verb with a provider that does nothing; measured once for each machine."""

    def known() -> dict[str, float]:
        return {row.verb: row.measured.seconds for row in store.rows if row.case == case.idle}

    if not known():
        for row in run(case.idle, engine, empty):
            store.add(row)
            say(report.line(row))
    return known()


def _chosen(arguments: argparse.Namespace) -> Callable[[cases.Case], bool]:
    def chosen(case: cases.Case) -> bool:
        return (
            (not arguments.only or case.provider in arguments.only)
            and arguments.containers in {None, case.containers}
            and arguments.with_container in {None, case.with_container}
            and (arguments.limit is None or arguments.limit == (case.per_minute or 0))
            and (arguments.children is None or arguments.children == case.children)
        )

    return chosen


def say(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="24 containers alone")
    parser.add_argument(
        "--only",
        action="append",
        choices=("ours", "native", "plain"),
        help="one provider alone; given twice, two",
    )
    parser.add_argument("--containers", type=int, help="stacks of this size alone")
    parser.add_argument("--limit", type=int, help="this rate limit alone; 0 for none")
    parser.add_argument(
        "--children", action=argparse.BooleanOptionalAction, default=None, help="with or without"
    )
    parser.add_argument(
        "--with-container",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="children that are deleted with their container, or that delete themselves",
    )
    parser.add_argument("--none", action="store_true", help="measure no stack, only use stored figures")
    parser.add_argument("--write", action="store_true", help="write docs/bench.md and its chart")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
