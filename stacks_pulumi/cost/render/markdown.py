"""
For a pull request: a comment that begins with a hidden marker, by which the next run finds and replaces it.

Names and messages come from the program under review, whose author may be a stranger, so nothing in them is markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from urllib import parse

from stacks_pulumi.cost.render.shared_text import (
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
"""The most characters that GitHub takes; GitLab takes more. Bytes are counted, which are never fewer."""

# More rows than anybody reads; fewer where these do not fit.
_ROWS: Final = (100, 50, 25, 10, 5, 2, 0)
_LONGEST: Final = 1000
_MESSAGE_LINES: Final = 20
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&])")
# GitHub makes links after it has taken the escapes away: of `@name`, mail@example.com, `#1`, octo/repo#1, `GH-1` and
# addresses; and pictures of `:tada:`. A character without width in each of them breaks it.
_LINKS: Final = re.compile(r"[@#](?=\w)|:(?=//|[a-z0-9_+-]+:)|/(?=/)|www(?=\.)|gh(?=-\d)", re.IGNORECASE)
# Of a commit's hash too, and of its beginning from seven digits on.
_HASH: Final = re.compile(r"(?<![0-9a-z])[0-9a-f]{7,40}(?![0-9a-z])", re.IGNORECASE)
# At the beginning of a line, what is no special character elsewhere: a list, a rule or a heading's underline.
_BEGINS: Final = re.compile(r"^([-=]|\d+(?=\.))")
_BREAK: Final = "\N{ZERO WIDTH SPACE}"


def marker(name: str) -> str:
    """The hidden line that tells this comment from others; one for each `name`."""
    # Reversible, so that no two names have one marker. Two hyphens could end the comment.
    safe = re.sub("(?<=-)-", "%2D", parse.quote(name))
    return f"<!-- stacks-pulumi cost: {safe} -->"


def markdown(result: CostResult, name: str = "default") -> str:
    """
    The report as a comment of at most `LIMIT` bytes: the largest rows of each part, and a count of the rest.

    Args:
        result: What to show.
        name: Tells several comments on one pull request apart, such as `project/stack`.
    """
    texts = (_comment(result, name, rows) for rows in _ROWS)
    return next((text for text in texts if len(text.encode()) <= LIMIT), _comment(result, name, 0))


def _comment(result: CostResult, name: str, rows: int) -> str:
    report = result.report
    lines = [marker(name), f"### {escape(headline(report))}", ""]
    shown = [f"{_SIGNS[weight]} {escape(text)}  " for weight, text in remarks(result)]
    # What comes first says why the gate is closed; notes come last.
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
    """How much a line moves the bill: the larger end of its difference, or its price where nothing changes."""
    bounds = (
        (line.planned.high,)
        if line.action in {"same", "keep"}
        else (line.difference.low, line.difference.high)
    )
    return max(Decimal("Infinity") if bound is None else abs(bound) for bound in bounds)


def _largest(lines: list[Line], rows: int) -> Sequence[Line]:
    """The largest lines, in the order that they had."""
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
    # A dollar sign begins mathematics where two of them stand in one line.
    return value if isinstance(value, str) else str(value).replace("$", "\\$")


def _violation(found: PolicyViolation) -> list[str]:
    sign = _SIGNS["error" if found.level == "mandatory" else "warning"]
    first, *rest = found.message.splitlines()[:_MESSAGE_LINES] or [""]
    where = f"**{escape(found.policy)}** on **{escape(found.resource)}** ({escape(found.level)})"
    return [f"- {sign} {where}: {escape(first)}", *(f"  {_beginning(line)}" for line in rest)]


def _folded(title: str, lines: list[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _beginning(text: str) -> str:
    """What begins a line of its own."""
    return _BEGINS.sub(lambda found: f"{found[0]}{_BREAK}", escape(text))


def escape(text: str) -> str:
    """Return the text on one line, with nothing in it that is markup, a mention or a link."""
    text = clean(" ".join(text.split()))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    plain = _LINKS.sub(lambda found: f"{found[0]}{_BREAK}", text)
    plain = _HASH.sub(lambda found: _BREAK.join(re.findall(".{1,6}", found[0])), plain)
    return _SPECIAL.sub(r"\\\1", plain)
