"""
How does a report look on a page, and as the comment of a pull request?

A comment begins with a hidden marker, with which the next run finds and replaces it, and has a largest size. Names and
messages come from the reviewed program and are untrusted input, so all markup in them is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib import parse

from stacks_pulumi.reports.content import Column, Document, Folded, PolicyViolation, Row, clean

__all__ = ["LIMIT", "comment", "markdown", "marker"]

_SIGNS: Final = {"error": "❌", "warning": "⚠️", "note": "ℹ️"}  # noqa: RUF001  (the information sign is meant)
_ACTIONS: Final = {
    "create": "new",
    "delete": "removed",
    "update": "changed",
    "replace": "replaced",
    "keep": "kept",
    "same": "unchanged",
}
LIMIT: Final = 65_536
"""The highest number of characters that GitHub accepts; GitLab accepts more. Bytes are counted, to be safe."""

# The rows of a comment; fewer if they do not fit.
_ROWS: Final = (100, 50, 25, 10, 5, 2, 0)
_LONGEST: Final = 1000
_MESSAGE_LINES: Final = 20
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&])")
# GitHub creates links after it removes the escapes: from `@name`, mail@example.com, `#1`, octo/repo#1, `GH-1` and
# URLs. It also turns `:tada:` into a picture. A zero-width character inside them prevents that.
_LINKS: Final = re.compile(r"[@#](?=\w)|:(?=//|[a-z0-9_+-]+:)|/(?=/)|www(?=\.)|gh(?=-\d)", re.IGNORECASE)
# It also links hashes of commits, full or shortened to seven digits or more.
_HASH: Final = re.compile(r"(?<![0-9a-z])[0-9a-f]{7,40}(?![0-9a-z])", re.IGNORECASE)
# Characters that are special only at the beginning of a line: a list, a rule or the underline of a heading.
_BEGINS: Final = re.compile(r"^([-=]|\d+(?=\.))")
_BREAK: Final = "\N{ZERO WIDTH SPACE}"


def marker(name: str) -> str:
    """Return the hidden line that identifies the comment for this `name`."""
    # The encoding is reversible, so that two names never have the same marker. Two hyphens could end the comment.
    safe = re.sub("(?<=-)-", "%2D", parse.quote(name))
    return f"<!-- stacks-pulumi cost: {safe} -->"


def comment(document: Document, name: str = "default") -> str:
    """
    Return the report as a comment of at most `LIMIT` bytes: the largest rows of each part, and a count of the rest.

    Args:
        document: The report.
        name: Distinguishes several comments on one pull request, for instance `project/stack`.
    """
    text = ""
    for rows in _ROWS:
        text = f"{marker(name)}\n{markdown(document, rows)}"
        if len(text.encode()) <= LIMIT:
            break
    return text


def markdown(document: Document, most: int | None = None) -> str:
    """
    Return the report as Markdown.

    Args:
        document: The report.
        most: How many rows of each part are shown; `None` for all.
    """
    lines = [f"### {escape(document.headline)}", ""]
    remarks = [f"{_SIGNS[weight]} {escape(text)}  " for weight, text in document.remarks]
    # The reasons for a failure come first, notes last.
    lines += _first(remarks, None if most is None else max(most, 10))
    lines += [""] if remarks else []
    for table in document.tables:
        rows = [row for row in table.rows if row.action != "same"] if table.unchanged else table.rows
        if table.title:
            lines += [f"#### {escape(table.title)}", ""]
        if rows:
            lines += _table(table.columns, rows, most)
        if table.title or rows:
            lines.append("")
    if document.violations:
        shown = [line for violation in document.violations[:most] for line in _violation(violation)]
        lines += ["#### Policies", "", *shown, *_rest(len(document.violations), most), ""]
    for folded in (*(table.unchanged for table in document.tables), document.others):
        if folded is not None:
            lines += _folded(folded, most)
    for advice in document.advice:
        lines += [f"{escape(advice.text)}:", ""]
        for command, findings in advice.commands.items():
            lines += [*(f"- {escape(finding)}" for finding in findings), "", *_fenced(command), ""]
    lines += [f"<sub>{document.footer}</sub>"] if document.footer else []
    return "\n".join(lines) + "\n"


def _first(lines: list[str], most: int | None) -> list[str]:
    return [*lines[:most], *_rest(len(lines), most)]


def _rest(number: int, most: int | None) -> list[str]:
    return ["", f"and {number - most} more"] if most is not None and number > most else []


def _table(columns: Sequence[Column], rows: Sequence[Row], most: int | None) -> list[str]:
    # A table without a change needs no column of actions.
    shown = [
        number
        for number, column in enumerate(columns)
        if column.form != "action" or any(row.cells[number] != "same" for row in rows)
    ]
    titles = " | ".join(columns[number].title for number in shown).strip()
    rules = "|".join("---:" if columns[number].form == "figure" else "---" for number in shown)
    lines = [f"| {titles} |", f"|{rules}|"]
    for row in _largest(rows, most):
        cells = " | ".join(_cell(columns[number], row.cells[number]) for number in shown)
        lines.append(f"| {cells} |")
    return [*lines, *_rest(len(rows), most)]


def _cell(column: Column, text: str) -> str:
    if column.form == "action":
        return _ACTIONS[text]
    # Two dollar signs in one line would begin and end a formula.
    shown = text.replace("$", "\\$") if column.form == "figure" else escape(text)
    return f"**{shown}**" if column.strong else shown


def _largest(rows: Sequence[Row], most: int | None) -> Sequence[Row]:
    """Return the largest rows in their original order."""
    if most is None or len(rows) <= most:
        return rows
    chosen = sorted(range(len(rows)), key=lambda number: rows[number].size, reverse=True)[:most]
    return [rows[number] for number in sorted(chosen)]


def _violation(violation: PolicyViolation) -> list[str]:
    first, *rest = violation.message.splitlines()[:_MESSAGE_LINES] or [""]
    where = f"**{escape(violation.policy)}** on **{escape(violation.resource)}** ({escape(violation.level)})"
    return [
        f"- {_SIGNS[violation.weight]} {where}: {escape(first)}",
        *(f"  {_beginning(line)}" for line in rest),
    ]


def _folded(folded: Folded, most: int | None) -> list[str]:
    if folded.table is not None:
        lines = _table(folded.table.columns, folded.table.rows, most)
    else:
        lines = _first([f"- {escape(item)}" for item in folded.items], most)
    return [f"<details><summary>{folded.title}</summary>", "", *lines, "", "</details>", ""]


def _fenced(command: str) -> list[str]:
    text = clean(command)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"  {fence}sh", f"  {text}", f"  {fence}"]


def _beginning(text: str) -> str:
    """Escape a text that begins a line."""
    return _BEGINS.sub(lambda match: f"{match[0]}{_BREAK}", escape(text))


def escape(text: str) -> str:
    """Return the text on one line, without any markup, mention or link."""
    text = clean(" ".join(text.split()))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    plain = _LINKS.sub(lambda match: f"{match[0]}{_BREAK}", text)
    plain = _HASH.sub(lambda match: _BREAK.join(re.findall(".{1,6}", match[0])), plain)
    return _SPECIAL.sub(r"\\\1", plain)
