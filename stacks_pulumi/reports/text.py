"""How does a report look in a terminal? With rich if it is installed, otherwise in plain columns."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import Final

from stacks_pulumi.reports.content import Document, Table, clean

__all__ = ["MARKS", "aligned", "plain", "rich_text"]

MARKS: Final = {"create": "+", "delete": "-", "update": "~", "replace": "±", "keep": "=", "same": " "}
"""One character for each action."""

_STYLES: Final = {
    "create": "green",
    "delete": "red",
    "update": "yellow",
    "replace": "magenta",
    "keep": "yellow",
    "same": "dim",
}
_WEIGHTS: Final = {"error": "bold red", "warning": "yellow", "note": "dim"}
_MANY: Final = 500


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """
    Return the rows as lines whose cells stand below each other, without spaces at the end.

    Args:
        rows: The cells of each row.
        right: The columns that are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def plain(document: Document) -> str:
    """Return the report in columns of plain text."""
    lines = [clean(document.headline), ""]
    for table in document.tables:
        if table.title:
            lines += [clean(table.title), ""]
        if table.rows:
            lines += _plain_table(table)
        if table.title or table.rows:
            lines.append("")
    lines += [f"{weight}: {clean(text)}" for weight, text in document.remarks]
    lines += _others(document)
    for violation in document.violations:
        lines.append(f"{violation.level} policy {clean(f'{violation.policy} on {violation.resource}')}:")
        lines += _indented(violation.message)
    for advice in document.advice:
        lines += ["", f"{clean(advice.text)}:"]
        for command, findings in advice.commands.items():
            lines += [*(f"  {clean(finding)}" for finding in findings), f"      {clean(command)}"]
    return "\n".join(lines).rstrip() + "\n"


def _plain_table(table: Table) -> list[str]:
    titles = [clean(column.title) for column in table.columns]
    rows = _rows(table)
    rules = ["-" * max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    figures = {number for number, column in enumerate(table.columns) if column.form == "figure"}
    return aligned([titles, rules, *rows], figures)


def _rows(table: Table) -> list[list[str]]:
    """Return the cells as they are shown, with the total."""
    rows = [
        [
            MARKS[cell] if column.form == "action" else _short(cell, column.widest)
            for column, cell in zip(table.columns, row.cells, strict=True)
        ]
        for row in table.rows
    ]
    return [*rows, [*table.total]] if table.total else rows


def _short(text: str, widest: int | None) -> str:
    """Shorten a long text, so that it does not make every row as wide. The JSON has the full text."""
    return clean(text if widest is None or len(text) <= widest else f"{text[: widest - 3]}...")


def _others(document: Document) -> list[str]:
    return [] if document.others is None else [f"also: {clean(text)}" for text in document.others.items]


def _indented(message: str) -> list[str]:
    return [f"    {clean(line)}" for line in message.split("\n")]


def rich_text(document: Document, *, width: int, color: bool) -> str | None:
    """
    Return the report with lines and colours; `None` if rich is not installed, or would take seconds for so many rows.

    Args:
        document: The report.
        width: Columns of the terminal.
        color: Whether it shows colours.
    """
    if sum(len(table.rows) for table in document.tables) > _MANY:
        return None
    try:
        from rich.console import Console  # noqa: PLC0415  (an extra)
        from rich.table import Table as Frame  # noqa: PLC0415  (as above)
        from rich.text import Text  # noqa: PLC0415  (as above)
    except ImportError:
        return None
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width,
        force_terminal=color,
        no_color=not color,
        highlight=False,
        legacy_windows=False,
    )
    console.print(Text(document.headline, style="bold"))
    for table in document.tables:
        if not table.rows:
            continue
        frame = Frame()
        for column in table.columns:
            frame.add_column(column.title, justify="right" if column.form == "figure" else "left")
        for shown, row in zip(_rows(table), table.rows, strict=False):
            # As text and not as markup, because a name may contain brackets.
            frame.add_row(*map(Text, shown), style=_STYLES[row.action])
        frame.add_section()
        frame.add_row(*map(Text, table.total), style="bold")
        console.print(frame)
    for weight, text in document.remarks:
        console.print(Text.assemble((weight, _WEIGHTS[weight]), f": {clean(text)}"))
    for text in _others(document):
        console.print(Text(text, style="dim"))
    for violation in document.violations:
        where = clean(f"{violation.policy} on {violation.resource}")
        console.print(Text.assemble((violation.level, _WEIGHTS[violation.weight]), f" policy {where}:"))
        console.print(Text("\n".join(_indented(violation.message))))
    return buffer.getvalue()
