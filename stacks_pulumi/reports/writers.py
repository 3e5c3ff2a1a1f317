"""
Writes a report for a terminal, for a page, as JSON and as JUnit XML.

A terminal shows rich's tables if rich is installed, otherwise plain columns. A comment on a pull request has a maximum
size. It begins with a hidden marker, so that the next run can find and replace the comment. Names and messages come
from the reviewed program and are untrusted, so all markup in them is escaped.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final
from unicodedata import east_asian_width
from urllib import parse
from xml.etree import ElementTree as ET

import msgspec

from stacks_pulumi.errors import clean, clean_lines
from stacks_pulumi.reports import Column, Document, Folded, PolicyViolation, Row, Table, Weight

MARKS: Final = {
    "create": "+",
    "adopt": "&",
    "delete": "-",
    "update": "~",
    "replace": "±",
    "keep": "=",
    "same": " ",
}
"""Action -> the character that shows it."""

_STYLES: Final = {
    "create": "green",
    "adopt": "cyan",
    "delete": "red",
    "update": "yellow",
    "replace": "magenta",
    "keep": "yellow",
    "same": "dim",
}
_WEIGHTS: Final = {"error": "bold red", "warning": "yellow", "note": "dim"}
_MANY: Final = 500
_READABLE: Final = 8
_SPACES: Final = re.compile("(?<= ) +")


def _text(text: str) -> str:
    """
    Return an external text on one line. Repeated spaces, which could imitate a line or a column, are made visible.
    """
    return _SPACES.sub(lambda found: r"\x20" * len(found[0]), clean(text))


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Return the rows as lines with aligned cells, without trailing spaces."""
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
    lines = [_text(document.title), *(f"error: {_text(reason)}" for reason in document.incomplete), ""]
    for table in document.tables:
        if table.title:
            lines += [table.title, ""]
        if table.rows:
            lines += [*_plain_table(table), ""]
    lines += [f"{weight}: {_text(text)}" for weight, text in document.remarks]
    lines += _others(document)
    for violation in document.violations:
        lines.append(f"{violation.level} policy {violation.policy} on {violation.resource}:")
        lines += _indented(violation.message)
    for advice in document.advice:
        lines += ["", f"{advice.text}:"]
        for command, findings in advice.commands.items():
            lines += [*(f"  {finding}" for finding in findings), f"      {command}"]
    lines += ["", document.ending] if document.ending else []
    return "\n".join(map(clean, lines)).rstrip() + "\n"


def wrapped(text: str, width: int) -> str:
    """
    Return a text for a terminal. The continuation of a long line is indented, so that it does not look like a separate
    line.
    """
    lines = []
    for line in text.splitlines():
        part, used = "", 0
        for sign in line:
            columns = 2 if east_asian_width(sign) in "FW" else 1
            if used + columns > max(width, 8):
                lines.append(part)
                part, used = "    ", 4
            part, used = part + sign, used + columns
        lines.append(part)
    return "\n".join(lines) + "\n"


def _plain_table(table: Table) -> list[str]:
    titles = [clean(column.title) for column in table.columns]
    rows = _rows(table)
    rules = ["-" * max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    figures = {number for number, column in enumerate(table.columns) if column.form == "figure"}
    return aligned([titles, rules, *rows], figures)


def _rows(table: Table) -> list[list[str]]:
    """Return the texts of all cells as they are shown, including the total."""
    rows = [
        [
            MARKS[cell] if column.form == "action" else _short(cell, column.widest)
            for column, cell in zip(table.columns, row.cells, strict=True)
        ]
        for row in table.rows
    ]
    return [*rows, [_text(cell) for cell in table.total]] if table.total else rows


def _narrowest(table: Table) -> int:
    """Return the minimum width of a table at which each figure fits on one line and the text columns are readable."""
    titles = [column.title for column in table.columns]
    widths = [max(map(len, cells)) for cells in zip_longest(titles, *_rows(table), fillvalue="")]
    # A narrower frame has no space for a name, and would shorten $1,234.00 to $1.
    return 1 + sum(
        3 + (width if column.form == "figure" else min(width, _READABLE))
        for column, width in zip(table.columns, widths, strict=False)
    )


def _short(text: str, widest: int | None) -> str:
    """Shorten a long text, so that it does not make every row wider. The JSON output contains the full text."""
    return _text(text if widest is None or len(text) <= widest else f"{text[: widest - 3]}...")


def _others(document: Document) -> list[str]:
    return [] if document.others is None else [f"also: {_text(text)}" for text in document.others.items]


def _indented(message: str) -> list[str]:
    return [f"    {clean(line)}" for line in message.split("\n")]


def rich_text(document: Document, *, width: int, color: bool) -> str | None:
    """
    Return the report with table lines and colours. Return `None` if rich is not installed, the report has too many
    rows, or the terminal is too narrow.
    """
    tables = [table for table in document.tables if table.rows]
    if sum(len(table.rows) for table in tables) > _MANY or any(_narrowest(table) > width for table in tables):
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
        legacy_windows=False,
    )

    def say(weight: Weight, text: str) -> None:
        # The lines of a long text are indented, so that none looks like a remark of its own.
        lines = Frame.grid()
        lines.add_column(no_wrap=True)
        lines.add_column(overflow="fold")
        lines.add_row(Text.assemble((weight, _WEIGHTS[weight]), ": "), Text(_text(text)))
        console.print(lines)

    console.print(Text(_text(document.title), style="bold"))
    for reason in document.incomplete:
        say("error", reason)
    for table in tables:
        frame = Frame(title=Text(clean(table.title)) if table.title else None)
        for column in table.columns:
            is_figure = column.form == "figure"
            # Never cut text on a narrow terminal: two names could look the same, and $1,234.00 would become $1…
            frame.add_column(
                column.title,
                justify="right" if is_figure else "left",
                no_wrap=is_figure,
                overflow="fold",
            )
        for shown, row in zip(_rows(table), table.rows, strict=False):
            # Use `Text`, not markup, because a name may contain brackets.
            frame.add_row(*map(Text, shown), style=_STYLES[row.action])
        if table.total:
            frame.add_section()
            frame.add_row(*map(Text, map(_text, table.total)), style="bold")
        console.print(frame)
    for weight, text in document.remarks:
        say(weight, text)
    for text in _others(document):
        console.print(Text(text, style="dim"))
    for violation in document.violations:
        where = clean(f"{violation.policy} on {violation.resource}")
        console.print(
            Text.assemble((clean(violation.level), _WEIGHTS[violation.weight]), f" policy {where}:")
        )
        console.print(Text("\n".join(_indented(violation.message))))
    if document.ending:
        console.print(Text(clean(document.ending)))
    return buffer.getvalue()


_SIGNS: Final = {"error": "❌", "warning": "⚠️", "note": "ℹ️"}  # noqa: RUF001  (the information sign is meant)
_ACTIONS: Final = {
    "create": "new",
    "adopt": "taken over",
    "delete": "removed",
    "update": "changed",
    "replace": "replaced",
    "keep": "kept",
    "same": "unchanged",
}
LIMIT: Final = 65_536
"""The maximum number of characters that GitHub accepts; GitLab accepts more. We count bytes, to be safe."""

# The numbers of rows to try, until the comment fits.
_ROWS: Final = (100, 50, 25, 10, 5, 2, 0)
_LONGEST: Final = 1000
_MESSAGE_LINES: Final = 20
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&])")
# After GitHub removes the escapes, it creates links from `@name`, mail@example.com, `#1`, octo/repo#1, `GH-1` and URLs.
# It also turns `:tada:` into a picture. A zero-width character inside them prevents both.
_LINKS: Final = re.compile(r"[@#](?=\w)|:(?=//|[a-z0-9_+-]+:)|/(?=/)|www(?=\.)|gh(?=-\d)", re.IGNORECASE)
# GitHub also links commit hashes, full or shortened to seven digits or more.
_HASH: Final = re.compile(r"(?<![0-9a-z])[0-9a-f]{7,40}(?![0-9a-z])", re.IGNORECASE)
# Characters that are special only at the beginning of a line, where they make a list, a rule or a heading's underline.
_BEGINS: Final = re.compile(r"^([-=]|\d+(?=\.))")
_BREAK: Final = "\N{ZERO WIDTH SPACE}"


def marker(name: str) -> str:
    """Return the hidden line that identifies the comment for this `name`."""
    # The encoding is reversible, so that two names never have the same marker. It avoids two hyphens, which could end
    # the comment.
    safe = re.sub("(?<=-)-", "%2D", parse.quote(name))
    return f"<!-- stacks-pulumi cost: {safe} -->"


def comment(document: Document, name: str = "default") -> str:
    """
    Return the report as a comment of at most `LIMIT` bytes. It contains the largest rows of each part, and the number
    of omitted rows.
    """
    text = ""
    for rows in _ROWS:
        text = f"{marker(name)}\n{markdown(document, rows)}"
        if len(text.encode()) <= LIMIT:
            break
    return text


def markdown(document: Document, most: int | None = None) -> str:
    lines = [f"### {escape(document.title)}", ""]
    reasons = [("error", reason) for reason in document.incomplete]
    remarks = [f"{_SIGNS[weight]} {escape(text)}  " for weight, text in (*reasons, *document.remarks)]
    # The reasons for a failure come first, and notes last.
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
    lines += [escape(document.ending), ""] if document.ending else []
    lines += [f"<sub>{document.footer}</sub>"] if document.footer else []
    return "\n".join(lines) + "\n"


def _first(lines: list[str], most: int | None) -> list[str]:
    return [*lines[:most], *_rest(len(lines), most)]


def _rest(number: int, most: int | None) -> list[str]:
    return ["", f"and {number - most} more"] if most is not None and number > most else []


def _table(columns: Sequence[Column], rows: Sequence[Row], most: int | None) -> list[str]:
    # A table without changes needs no column for actions.
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
    # If a line contains two dollar signs, GitHub would show the text between them as a formula.
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
    """Return the text, escaped so that it can begin a line."""
    return _BEGINS.sub(lambda match: f"{match[0]}{_BREAK}", escape(text))


def escape(text: str) -> str:
    """Return the text on one line, escaped so that it contains no markup, mention or link."""
    text = clean(" ".join(text.split()))
    cut = len(text) - _LONGEST
    text = text if cut <= 0 else f"{text[:_LONGEST]}… (and {cut} more characters)"
    plain = _LINKS.sub(lambda match: f"{match[0]}{_BREAK}", text)
    plain = _HASH.sub(lambda match: _BREAK.join(re.findall(".{1,6}", match[0])), plain)
    return _SPECIAL.sub(r"\\\1", plain)


def as_json(data: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """Return data as JSON in ASCII, without text that a CI system would treat as a command."""
    text = json.dumps(msgspec.to_builtins(data, str_keys=True), indent=indent)
    return text.replace("##", "#\\u0023") + "\n"


def as_junit(document: Document, suite_name: str) -> str:
    """
    Return the report as JUnit XML, which CI systems show: one test for each check.

    A check that did not fail, for instance a limit that only warns, is a passed test whose output is the check's text.
    """
    suite = ET.Element("testsuite", name=suite_name)
    for check in document.checks:
        test = ET.SubElement(
            suite, "testcase", classname=clean(f"{suite_name}.{check.group}"), name=clean(check.name)
        )
        text = clean_lines(check.text)
        if check.failed:
            ET.SubElement(test, "failure", message=text.partition("\n")[0]).text = text
        elif text:
            ET.SubElement(test, "system-out").text = text
    suite.set("tests", str(len(document.checks)))
    suite.set("failures", str(sum(check.failed for check in document.checks)))
    ET.SubElement(suite, "system-out").text = clean(document.headline)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
