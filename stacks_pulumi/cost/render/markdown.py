"""
For a pull request: a comment that begins with a hidden marker, by which the next run finds and replaces it.

Names and messages come from the program under review, whose author may be a stranger, so nothing in them is markup.
"""

from __future__ import annotations

import re
from typing import Final

from stacks_pulumi.cost.render.words import Result, headline, kind, not_priced, remarks
from stacks_pulumi.cost.report import Line, Violation
from stacks_pulumi.pricing.money import count

__all__ = ["markdown", "marker"]

_SIGNS: Final = {"error": "❌", "warning": "⚠️", "note": "ℹ️"}  # noqa: RUF001  (the information sign is meant)
_ACTIONS: Final = {
    "create": "new",
    "delete": "removed",
    "update": "changed",
    "replace": "replaced",
    "keep": "kept",
    "same": "unchanged",
}
# A comment may hold some 65,000 characters; this many rows stay far below.
_ROWS: Final = 100
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
    # Two hyphens could end the comment.
    safe = re.sub(r"[^A-Za-z0-9_./]+", "-", name)
    return f"<!-- stacks-pulumi cost: {safe} -->"


def markdown(result: Result, name: str = "default") -> str:
    """
    The report as a comment.

    Args:
        result: What to show.
        name: Tells several comments on one pull request apart, such as `project/stack`.
    """
    report = result.report
    lines = [marker(name), f"### {_escape(headline(report))}", ""]
    shown = remarks(result)
    lines += [f"{_SIGNS[weight]} {_escape(text)}  " for weight, text in shown]
    lines += [""] if shown else []
    preview = report.source == "preview"
    changes = [line for line in report.lines if line.action != "same" or not preview]
    same = [line for line in report.lines if line.action == "same" and preview]
    if changes:
        lines += [*_table(changes, preview=preview), ""]
    if report.violations:
        lines += [
            "#### Policies",
            "",
            *(text for found in report.violations for text in _violation(found)),
            "",
        ]
    if same:
        lines += _folded(f"{count(len(same), 'unchanged container')}", _table(same, preview=False))
    others = not_priced(report)
    if others:
        lines += _folded(
            f"{count(sum(other.count for other in report.not_priced), 'resource')} without a price",
            [f"- {_escape(other)}" for other in others],
        )
    lines.append("<sub>Prices of whole months in US dollars, before discount codes.</sub>")
    return "\n".join(lines) + "\n"


def _table(lines: list[Line], *, preview: bool) -> list[str]:
    if preview:
        rows = ["| | Container | Kind | Now | Planned | Difference |", "|---|---|---|---:|---:|---:|"]
        for line in lines[:_ROWS]:
            cells = (
                _ACTIONS[line.action],
                f"**{_escape(line.name)}**",
                _escape(kind(line)),
                line.past,
                line.planned,
            )
            rows.append(f"| {' | '.join(map(_figure, cells))} | **{_figure(line.difference)}** |")
    else:
        rows = ["| Container | Kind | A month |", "|---|---|---:|"]
        rows += [
            f"| **{_escape(line.name)}** | {_escape(kind(line))} | {_figure(line.planned)} |"
            for line in lines[:_ROWS]
        ]
    if len(lines) > _ROWS:
        rows += ["", f"and {len(lines) - _ROWS} more"]
    return rows


def _figure(value: object) -> str:
    # A dollar sign begins mathematics where two of them stand in one line.
    return value if isinstance(value, str) else str(value).replace("$", "\\$")


def _violation(found: Violation) -> list[str]:
    sign = _SIGNS["error" if found.level == "mandatory" else "warning"]
    first, *rest = found.message.splitlines() or [""]
    where = f"**{_escape(found.policy)}** on **{_escape(found.resource)}** ({_escape(found.level)})"
    return [f"- {sign} {where}: {_escape(first)}", *(f"  {_beginning(line)}" for line in rest)]


def _folded(title: str, lines: list[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _beginning(text: str) -> str:
    """What begins a line of its own."""
    return _BEGINS.sub(lambda found: f"{found[0]}{_BREAK}", _escape(text))


def _escape(text: str) -> str:
    plain = _LINKS.sub(lambda found: f"{found[0]}{_BREAK}", " ".join(text.split()))
    plain = _HASH.sub(lambda found: _BREAK.join(re.findall(".{1,6}", found[0])), plain)
    return _SPECIAL.sub(r"\\\1", plain)
