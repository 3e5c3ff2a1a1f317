"""
Text that all renderings share.

The report as JSON. Amounts are texts, because binary fractions cannot represent cents exactly.

The report as JUnit XML, which CI systems show: one test for each limit and each violated policy.

The report for a terminal: with rich if it is installed, otherwise in plain columns.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import msgspec

from stacks_pulumi.cost.report import Item, LimitVerdict, Line, Report, Rest
from stacks_pulumi.pricing.money import Change, Price

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MARKS",
    "CostResult",
    "clean",
    "columns",
    "document",
    "headline",
    "junit",
    "kind",
    "not_exact",
    "not_priced",
    "plain",
    "remarks",
    "result_of",
    "rich_text",
]

MARKS: Final = {"create": "+", "delete": "-", "update": "~", "replace": "±", "keep": "=", "same": " "}
"""One character for each action."""

_TIMES: Final = "\N{MULTIPLICATION SIGN}"

_REASONS: Final = {
    "free": "no separate price in the guide",
    "elsewhere": "not of STACKS, not priced",
    "read": "only looked up, paid elsewhere",
}


@dataclass(frozen=True)
class CostResult:
    """
    A report with the results that are derived from it.

    Attributes:
        report: The report.
        verdicts: The verdicts of the limits.
        rest: The rest of the month, if it was requested.
        strict: Whether a price that is not exact is a failure.
    """

    report: Report
    verdicts: tuple[LimitVerdict, ...] = ()
    rest: Rest | None = None
    strict: bool = False

    @property
    def exit_code(self) -> int:
        """0 within all limits; 1 the figures are incomplete; 2 blocked; 3 strict, and a price is not exact."""
        if self.report.incomplete:
            return 1
        over = any(not verdict.passed and verdict.limit.block for verdict in self.verdicts)
        if over or self.report.blocked:
            return 2
        return 3 if self.strict and self.report.unknown else 0


def clean(text: str) -> str:
    r"""
    Return the text with every unprintable character escaped: `\n`, `\x1b`, `\u202e`.

    Names and messages come from the reviewed program and are untrusted input. A line break in a name could forge a row,
    an escape code could erase one.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def result_of(result: CostResult) -> str:
    """Return the exit code as a word."""
    return {0: "ok", 1: "incomplete", 2: "blocked", 3: "unknown"}[result.exit_code]


def headline(report: Report) -> str:
    """Return the whole result in one line."""
    if not report.compares:
        where = "account" if report.source == "account" else "stack"
        return f"The {where} costs {report.planned} a month."
    if report.source == "comparison":
        return f"The account costs {report.planned} a month, {report.difference} since the snapshot ({report.past})."
    if report.difference.none:
        return f"The monthly cost stays at {report.planned}."
    return f"The monthly cost changes by {report.difference}: from {report.past} to {report.planned}."


def columns(report: Report) -> tuple[str, str]:
    """Return the titles of the two price columns of a report that compares."""
    return ("Snapshot", "Now") if report.source == "comparison" else ("Now", "Planned")


def kind(line: Line) -> str:
    """Return the kind of a container, with its previous kind if that changes."""
    after = "" if line.after is None else line.after.kind
    before = "" if line.before is None else line.before.kind
    return f"{before} → {after}" if before and after and before != after else after or before


def not_priced(report: Report) -> list[str]:
    """Return one text for each type of resources without a price."""
    return [f"{other.count} {_TIMES} {other.type} ({_REASONS[other.reason]})" for other in report.not_priced]


def not_exact(report: Report) -> str:
    """Return a text on the prices that are ranges; empty if all are exact."""
    unknown = report.unknown
    if not unknown:
        return ""
    names = ", ".join(f"{line.name!r} ({', '.join(line.unknown) or 'price'})" for line in unknown[:5])
    more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
    return f"not known yet, so a range: {names}{more}"


def remarks(result: CostResult) -> list[tuple[str, str]]:
    """Return the remarks for the reader, each with its weight: `error`, `warning` or `note`."""
    report, rest = result.report, result.rest
    found: list[tuple[str, str]] = []
    if report.incomplete:
        found.append(("error", report.incomplete))
    if report.blocked:
        found.append(("error", report.blocked))
    for verdict in result.verdicts:
        weight = "note" if verdict.passed else "error" if verdict.limit.block else "warning"
        found.append((weight, verdict.text))
    if report.unknown:
        found.append(("error" if result.strict else "warning", not_exact(report)))
    if rest is not None and report.source == "preview":
        text = f"this month, if applied now: about {rest.change(report.difference)} ({rest} are left)"
        found.append(("note", text))
    elif rest is not None:
        found.append(
            ("note", f"the rest of this month: about {rest.price(report.planned)} ({rest} are left)")
        )
    found += [("note", note) for note in report.notes]
    return found


def document(result: CostResult) -> str:
    """Return the report as JSON; `docs/cost.md` describes its fields. An unknown bound is null."""
    report, rest = result.report, result.rest
    data: dict[str, Any] = {
        "version": 1,
        "currency": "USD",
        "per": "month",
        "source": report.source,
        "result": result_of(result),
        "past": _price(report.past),
        "planned": _price(report.planned),
        "difference": _change(report.difference),
        "resources": [_line(line) for line in report.lines],
        "not_priced": [
            {"type": other.type, "count": other.count, "reason": other.reason} for other in report.not_priced
        ],
        "limits": [
            {
                "measure": verdict.limit.measure,
                "most": _text(verdict.limit.most),
                "action": "block" if verdict.limit.block else "warn",
                "passed": verdict.passed,
                "text": verdict.text,
            }
            for verdict in result.verdicts
        ],
        "violations": [
            {
                "policy": violation.policy,
                "pack": violation.pack,
                "level": violation.level,
                "resource": violation.resource,
                "message": violation.message,
            }
            for violation in report.violations
        ],
        "blocked": report.blocked or None,
        "incomplete": report.incomplete or None,
        "notes": list(report.notes),
    }
    if rest is not None:
        data["rest_of_month"] = {
            "minutes": rest.minutes,
            "of": rest.of,
            "planned": _price(rest.price(report.planned)),
            "difference": _change(rest.change(report.difference)),
        }
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"


def _price(price: Price) -> dict[str, str | None]:
    return {"low": _text(price.low), "high": _text(price.high)}


def _change(change: Change) -> dict[str, str | None]:
    return {"low": _text(change.low), "high": _text(change.high)}


def _item(item: Item | None) -> dict[str, Any] | None:
    return None if item is None else {"kind": item.kind, **_price(item.price)}


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "id": line.id,
        "action": line.action,
        "past": _item(line.before),
        "planned": _item(line.after),
        "difference": _change(line.difference),
        "unknown": list(line.unknown),
    }


_SUITE = "stacks-pulumi cost"


def junit(result: CostResult) -> str:
    """
    Return the report as JUnit XML. A test fails if and only if its result makes the exit code nonzero.

    An advisory violation, or a limit that only warns, is a passed test with its text as output.
    """
    report = result.report
    suite = ET.Element("testsuite", name=_SUITE)
    # Always there, so that a report without limits has a test too.
    _test(suite, "preview", "the figures are complete", report.incomplete, failed=bool(report.incomplete))
    _test(suite, "preview", "no mandatory policy is violated", report.blocked, failed=bool(report.blocked))
    for verdict in result.verdicts:
        limit = verdict.limit
        name = f"--{'max' if limit.block else 'warn'}-{limit.measure} {limit.most:f}"
        _test(suite, "limits", name, verdict.text, failed=limit.block and not verdict.passed)
    if result.strict:
        _test(suite, "limits", "--strict", not_exact(report), failed=bool(report.unknown))
    for found in report.violations:
        name = f"{found.policy} on {found.resource}"
        _test(suite, f"policies.{found.pack}", name, found.message, failed=found.level == "mandatory")
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(sum(test.find("failure") is not None for test in suite)))
    ET.SubElement(suite, "system-out").text = clean(headline(report))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _test(suite: ET.Element, group: str, name: str, text: str, *, failed: bool) -> None:
    test = ET.SubElement(suite, "testcase", classname=clean(f"{_SUITE}.{group}"), name=clean(name))
    text = "\n".join(clean(line) for line in text.split("\n"))
    if failed:
        ET.SubElement(test, "failure", message=text.partition("\n")[0]).text = text
    elif text:
        ET.SubElement(test, "system-out").text = text


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
