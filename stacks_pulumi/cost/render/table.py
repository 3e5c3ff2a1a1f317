"""The report for a terminal: with rich if it is installed, otherwise in plain columns."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from stacks_pulumi.cost.render.shared_text import (
    MARKS,
    CostResult,
    clean,
    columns,
    headline,
    kind,
    not_priced,
    remarks,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["plain", "rich_text"]

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


def _rows(result: CostResult) -> tuple[list[str], list[list[str]]]:
    report = result.report
    if not report.compares:
        rows = [[" ", clean(line.name), kind(line), str(line.planned)] for line in report.lines]
        return ["", "Container", "Kind", "A month"], [*rows, ["", "Total", "", str(report.planned)]]
    rows = [
        [
            MARKS[line.action],
            clean(line.name),
            kind(line),
            str(line.past),
            str(line.planned),
            str(line.difference),
        ]
        for line in report.lines
    ]
    last = ["", "Total", "", str(report.past), str(report.planned), str(report.difference)]
    return ["", "Container", "Kind", *columns(report), "Difference"], [*rows, last]


def plain(result: CostResult) -> str:
    """Return the report in columns of plain text."""
    head, rows = _rows(result)
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [headline(result.report), ""]
    if result.report.lines:
        lines += [_columns(row, widths) for row in (head, ["-" * width for width in widths], *rows)]
        lines.append("")
    lines += [f"{weight}: {clean(text)}" for weight, text in remarks(result)]
    lines += [f"also: {clean(text)}" for text in not_priced(result.report)]
    for violation in result.report.violations:
        lines.append(f"{violation.level} policy {clean(f'{violation.policy} on {violation.resource}')}:")
        lines += [f"    {clean(line)}" for line in violation.message.split("\n")]
    return "\n".join(lines).rstrip() + "\n"


def _columns(row: Sequence[str], widths: Sequence[int]) -> str:
    # Names and kinds are aligned to the left, figures to the right.
    cells = [
        text.ljust(width) if column < 3 else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def rich_text(result: CostResult, *, width: int, color: bool) -> str | None:
    """
    Return the report with lines and colours; `None` if rich is not installed, or would take seconds for so many lines.

    Args:
        result: What to show.
        width: Columns of the terminal.
        color: Whether it shows colours.
    """
    if len(result.report.lines) > _MANY:
        return None
    try:
        from rich.console import Console  # noqa: PLC0415  (an extra)
        from rich.table import Table  # noqa: PLC0415  (as above)
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
    console.print(Text(headline(result.report), style="bold"))
    head, rows = _rows(result)
    if result.report.lines:
        table = Table()
        for column, title in enumerate(head):
            table.add_column(title, justify="left" if column < 3 else "right")
        for line, row in zip(result.report.lines, rows, strict=False):
            # As text and not as markup, because a name may contain brackets.
            table.add_row(*map(Text, row), style=_STYLES[line.action])
        table.add_section()
        table.add_row(*map(Text, rows[-1]), style="bold")
        console.print(table)
    for weight, text in remarks(result):
        console.print(Text.assemble((weight, _WEIGHTS[weight]), f": {clean(text)}"))
    for text in not_priced(result.report):
        console.print(Text(f"also: {clean(text)}", style="dim"))
    for violation in result.report.violations:
        style = _WEIGHTS["error" if violation.level == "mandatory" else "warning"]
        console.print(
            Text.assemble(
                (violation.level, style), f" policy {clean(f'{violation.policy} on {violation.resource}')}:"
            )
        )
        console.print(Text("\n".join(f"    {clean(line)}" for line in violation.message.split("\n"))))
    return buffer.getvalue()
