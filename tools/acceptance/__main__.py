"""
`make acceptance` and `make sweep`: check the assumptions against the API that the environment names.

    make acceptance                      needs STACKS_API_KEY, and STACKS_BASE_URL for a different address
    make acceptance ARGS="--max-usd 2"   with a second container
    make sweep                           delete the containers of an interrupted run
"""

from __future__ import annotations

import argparse
import datetime
import secrets
import signal
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import FrameType
from typing import Final

if not __package__:
    # If Python runs this folder, it puts the folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from stacks_pulumi.config import load
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.errors import clean as escaped
from tools.acceptance.findings import report
from tools.acceptance.record import Record
from tools.acceptance.sweep import PREFIX, Sweep
from tools.acceptance.walk import Walk
from tools.acceptance.wire import OutOfTimeError, Wire

_ROOT: Final = Path(__file__).resolve().parents[2]
_RECORDS: Final = _ROOT / ".acceptance"
"""Reports, platform files, and the records of runs that were not swept; `make clean` does not delete them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command.

    Returns:
        0; 1 if a step failed, or a container is left or may appear later; 2 if a setting is wrong.
    """
    options = _parser().parse_args(arguments)
    try:
        settings = load()
        if settings.api_key is None:
            print("acceptance: no API key: set the environment variable STACKS_API_KEY", file=sys.stderr)
            return 2
        wire = Wire(settings.base_url, settings.api_key)
        return _run(wire, options) if options.command == "run" else _sweep(wire, options)
    except (ConfigError, ValueError) as error:
        print(f"acceptance: {error}", file=sys.stderr)
        return 2
    except (LookupError, OutOfTimeError) as error:
        print(f"acceptance: {error}", file=sys.stderr)
        return 1


def _run(wire: Wire, options: argparse.Namespace) -> int:
    began = datetime.datetime.now(datetime.timezone.utc)
    prefix = f"acc-{secrets.token_hex(4)}"
    folder: Path = options.records
    record = Record(prefix, folder / f"{prefix}.json", wire.base_url)
    # A wrong key or an unreadable list ends the run before the first create.
    Sweep(wire, [record]).found()
    folder.mkdir(parents=True, exist_ok=True)
    record.create()
    limits = f"${options.max_usd:.2f} and {options.max_minutes:g} minutes at most"
    print(f"{wire.base_url}: containers named {prefix}..., {limits}.", flush=True)
    signal.signal(signal.SIGTERM, _interrupt)
    walk = Walk(
        wire,
        record,
        max_usd=options.max_usd,
        minutes=options.max_minutes,
        patience=options.patience,
        interval=options.interval,
    )
    left: list[str] = [f"perhaps {prefix}..."]
    try:
        left = walk.run(_say)
    except KeyboardInterrupt:
        walk.findings.problems.append("the run was interrupted")
        walk.failed = True
        # The interrupt may have stopped the sweep itself.
        left = walk.sweep(_say)
    finally:
        _write(walk, wire, left, f"{began:%Y-%m-%d %H:%M} UTC", options)
        if not left and not walk.later and record.file is not None:
            record.file.unlink()
    for problem in walk.findings.problems:
        print(escaped(f"Problem: {problem}"), file=sys.stderr)
    if walk.later:
        print("A container of the run may appear later: run `make sweep` again later.", file=sys.stderr)
    if left:
        print(f"Left over: {', '.join(left)}. Run `make sweep` to delete them.", file=sys.stderr)
    return 1 if left or walk.failed else 0


def _write(walk: Walk, wire: Wire, left: Sequence[str], at: str, options: argparse.Namespace) -> None:
    """Print the differences, and write the report and the platform file."""
    findings, prefix = walk.findings, walk.prefix
    for line in findings.differs:
        print(escaped(f"Differs: {line}"))
    known: Path = options.platform_out or options.records / f"{prefix}.platform.yaml"
    about = f"Results of the acceptance run {prefix} at {at} on {wire.base_url}."
    known.write_text(findings.platform_file(about), encoding="utf-8")
    head = {
        "Address": wire.base_url,
        "Began": at,
        "Requests": str(len(wire.exchanges)),
        "Cost at most": f"${walk.spent:.2f} of ${options.max_usd:.2f}",
        "Platform file": known.name
        if findings.facts
        else f"{known.name}: not needed, because there are no facts",
    }
    file: Path = options.report or options.records / f"{prefix}.md"
    file.write_text(report(findings, wire, prefix, head, left), encoding="utf-8")
    print(f"Report: {file}")
    print(f"Platform file: {known}")


def _say(text: str) -> None:
    print(escaped(f"  {text}"), flush=True)


def _sweep(wire: Wire, options: argparse.Namespace) -> int:
    recorded = _recorded(options.records, wire.base_url)
    records = (
        [recorded.get(options.prefix, Record(options.prefix))] if options.prefix else list(recorded.values())
    )
    if not records:
        print("There is no interrupted run here. For a run of another machine, use ARGS='--prefix acc-...'.")
        return 0
    clean = Sweep(wire, records, options.interval)
    wire.until = wire.now() + options.max_minutes * 60
    found = clean.found()
    hidden = sorted({it.name for record in records for it in record.asked if it.over is None})
    print(f"{wire.base_url}: {len(found)} containers of {', '.join(it.prefix for it in records)}.")
    for row in found:
        print(escaped(f"  {row.name}  {row.id}  {row.template}  {row.status}"))
    for name in hidden:
        print(f"  {name} was requested and may exist.")
    if (found or hidden) and not options.yes and not _agreed():
        print("Nothing was deleted.")
        return 1
    left = clean.clean()
    for note in clean.notes:
        print(escaped(f"Note: {note}"), file=sys.stderr)
    if clean.later:
        print(f"May appear later: {', '.join(clean.later)}. Run `make sweep` again later.", file=sys.stderr)
    if left:
        print(f"Left over: {', '.join(left)}.", file=sys.stderr)
    if left or clean.later:
        return 1
    for record in records:
        if record.file is not None:
            record.file.unlink(missing_ok=True)
    print("Nothing is left.")
    return 0


def _recorded(folder: Path, base_url: str) -> dict[str, Record]:
    """Return the runs against this API that were not swept, keyed by prefix."""
    files = sorted(it for it in folder.glob("acc-*.json") if PREFIX.fullmatch(it.stem))
    # A record that a crash truncated may belong to this API.
    return {it.prefix: it for it in map(Record.read, files) if it.base_url in {None, base_url}}


def _agreed() -> bool:
    try:
        return input("Delete them? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="acceptance", description=__doc__.strip().splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="walk, sweep, and write the report")
    run.add_argument(
        "--max-usd",
        type=_dollars,
        default=Decimal(1),
        metavar="USD",
        help="the highest cost of the run; each container counts with a full month (default: 1)",
    )
    run.add_argument("--report", type=Path, metavar="FILE", help="the file for the report")
    run.add_argument(
        "--platform-out", type=Path, metavar="FILE", help="the file for the found facts, as a platform file"
    )
    run.add_argument(
        "--patience",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="timeout for a boot or a backup in seconds (default: 300)",
    )
    clean = commands.add_parser("sweep", help="list and delete the containers of interrupted runs")
    clean.add_argument(
        "--prefix", metavar="PREFIX", help="the prefix of a run (default: all runs recorded here)"
    )
    clean.add_argument("--yes", action="store_true", help="do not ask")
    for command in (run, clean):
        command.add_argument(
            "--max-minutes",
            type=_minutes,
            default=15.0,
            metavar="MINUTES",
            help="the time limit in minutes, including the sweep of a run (default: 15)",
        )
        command.add_argument("--interval", type=float, default=2.0, help=argparse.SUPPRESS)
        command.add_argument("--records", type=Path, default=_RECORDS, help=argparse.SUPPRESS)
    return parser


def _dollars(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        msg = f"{text!r} is not an amount of US dollars"
        raise argparse.ArgumentTypeError(msg)
    return amount


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= 24 * 60:
        msg = f"{text!r} is not a number of minutes, at most one day"
        raise argparse.ArgumentTypeError(msg)
    return minutes


if __name__ == "__main__":
    sys.exit(main())
