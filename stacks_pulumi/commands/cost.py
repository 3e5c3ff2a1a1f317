"""`stacks-pulumi cost`: price a preview, a stack or the account, and compare the price with limits."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import sys
from pathlib import Path
from typing import Final

from stacks_pulumi import catalog
from stacks_pulumi._pulumi_cli import InputError, read_file
from stacks_pulumi.api import StacksClient
from stacks_pulumi.commands._shared import (
    KEY_OF_STACK,
    Command,
    LimitNotice,
    answer,
    save_snapshot,
    settings_of,
    show,
)
from stacks_pulumi.cost import live
from stacks_pulumi.cost.build import Pricer, exists_already, report_of
from stacks_pulumi.cost.live import Snapshot
from stacks_pulumi.cost.report import Report, read_prices, rest_of_month
from stacks_pulumi.cost.result import CostLimit, CostResult, add_limits, document_of, judge, limits_of
from stacks_pulumi.pricing.money import MonthlyPrice

_HELP: Final = "show what a change will cost, and what a stack or the account costs now"

_CODES: Final = {
    0: "within all limits",
    1: "incomplete figures (no --show-sames, or a failed preview)",
    2: "blocked: a --max limit is exceeded, there is a --fail-on finding, or the preview violates a mandatory policy",
    3: "a price is not exact (--strict)",
}

_PLATFORMS: Final = ("github", "gitlab")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Price a preview, a stack or the account, and compare it with limits."
    parser.add_argument(
        "input",
        nargs="*",
        metavar="FILE",
        help="the output of `pulumi preview --json --show-sames` (also with PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true) "
        f"or `pulumi stack export`; - is standard input (default). `comment {'|'.join(_PLATFORMS)} FILE` posts the "
        "output of --format markdown on the CI run's pull request, or replaces the comment of the previous run",
    )
    parser.add_argument("--account", action="store_true", help="price the live account instead of a file")
    parser.add_argument(
        "--save", metavar="FILE", help="with --account: also save a snapshot, which `account` reads too"
    )
    parser.add_argument(
        "--state",
        metavar="FILE",
        help="with a preview: the output of `pulumi stack export` before it",
    )
    parser.add_argument(
        "--prices",
        metavar="FILE",
        help="a YAML file with prices for resources of other providers; a resource without a price has no upper bound",
    )
    parser.add_argument(
        "--compare-to", metavar="FILE", help="with --account: show what changed since this snapshot"
    )
    parser.add_argument("--live-prices", action="store_true", help="ask the API for prices")
    parser.add_argument(
        "--name",
        default="default",
        help="the name that distinguishes several Markdown comments (project/stack)",
    )
    parser.add_argument("--rest-of-month", action="store_true", help="also estimate the rest of this month")
    add_limits(parser)
    parser.add_argument(
        "--fail-on",
        choices=("kept",),
        action="append",
        default=[],
        help="kept: block if a container leaves the stack but stays billed; later totals do not contain it",
    )
    parser.add_argument("--strict", action="store_true", help="fail if a price is not exact")


def run(options: argparse.Namespace) -> int:
    """Run the command; `--help` lists the exit codes."""
    limits = limits_of(options)
    if options.input[:1] == ["comment"]:
        return _comment(options)
    if len(options.input) > 1:
        raise InputError("more than one file is given: pass only one", code="invalid-argument")
    options.input = options.input[0] if options.input else "-"
    report, snapshot = _report(options)
    _check_increase_limits(limits, report)
    now = datetime.datetime.now(datetime.timezone.utc)
    rest = rest_of_month(now) if options.rest_of_month else None
    if options.fail_on and report.source != "preview":
        raise InputError("--fail-on kept works only with a preview: remove it", code="invalid-argument")
    result = CostResult(report, judge(report, limits), rest, options.strict, tuple(options.fail_on))
    if snapshot is not None:
        blocked = any(verdict.blocks for verdict in result.verdicts)
        save_snapshot("cost", options.save, snapshot.describe(), snapshot.gap, blocked=blocked)
    show(document_of(result), options, frames=True)
    return result.exit_code


def _comment(options: argparse.Namespace) -> int:
    words = options.input[1:]
    if not 1 <= len(words) <= 2 or words[0] not in _PLATFORMS:
        msg = f"`comment` needs a platform and a file: stacks-pulumi cost comment {'|'.join(_PLATFORMS)} FILE"
        raise InputError(msg, code="invalid-argument")
    from stacks_pulumi.cost.comment import post  # noqa: PLC0415  (pricing a file needs no HTTP)

    try:
        text = _read(words[1] if len(words) == 2 else "-").decode()
    except UnicodeDecodeError as error:
        raise InputError(f"the comment is not UTF-8 ({error})") from None
    done = post(words[0], text)
    answer(options, {"result": done}, [done])
    return 0


def _check_increase_limits(limits: tuple[CostLimit, ...], report: Report) -> None:
    """
    Reject a limit on an increase if the input describes no change, because such an input is within every limit of this
    kind.
    """
    limit = next((limit for limit in limits if limit.measure != "total"), None)
    if limit is not None and not report.compares:
        raise InputError(
            f"--{'max' if limit.block else 'warn'}-{limit.measure} limits the increase, but this input describes no "
            "change: pass the output of `pulumi preview --json --show-sames`, use --compare-to, or limit the total",
            code="invalid-argument",
        )


def _report(options: argparse.Namespace) -> tuple[Report, Snapshot | None]:
    """Return the report, and the snapshot to save."""
    if not options.account and (options.save or options.compare_to):
        raise InputError(
            "--save and --compare-to work only with --account: add --account, or remove both options",
            code="invalid-argument",
        )
    for name in ("state", "prices"):
        if options.account and getattr(options, name):
            raise InputError(
                f"--{name} works only with a file: remove --{name} or --account", code="invalid-argument"
            )
    state = None if options.state is None else read_file(Path(options.state))
    others = None if options.prices is None else read_prices(Path(options.prices))
    if not (options.account or options.live_prices):
        return report_of(_read(options.input), Pricer(others=others, is_adopted=exists_already), state), None
    if options.account and options.input != "-":
        msg = "--account and a file cannot be combined: remove one of them"
        raise InputError(msg, code="invalid-argument")

    settings = settings_of(options)
    with StacksClient.of(settings, LimitNotice("cost")) as client:
        listed = live.prices(client) if options.live_prices else None
        monthly: MonthlyPrice = catalog.monthly_price if listed is None else listed
        report, snapshot = (
            _account(client, monthly, settings.base_url, options)
            if options.account
            else (report_of(_read(options.input), Pricer(monthly, others, exists_already), state), None)
        )
    if listed is None:
        return report, snapshot
    reasons = filter(None, (report.incomplete, listed.incomplete))
    report = dataclasses.replace(
        report,
        notes=(*report.notes, *listed.notes(client.platform.advice)),
        incomplete="; ".join(reasons),
        borrowed=tuple(listed.borrowed),
    )
    return report, snapshot


def _account(
    client: StacksClient, monthly: MonthlyPrice, base_url: str, options: argparse.Namespace
) -> tuple[Report, Snapshot | None]:
    before = None if options.compare_to is None else live.read_snapshot(Path(options.compare_to))
    containers = live.described(client, live.listed(client))
    if before is not None:
        containers = live.confirmed(client, containers, (entry.id for entry in before.containers))
    now = live.snapshot_of(containers, monthly, base_url)
    report = live.report_on(now) if before is None else live.compare(before, now)
    return report, now if options.save is not None else None


def _read(name: str) -> bytes:
    if name != "-":
        return read_file(Path(name))
    if sys.stdin.isatty():
        sys.stderr.write(
            "reading from standard input; `stacks-pulumi cost --help` lists the possible inputs\n"
        )
    return sys.stdin.buffer.read()


COMMANDS = {
    "cost": Command(
        _HELP,
        add_arguments,
        run,
        codes=_CODES,
        forms=("table", "json", "markdown", "junit"),
        stack=KEY_OF_STACK,
    )
}
