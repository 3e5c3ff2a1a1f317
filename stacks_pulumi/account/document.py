"""
The account as JSON, which is also a snapshot: `--save` writes it, and `--compare-to` reads it.

The command for each finding, which the user may run. This program does not run it.

Renders the account as a table and as Markdown.

Names come from the account and from states and are untrusted input, so escape codes and markup in them are escaped.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from stacks_pulumi.account.budgets import Budget
from stacks_pulumi.account.reconcile import ChildRecord, FoundContainer, Missing, Reconciliation, StackTotal
from stacks_pulumi.account.states import Managed
from stacks_pulumi.cost.document import MARKS, clean, kind
from stacks_pulumi.cost.report import LimitVerdict, Line, Report
from stacks_pulumi.cost.snapshot import Entry, header, priced
from stacks_pulumi.pricing.money import count, total
from stacks_pulumi.reports.markdown import escape

__all__ = ["Remedy", "View", "document", "entries", "markdown", "remedies", "remedy_for", "table"]

_DELETES: Final = (
    "To delete a container permanently, with its volumes and backups (`stacks-pulumi scaffold` writes a program that "
    "takes it over instead)"
)
_REMOVES: Final = "To remove what belongs to a container"


@dataclass(frozen=True)
class Remedy:
    """
    The advice for a finding.

    Attributes:
        title: The finding, with its containers or resources.
        advice: What the command does, and what to check before.
        command: The command, for a POSIX shell.
    """

    title: str
    advice: str
    command: str


def remedies(account: Reconciliation) -> Iterator[Remedy]:
    """Return the remedy of each finding: orphans first."""
    for one in account.found:
        yield from remedy_for(account, one)
        for child in one.children:
            name = f"{child.kind} {child.description} of {one.name}"
            yield from _remedy(account, name, child, child.removal, _REMOVES)
    for missing in account.missing:
        yield _missing(account, missing)


def remedy_for(account: Reconciliation, one: FoundContainer) -> Iterator[Remedy]:
    """Return the remedy for a container, if it has a finding."""
    yield from _remedy(account, one.name, one, ("DELETE", "containers", one.container.id), _DELETES)


def _remedy(
    account: Reconciliation,
    name: str,
    one: FoundContainer | ChildRecord,
    removal: tuple[str, ...],
    removes: str,
) -> Iterator[Remedy]:
    if one.ownership == "interrupted":
        stack = one.creating[0].stack
        yield Remedy(
            f"{name} is in no stack, and {stack} was creating one like it when it was interrupted (or is creating it "
            "now)",
            'To continue (write adopt="if_matching" on the resource first, so that it takes this one over)'
            + _where(account, stack),
            f"pulumi up --stack {_ref(account, stack)}",
        )
    elif one.ownership == "orphan" and one.recreated:
        stack = one.recreated[0].stack
        yield Remedy(
            f"{name} has the id of one in {stack}, but its container has another creation time",
            "To see whether the container was resized or restored, or is another one (delete nothing before)"
            + _where(account, stack),
            f"pulumi refresh --stack {_ref(account, stack)}",
        )
    elif one.ownership == "orphan":
        yield Remedy(f"{name} is in no stack", removes, _request(account, removal))
    elif one.ownership == "double":
        last = one.owners[-1]
        owners = ", ".join(f"{owner.name!r} of {owner.stack}" for owner in one.owners)
        yield Remedy(
            f"{name} is managed by {len(one.owners)} resources: {owners}",
            f"To make {last.stack} forget it (choose the resource that should not own it)"
            + _where(account, last.stack),
            f"pulumi state delete {shlex.quote(last.urn)} --stack {_ref(account, last.stack)}",
        )


def _missing(account: Reconciliation, missing: Missing) -> Remedy:
    resource = missing.resource
    return Remedy(
        f"{resource.stack} has {resource.kind} {resource.name!r} ({resource.id}), and {missing.reason}",
        f"To update the state of the stack{_where(account, resource.stack)}",
        f"pulumi refresh --stack {_ref(account, resource.stack)}",
    )


def _request(account: Reconciliation, removal: tuple[str, ...]) -> str:
    method, *segments = removal
    url = "/".join([account.base_url, *(quote(segment, safe="") for segment in segments)])
    return f'curl -fsS -X {method} -H "Authorization: Bearer $STACKS_API_KEY" {shlex.quote(url)}'


def _where(account: Reconciliation, stack: str) -> str:
    """Return where to run `pulumi` for a stack: it needs the project, and an export does not name the organization."""
    project = next((one.project for one in account.stacks if one.name == stack), "")
    return f", in the folder of the project {project}" if project else ""


def _ref(account: Reconciliation, stack: str) -> str:
    return shlex.quote(next((one.ref for one in account.stacks if one.name == stack), stack))


def entries(account: Reconciliation) -> tuple[Entry, ...]:
    """Return the containers in the form of a snapshot."""
    return tuple(
        Entry(one.container.id, one.name, one.container.created_at, one.item, one.stacks)
        for one in account.found
    )


def document(
    account: Reconciliation,
    *,
    report: Report | None = None,
    verdicts: Sequence[tuple[Budget, LimitVerdict]] = (),
    failed: Sequence[str] = (),
    children: bool = False,
) -> dict[str, Any]:
    """
    Return the document; `docs/account.md` describes its fields.

    Args:
        account: The account.
        report: What changed since a snapshot, if it was compared with one.
        verdicts: The verdicts of the limits.
        failed: The findings of --fail-on that exist.
        children: Whether the child objects of the containers were read.
    """
    return {
        **header(account.taken_at, account.base_url),
        "complete": account.complete,
        "containers": [
            _container(account, one, entry, children=children)
            for one, entry in zip(account.found, entries(account), strict=True)
        ],
        "missing": [_missing_row(missing) for missing in account.missing],
        "totals": {
            "account": {"containers": len(account.found), **priced(account.price)},
            "stacks": {stack.name: _stack(stack) for stack in account.stacks},
            "none": {
                "containers": len(account.without_stack),
                **priced(total(one.item.price for one in account.without_stack)),
            },
            "counted_twice": priced(account.counted_twice),
        },
        "unread": [{"stack": unread.stack, "error": unread.error} for unread in account.unread],
        "gaps": list(account.gaps),
        "other_accounts": [{"stack": stack, "reason": reason} for stack, reason in account.elsewhere.items()],
        "changes": None
        if report is None
        else [_change(line) for line in report.lines if line.action != "same"],
        "limits": [
            {
                "budget": budget.name,
                "measure": verdict.limit.measure,
                "most": f"{verdict.limit.most:.2f}",
                "action": "block" if verdict.limit.block else "warn",
                "passed": verdict.passed,
                "text": verdict.text,
            }
            for budget, verdict in verdicts
        ],
        "failed": list(failed),
        "notes": list(account.notes),
    }


def _container(
    account: Reconciliation, one: FoundContainer, entry: Entry, *, children: bool
) -> dict[str, Any]:
    remedy = next(iter(remedy_for(account, one)), None)
    result = {
        **entry.describe(),
        "template": one.container.template,
        "plan": one.container.plan,
        "status": one.container.status,
        "ownership": one.ownership,
        "owners": [_owner_row(owner) for owner in one.owners],
        **_unclear(one),
        "command": None if remedy is None else remedy.command,
        "notes": list(one.notes),
    }
    if children:
        result["children"] = [_child(child) for child in one.children]
    return result


def _owner_row(owner: Managed) -> dict[str, Any]:
    return {
        "stack": owner.stack,
        "urn": owner.urn,
        "protect": owner.protect,
        "retain_on_delete": owner.retain,
        "left_over": owner.left_over,
    }


def _child(child: ChildRecord) -> dict[str, Any]:
    return {
        "kind": child.kind,
        "id": child.id,
        "description": child.description,
        "ownership": child.ownership,
        "stacks": list(dict.fromkeys(owner.stack for owner in child.owners)),
        "owners": [_owner_row(owner) for owner in child.owners],
        **_unclear(child),
    }


def _unclear(one: FoundContainer | ChildRecord) -> dict[str, Any]:
    """Return the possible owners of an object that is in no state."""
    return {
        "interrupted": [{"stack": operation.stack, "urn": operation.urn} for operation in one.creating],
        "recreated": [_owner_row(owner) for owner in one.recreated],
    }


def _missing_row(missing: Missing) -> dict[str, Any]:
    resource = missing.resource
    return {
        "id": resource.id,
        "kind": resource.kind,
        "name": resource.name,
        "stack": resource.stack,
        "urn": resource.urn,
        "reason": missing.reason,
    }


def _stack(stack: StackTotal) -> dict[str, Any]:
    return {"project": stack.project, "containers": stack.containers, **priced(stack.price)}


def _change(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "id": line.id,
        "action": line.action,
        "before": None if line.before is None else {"kind": line.before.kind, **priced(line.before.price)},
        "after": None if line.after is None else {"kind": line.after.kind, **priced(line.after.price)},
    }


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
