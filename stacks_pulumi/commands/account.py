"""`stacks-pulumi account`: compare the account with all stacks."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import shlex
from collections import Counter
from pathlib import Path
from typing import Final

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import did_you_mean
from stacks_pulumi._pulumi_cli import InputError, read_file
from stacks_pulumi.account import backend, budgets
from stacks_pulumi.account.budgets import BudgetFile
from stacks_pulumi.account.findings import SCAFFOLD, AccountResult, document_of
from stacks_pulumi.account.read import Belongings, belongings, read_twice
from stacks_pulumi.account.reconcile import Reconciliation, ThisAccount, reconcile, with_children
from stacks_pulumi.api import StacksClient
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.commands._shared import (
    KEY_OF_STACK,
    Command,
    LimitNotice,
    add_exports,
    chosen_words,
    enveloped,
    folder_of,
    incomplete_of,
    key_words,
    save_snapshot,
    settings_of,
    show,
    tell,
)
from stacks_pulumi.cost import live
from stacks_pulumi.cost.build import Pricer, changes_of, exists_already
from stacks_pulumi.cost.live import Snapshot
from stacks_pulumi.cost.result import add_limits, limits_of
from stacks_pulumi.pricing.money import count, some
from stacks_pulumi.pricing.price_list import PriceList

_HELP: Final = "show which stack owns each object of the account, and which objects have no owner"

_CODES: Final = {
    0: "everything was read, there is no --fail-on finding, and no --max limit or budget is exceeded",
    1: "a stack could not be read, so the report is incomplete",
    2: "there is a --fail-on finding, or a --max limit or a budget is exceeded",
}

_FINDINGS: Final = ("orphans", "double", "missing")
_NAMED: Final = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compare the account with every stack of the Pulumi backend, or with exports. Nothing is "
        "changed: for each finding, the report shows what to do."
    )
    add_exports(parser)
    parser.add_argument(
        "--project",
        metavar="NAME",
        help="read only the stacks of this project; the report then does not know the owners in other projects",
    )
    parser.add_argument(
        "--children",
        action="store_true",
        help="also read allowed addresses, connections, VPN clients and pinned backups: 1 to 3 calls per container",
    )
    parser.add_argument(
        "--fail-on",
        type=_findings,
        default=(),
        metavar="LIST",
        help=f"end with exit code 2 if one of these is found: {','.join(_FINDINGS)}",
    )
    parser.add_argument(
        "--deletions",
        action="store_true",
        help="also show the requests that delete objects without a stack; by default, show only how to adopt them",
    )
    parser.add_argument("--save", metavar="FILE", help="also save the JSON as a snapshot")
    parser.add_argument("--compare-to", metavar="FILE", help="show what changed since a snapshot")
    parser.add_argument(
        "--budgets", metavar="FILE", help="a YAML file with limits on the total cost of several stacks"
    )
    parser.add_argument(
        "--after",
        metavar="FILE",
        help="report the account as it would be after this preview (`pulumi preview --json --show-sames`)",
    )
    parser.add_argument("--live-prices", action="store_true", help="ask the API for prices")
    add_limits(parser)


def _findings(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    wrong = [word for word in words if word not in _FINDINGS]
    if wrong:
        hint = did_you_mean(wrong[0], _FINDINGS)
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is not one of {', '.join(_FINDINGS)}{hint}")
    return words


def run(options: argparse.Namespace) -> int:
    """Run the command; `--help` lists the exit codes."""
    result = _result(options)
    document = document_of(result)
    if options.save is not None:
        saved = enveloped(document.data, incomplete_of(document))
        save_snapshot("account", options.save, saved, result.account.gap, blocked=bool(result.over))
    show(document, options)
    if not result.account.complete:
        # The report contains this as well, but standard output may go to a pipe.
        tell("account", "not everything could be read, so the report is incomplete")
    return result.exit_code


def _result(options: argparse.Namespace) -> AccountResult:
    if options.project is not None and (options.state or "orphans" in options.fail_on):
        raise InputError(
            "--project reads only one project of the backend, and cannot be combined with --state or "
            "`--fail-on orphans`, because objects of other projects would look like orphans: remove --project, or the "
            "other option",
            code="invalid-argument",
        )
    file = BudgetFile() if options.budgets is None else budgets.read_budgets(Path(options.budgets))
    before = None if options.compare_to is None else live.read_snapshot(Path(options.compare_to))
    settings = settings_of(options)
    fingerprint = settings.fingerprint
    with StacksClient.of(settings, LimitNotice("account")) as client:
        prices = live.prices(client) if options.live_prices else None
        if options.state:
            stacks = backend.from_files([Path(file) for file in options.state])
        else:
            # Check the key first, because the exports of many stacks take a long time.
            live.listed(client)
            stacks = backend.from_backend(folder_of(options), options.project, options.timeout)
        containers = live.described(client, live.listed(client))
        has = belongings(client, containers) if options.children else None
        stacks = backend.caught_up(stacks)
        this = ThisAccount(containers, settings.base_url, fingerprint)
        taken_at = live.now()

        def compared(containers: Listing[Container]) -> Reconciliation:
            items = [(one, live.item_of(one, prices or catalog.monthly_price)) for one in containers]
            return reconcile(
                items,
                stacks,
                this,
                taken_at=taken_at,
                gap=live.gap_of(containers),
                live_prices=prices is not None,
            )

        account = compared(containers)
        absent = [*account.not_listed, *(() if before is None else (one.id for one in before.containers))]
        confirmed = live.confirmed(client, containers, absent)
        if confirmed.gap != containers.gap:
            account = compared(confirmed)
        if has is not None:
            alone = account

            def lacking(seen: dict[str, Belongings]) -> set[str]:
                return with_children(alone, seen, stacks, this).lacking

            has = read_twice(client, containers, has, lacking)
            account = with_children(alone, has, stacks, this)
        notes: tuple[str, ...] = ()
        if prices is not None:
            notes = prices.notes(client.platform.advice)
            gaps = filter(None, (*account.gaps, prices.incomplete))
            account = dataclasses.replace(account, gaps=tuple(gaps))
    beside = (
        f"compared only with {account.source}: an object that is in none of these stacks may belong to a different "
        "backend, or may have been created by hand"
    )
    account = dataclasses.replace(
        account,
        notes=(*account.notes, *notes, beside),
        key_words=key_words(options, settings),
    )
    return _judged(options, account, file, before, prices)


def _judged(
    options: argparse.Namespace,
    account: Reconciliation,
    file: BudgetFile,
    before: Snapshot | None,
    prices: PriceList | None,
) -> AccountResult:
    """Return the account with its verdicts; with a preview, the verdicts apply to the account after the change."""
    own = limits_of(options)
    limits = [*([budgets.Budget("the account", own)] if own else []), *file.budgets]
    planned, preview = account, None
    if options.after is not None:
        preview, changes = changes_of(
            read_file(Path(options.after)), Pricer(prices or catalog.monthly_price, is_adopted=exists_already)
        )
        planned = budgets.after(account, changes)
    # Without a snapshot, only the change counts as an increase.
    since = account.snapshot if before is None and options.after is not None else before
    report = None if since is None else live.compare(since, planned.snapshot)
    if report is not None and before is None:
        report = dataclasses.replace(report, notes=(f"the change of {options.after}", *report.notes[1:]))
    in_folder = functools.partial(backend.tagged, folder=folder_of(options), seconds=options.timeout)
    tagged = functools.cache(_no_tags if options.state else in_folder)
    words = [*chosen_words(options), *(word for file in options.state for word in ("--state", file))]
    return AccountResult(
        account,
        report,
        budgets.judged(planned, limits, since, tagged),
        tuple(_failed(account, options.fail_on)),
        options.children,
        budgets.uncovered(planned, file.budgets, tagged) if file.budgets else (),
        file.covers_all,
        None if preview is None else planned,
        preview,
        f"{SCAFFOLD} {shlex.join(words)}".rstrip(),
        options.deletions,
    )


def _no_tags(name: str, value: str) -> frozenset[str]:
    raise InputError(
        f"an export does not have the stack's tags, so a budget cannot select stacks by {name}={value}: remove "
        "--state, or select by stack or project",
        code="invalid-argument",
    )


def _failed(account: Reconciliation, fail_on: tuple[str, ...]) -> list[str]:
    counts = Counter(one.ownership for one in account.containers)
    counts.update(child.ownership for child in account.children())
    findings = (
        ("orphans", counts["orphan"], "object", "in no stack"),
        ("orphans", counts["interrupted"], "object", "that an interrupted create may have created"),
        ("double", counts["double"], "object", "managed more than once"),
        ("missing", len(account.missing), "resource", "that the account does not have"),
    )
    found = [
        f"{count(number, noun)} {text} (--fail-on {word})"
        for word, number, noun, text in findings
        if number and word in fail_on
    ]
    # Not for an incomplete report: it lists the parts that were not read, and its exit code is 1 in any case.
    names = [one.name for one in account.containers if one.ownership == "unknown"]
    names += [f"{it.kind} {it.description}" for it in account.children() if it.ownership == "unknown"]
    if fail_on and names and account.complete and account.project is None:
        which = f"{count(len(names), 'object')} with an unknown owner: {some(names, _NAMED)}"
        found.append(f"{which} (--fail-on {','.join(fail_on)})")
    if fail_on and account.unplaced:
        found.append(
            f"{count(len(account.unplaced), 'stack')} with resources that may be in this account or in a different "
            f"one: {', '.join(sorted(account.unplaced))} (--fail-on {','.join(fail_on)})"
        )
    return found


COMMANDS = {
    "account": Command(
        _HELP, add_arguments, run, codes=_CODES, forms=("table", "json", "markdown"), stack=KEY_OF_STACK
    )
}
