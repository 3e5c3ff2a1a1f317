"""
The report as a pull request comment. It begins with a hidden marker, with which the next run finds and replaces it.

Names and messages come from the reviewed program and are untrusted input, so all markup in them is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from urllib import parse

from stacks_pulumi.cost.document import (
    CostResult,
    clean,
    columns,
    headline,
    kind,
    not_priced,
    remarks,
)
from stacks_pulumi.cost.report import Line, PolicyViolation
from stacks_pulumi.pricing.money import count

__all__ = ["LIMIT", "escape", "figure", "markdown", "marker"]

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

# The rows that are shown; fewer if they do not fit into a comment.
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


def markdown(result: CostResult, name: str = "default") -> str:
    """
    Return the report as a comment of at most `LIMIT` bytes: the largest rows of each part, and a count of the rest.

    Args:
        result: What to show.
        name: Distinguishes several comments on one pull request, for instance `project/stack`.
    """
    texts = (_comment(result, name, rows) for rows in _ROWS)
    return next((text for text in texts if len(text.encode()) <= LIMIT), _comment(result, name, 0))


def _comment(result: CostResult, name: str, rows: int) -> str:
    report = result.report
    lines = [marker(name), f"### {escape(headline(report))}", ""]
    shown = [f"{_SIGNS[weight]} {escape(text)}  " for weight, text in remarks(result)]
    # The reasons for a failure come first, notes last.
    lines += _first(shown, max(rows, 10))
    lines += [""] if shown else []
    preview, titles = report.compares, columns(report)
    changes = [line for line in report.lines if line.action != "same" or not preview]
    same = [line for line in report.lines if line.action == "same" and preview]
    if changes:
        lines += [*_table(changes, rows, titles=titles if preview else None), ""]
    if report.violations:
        found = [text for violation in report.violations[:rows] for text in _violation(violation)]
        lines += ["#### Policies", "", *found, *_rest(len(report.violations), rows), ""]
    if same:
        lines += _folded(f"{count(len(same), 'unchanged container')}", _table(same, rows))
    others = [f"- {escape(other)}" for other in not_priced(report)]
    if others:
        lines += _folded(
            f"{count(sum(other.count for other in report.not_priced), 'resource')} without a price",
            _first(others, rows),
        )
    lines.append("<sub>Prices of whole months in US dollars, before discount codes.</sub>")
    return "\n".join(lines) + "\n"


def _first(lines: list[str], rows: int) -> list[str]:
    return [*lines[:rows], *_rest(len(lines), rows)]


def _rest(number: int, rows: int) -> list[str]:
    return ["", f"and {number - rows} more"] if number > rows else []


def _size(line: Line) -> Decimal:
    """Return how much a line affects the bill: the larger bound of its difference, or its price if unchanged."""
    bounds = (
        (line.planned.high,)
        if line.action in {"same", "keep"}
        else (line.difference.low, line.difference.high)
    )
    return max(Decimal("Infinity") if bound is None else abs(bound) for bound in bounds)


def _largest(lines: list[Line], rows: int) -> Sequence[Line]:
    """Return the largest lines in their original order."""
    if len(lines) <= rows:
        return lines
    chosen = sorted(range(len(lines)), key=lambda number: _size(lines[number]), reverse=True)[:rows]
    return [lines[number] for number in sorted(chosen)]


def _table(lines: list[Line], most: int, titles: tuple[str, str] | None = None) -> list[str]:
    if titles is not None:
        rows = [
            f"| | Container | Kind | {titles[0]} | {titles[1]} | Difference |",
            "|---|---|---|---:|---:|---:|",
        ]
        for line in _largest(lines, most):
            cells = (
                _ACTIONS[line.action],
                f"**{escape(line.name)}**",
                escape(kind(line)),
                line.past,
                line.planned,
            )
            rows.append(f"| {' | '.join(map(figure, cells))} | **{figure(line.difference)}** |")
    else:
        rows = ["| Container | Kind | A month |", "|---|---|---:|"]
        rows += [
            f"| **{escape(line.name)}** | {escape(kind(line))} | {figure(line.planned)} |"
            for line in _largest(lines, most)
        ]
    return [*rows, *_rest(len(lines), most)]


def figure(value: object) -> str:
    """Return a price as text for a cell of a table."""
    # Two dollar signs in one line would begin and end a formula.
    return value if isinstance(value, str) else str(value).replace("$", "\\$")


def _violation(found: PolicyViolation) -> list[str]:
    sign = _SIGNS["error" if found.level == "mandatory" else "warning"]
    first, *rest = found.message.splitlines()[:_MESSAGE_LINES] or [""]
    where = f"**{escape(found.policy)}** on **{escape(found.resource)}** ({escape(found.level)})"
    return [f"- {sign} {where}: {escape(first)}", *(f"  {_beginning(line)}" for line in rest)]


def _folded(title: str, lines: list[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _beginning(text: str) -> str:
    """Escape a text that begins a line."""
    return _BEGINS.sub(lambda found: f"{found[0]}{_BREAK}", escape(text))


def escape(text: str) -> str:
    """Return the text on one line, without any markup, mention or link."""
    text = clean(" ".join(text.split()))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    plain = _LINKS.sub(lambda found: f"{found[0]}{_BREAK}", text)
    plain = _HASH.sub(lambda found: _BREAK.join(re.findall(".{1,6}", found[0])), plain)
    return _SPECIAL.sub(r"\\\1", plain)
