"""
`make acceptance` and `make sweep`: check the assumptions against the API that the environment names.

    make acceptance                                   STACKS_API_KEY, and STACKS_BASE_URL for another address
    make acceptance ARGS="--max-usd 2"                with a second container
    make sweep                                        delete what an interrupted run has left
"""

from __future__ import annotations

import argparse
import datetime
import json
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import FrameType
from typing import Final

import requests

if not __package__:
    # Run by its folder, Python puts the folder first on the path, where its modules could hide others.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from stacks_pulumi.config import load
from stacks_pulumi.errors import ConfigError
from tools.acceptance.api import Api
from tools.acceptance.budget import Budget
from tools.acceptance.perform import perform
from tools.acceptance.report import report
from tools.acceptance.run import Run
from tools.acceptance.sweep import PREFIX, left_over, sweep

_ROOT: Final = Path(__file__).resolve().parents[2]
_RECORDS: Final = _ROOT / ".acceptance"
"""Reports, and the prefixes of runs that are not swept; `make clean` leaves them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command.

    Returns:
        0; 1 if a scene could not go on or a container is left or may appear later; 2 if a setting is wrong.
    """
    options = _parser().parse_args(arguments)
    try:
        settings = load()
        if settings.api_key is None:
            print("acceptance: no API key: set the environment variable STACKS_API_KEY", file=sys.stderr)
            return 2
        api = Api(settings.base_url, settings.api_key)
        return _run(api, options) if options.command == "run" else _sweep(api, options)
    except (ConfigError, ValueError) as error:
        print(f"acceptance: {error}", file=sys.stderr)
        return 2
    except requests.RequestException as error:
        print(
            f"acceptance: no answer from {settings.base_url}: {type(error).__name__}: {error}",
            file=sys.stderr,
        )
        return 1
    except LookupError as error:
        print(f"acceptance: {error}", file=sys.stderr)
        return 1


def _run(api: Api, options: argparse.Namespace) -> int:
    began = datetime.datetime.now(datetime.timezone.utc)
    run = Run(
        api,
        f"acc-{secrets.token_hex(4)}",
        Budget(options.max_usd),
        patience=options.patience,
        interval=options.interval,
    )
    # A key that is wrong, or a list that cannot be read, ends the run before anything is created.
    if left_over(api, [run.prefix]):
        print(f"acceptance: the account has containers named {run.prefix}...", file=sys.stderr)
        return 1
    record = options.records / f"{run.prefix}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"base_url": api.base_url}), encoding="utf-8")
    print(f"{api.base_url}: containers named {run.prefix}..., ${options.max_usd:.2f} at most.", flush=True)
    signal.signal(signal.SIGTERM, _interrupt)
    left: list[str] = [f"perhaps {run.prefix}..."]
    try:
        left = perform(run, lambda text: print(f"  {text}", flush=True))
    except KeyboardInterrupt:
        run.problems.append("the run was interrupted")
        left = [str(row["name"]) for row in left_over(api, [run.prefix])]
    finally:
        file = options.report or options.records / f"{run.prefix}.md"
        file.write_text(report(run, left, f"{began:%Y-%m-%d %H:%M} UTC"), encoding="utf-8")
        print(f"Report: {file}")
        if not left and not run.unsettled:
            record.unlink()
    for problem in run.problems:
        print(f"Problem: {problem}", file=sys.stderr)
    if run.unsettled:
        print("A container of the run may appear later: run `make sweep` again then.", file=sys.stderr)
    if left:
        print(f"Left over: {', '.join(left)}. `make sweep` deletes them.", file=sys.stderr)
    return 1 if left or run.problems else 0


def _sweep(api: Api, options: argparse.Namespace) -> int:
    records = _recorded(options.records, api.base_url)
    prefixes = [options.prefix] if options.prefix else sorted(records)
    if not prefixes:
        print("There is no interrupted run. ARGS='--prefix acc-...' names one of another machine.")
        return 0
    found = left_over(api, prefixes)
    print(f"{api.base_url}: {len(found)} containers of {', '.join(prefixes)}.")
    for row in found:
        print(f"  {row.get('name')}  {row.get('id')}  {row.get('type')}  {row.get('status')}")
    if found and not options.yes and not _agreed():
        print("Nothing was deleted.")
        return 1
    left = sweep(api, prefixes, sleep=time.sleep, interval=options.interval)
    if left:
        print(f"Left over: {', '.join(left)}.", file=sys.stderr)
        return 1
    for prefix in prefixes:
        if prefix in records:
            records[prefix].unlink()
    print("Nothing is left.")
    return 0


def _recorded(folder: Path, base_url: str) -> dict[str, Path]:
    """The runs against this API that were not swept, by prefix."""
    found = {}
    for file in folder.glob("acc-*.json"):
        # A record that a crash truncated may be of this API.
        if PREFIX.fullmatch(file.stem) and _noted(file) in {None, base_url}:
            found[file.stem] = file
    return found


def _noted(record: Path) -> str | None:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["base_url"])
    except (ValueError, KeyError, TypeError):
        return None


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
    run = commands.add_parser("run", help="observe, sweep, and write the report")
    run.add_argument(
        "--max-usd",
        type=_dollars,
        default=Decimal(1),
        metavar="USD",
        help="what the run may cost at most, each container counted with its whole month (default: 1)",
    )
    run.add_argument("--report", type=Path, metavar="FILE", help="where to write the report")
    run.add_argument(
        "--patience",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long to wait for a boot or a backup (default: 300)",
    )
    clean = commands.add_parser("sweep", help="list and delete what interrupted runs have left")
    clean.add_argument(
        "--prefix", metavar="PREFIX", help="the prefix of a run (default: those recorded here)"
    )
    clean.add_argument("--yes", action="store_true", help="do not ask")
    for command in (run, clean):
        command.add_argument("--interval", type=float, default=2.0, help=argparse.SUPPRESS)
        command.add_argument("--records", type=Path, default=_RECORDS, help=argparse.SUPPRESS)
    return parser


def _dollars(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        msg = f"{text!r} is no amount of US dollars"
        raise argparse.ArgumentTypeError(msg)
    return amount


if __name__ == "__main__":
    sys.exit(main())
