"""
Renders the account as a table and as Markdown.

Names come from the account and from states and are untrusted input, so escape codes and markup in them are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from stacks_pulumi.account.budgets import Budget
from stacks_pulumi.account.reconcile import ChildRecord, FoundContainer, Reconciliation
from stacks_pulumi.account.remedies import remedies
from stacks_pulumi.cost.render.markdown import escape
from stacks_pulumi.cost.render.shared_text import MARKS, clean, kind
from stacks_pulumi.cost.report import LimitVerdict, Report
from stacks_pulumi.pricing.money import count, total

__all__ = ["View", "markdown", "table"]

_SIGNS: Final = {"error": "❌", "warning": "⚠️", "note": "ℹ️"}  # noqa: RUF001  (the information sign is meant)
_WIDEST: Final = 60
_OWNED_BY_NONE: Final = {
    "orphan": "none",
    "interrupted": "none (interrupted create)",
    "unknown": "not known",
    "automatic": "none (made by the platform)",
}


@dataclass(frozen=True)
class View:
    """
    Everything that is shown.

    Attributes:
        account: The account.
        report: What changed since a snapshot, if it was compared with one.
        verdicts: The verdicts of the limits.
        failed: The findings of --fail-on that exist.
    """

    account: Reconciliation
    report: Report | None = None
    verdicts: Sequence[tuple[Budget, LimitVerdict]] = ()
    failed: Sequence[str] = ()


def table(view: View) -> str:
    """Return the account as columns of text."""
    account = view.account
    lines = [_headline(account), ""]
    if account.found:
        rows = [[*map(_short, row[:2]), *row[2:]] for one in account.found for row in _rows(one)]
        lines += [*_columns(["Container", "Kind", "Stack", "A month", "Note"], rows, right=3), ""]
    lines += [*_columns(["Total", "Containers", "A month"], _totals(account), right=2), ""]
    if view.report is not None:
        changes = [
            [MARKS[line.action], line.name, kind(line), str(line.difference)]
            for line in view.report.lines
            if line.action != "same"
        ]
        lines += [f"{view.report.notes[0]}: {view.report.difference}", ""]
        lines += [
            *(_columns(["", "Container", "Kind", "Difference"], changes, right=3) if changes else []),
            "",
        ]
    lines += [f"{weight}: {clean(text)}" for weight, text in _remarks(view)]
    for advice, commands in _by_advice(account):
        lines += ["", f"{clean(advice)}:"]
        for command, titles in commands.items():
            lines += [*(f"  {clean(title)}" for title in titles), f"      {clean(command)}"]
    return "\n".join(lines).rstrip() + "\n"


def markdown(view: View) -> str:
    """Return the account as Markdown."""
    account = view.account
    lines = [f"### {escape(_headline(account))}", ""]
    lines += [f"{_SIGNS[weight]} {escape(text)}  " for weight, text in _remarks(view)]
    lines.append("")
    if account.found:
        rows = [row for one in account.found for row in _rows(one)]
        lines += [*_table(["Container", "Kind", "Stack", "A month", "Note"], rows, right=3), ""]
    lines += [*_table(["Total", "Containers", "A month"], _totals(account), right=2), ""]
    if view.report is not None:
        changes = [
            [MARKS[line.action], line.name, kind(line), str(line.difference)]
            for line in view.report.lines
            if line.action != "same"
        ]
        lines += [f"#### {escape(f'{view.report.notes[0]}: {view.report.difference}')}", ""]
        lines += [*(_table(["", "Container", "Kind", "Difference"], changes, right=3) if changes else []), ""]
    for advice, commands in _by_advice(account):
        lines += [f"{escape(advice)}:", ""]
        for command, titles in commands.items():
            lines += [*(f"- {escape(title)}" for title in titles), "", *_fenced(command), ""]
    lines.append("<sub>Prices of whole months in US dollars, before discount codes.</sub>")
    return "\n".join(lines) + "\n"


def _by_advice(account: Reconciliation) -> list[tuple[str, dict[str, list[str]]]]:
    """Group the findings: each advice once, with its commands and the findings of each command."""
    found: dict[str, dict[str, list[str]]] = {}
    for remedy in remedies(account):
        found.setdefault(remedy.advice, {}).setdefault(remedy.command, []).append(remedy.title)
    return list(found.items())


def _headline(account: Reconciliation) -> str:
    of = f"{count(len(account.found), 'container')}, {count(len(account.stacks), 'stack')}"
    return f"The account costs {account.price} a month: {of}."


def _rows(one: FoundContainer) -> Iterable[list[str]]:
    yield [one.name, one.item.kind, _owner(one), str(one.item.price), _note(one)]
    for child in one.children:
        yield [f"  {child.kind}", child.description, _owner(child), "", ""]


def _owner(one: FoundContainer | ChildRecord) -> str:
    names = ", ".join(dict.fromkeys(owner.stack for owner in one.owners))
    return names or _OWNED_BY_NONE[one.ownership]


def _note(one: FoundContainer) -> str:
    words = []
    if one.ownership == "double":
        words.append(f"managed by {len(one.owners)} resources")
    words += [f"interrupted create of {operation.stack}" for operation in one.creating]
    words += [f"other creation time in {resource.stack}" for resource in one.recreated]
    if any(owner.left_over for owner in one.owners):
        words.append("left over from a replacement")
    if any(owner.protect for owner in one.owners):
        words.append("protected")
    if any(owner.retain for owner in one.owners):
        words.append("retained on delete")
    return ", ".join([*words, *one.notes])


def _totals(account: Reconciliation) -> list[list[str]]:
    none = account.without_stack
    rows = [[stack.name, str(stack.containers), str(stack.price)] for stack in account.stacks]
    rows.append(["no stack", str(len(none)), str(total(one.item.price for one in none))])
    twice = account.counted_twice
    if twice.high != 0:
        rows.append(["counted in more than one stack", "", f"-{twice}"])
    rows.append(["account", str(len(account.found)), str(account.price)])
    return rows


def _remarks(view: View) -> Iterable[tuple[str, str]]:
    """Return the remarks for the reader, each with its weight."""
    account = view.account
    for unread in account.unread:
        yield "error", f"{unread.stack} was not read: {unread.error}"
    if account.unread:
        yield "error", "no container is called an orphan, because a stack that was not read may own it"
    for gap in account.gaps:
        yield "error", gap
    for finding in view.failed:
        yield "error", finding
    for budget, verdict in view.verdicts:
        weight = "note" if verdict.passed else "error" if verdict.limit.block else "warning"
        yield weight, f"{budget.name}: {verdict.text}"
    for stack, reason in account.elsewhere.items():
        yield "note", f"resources of {stack} are in another account and left out: {reason}"
    for note in account.notes:
        yield "note", note


def _columns(head: list[str], rows: list[list[str]], *, right: int) -> list[str]:
    cells = [[clean(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    ruled = [cells[0], ["-" * width for width in widths], *cells[1:]]
    return [
        "  ".join(
            cell.rjust(width) if column == right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in ruled
    ]


def _short(text: str) -> str:
    """Shorten a long text, so that it does not make every row as wide. `--json` has the full text."""
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _table(head: list[str], rows: list[list[str]], *, right: int) -> list[str]:
    rule = ["---:" if column == right else "---" for column in range(len(head))]
    body = [
        [_price(cell) if column == right else escape(cell) for column, cell in enumerate(row)] for row in rows
    ]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *body)]


def _price(text: str) -> str:
    # Two dollar signs in one line would begin and end a formula.
    return text.replace("$", "\\$")


def _fenced(command: str) -> list[str]:
    text = clean(command)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"  {fence}sh", f"  {text}", f"  {fence}"]
