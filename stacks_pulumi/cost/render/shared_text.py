"""Text that all renderings share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stacks_pulumi.cost.report import LimitVerdict, Line, Report, Rest

__all__ = [
    "MARKS",
    "CostResult",
    "clean",
    "columns",
    "headline",
    "kind",
    "not_exact",
    "not_priced",
    "remarks",
    "result_of",
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
