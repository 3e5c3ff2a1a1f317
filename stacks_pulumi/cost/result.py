"""Which limits does a report exceed, what does the cost command show of it, and what is the exit code?"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from stacks_pulumi.cost.report import FOOTER, Item, Line, Report, Rest, bounds
from stacks_pulumi.pricing.money import count, number, signed, some, usd
from stacks_pulumi.reports import Check, Column, Document, Folded, Row, Table, Weight

_TIMES: Final = "\N{MULTIPLICATION SIGN}"
_REASONS: Final = {
    "free": "no separate price in the guide",
    "listed": "listed as free",
    "elsewhere": "not a STACKS resource, not priced",
    "read": "only looked up, billed elsewhere",
}
_SHOWN: Final = 5


Measure: TypeAlias = Literal["total", "increase", "increase-pct"]


@dataclass(frozen=True)
class CostLimit:
    """
    A limit for a report.

    Attributes:
        measure: What is measured: the planned total, the increase, or the increase in percent of the current cost.
        most: The highest allowed value, in US dollars a month or in percent.
        block: Whether exceeding the limit blocks; otherwise it only causes a warning.
    """

    measure: Measure
    most: Decimal
    block: bool


@dataclass(frozen=True)
class LimitVerdict:
    """
    A limit, and whether a report is within it.

    Attributes:
        limit: The limit.
        passed: Whether the report is within it.
        text: The limit and the result as a sentence.
    """

    limit: CostLimit
    passed: bool
    text: str

    @property
    def blocks(self) -> bool:
        """Whether it makes the command fail."""
        return self.limit.block and not self.passed

    @property
    def weight(self) -> Weight:
        return "note" if self.passed else "error" if self.limit.block else "warning"

    def describe(self) -> dict[str, Any]:
        """Return the verdict for programs."""
        return {
            "measure": self.limit.measure,
            "most": f"{self.limit.most:.2f}",
            "action": "block" if self.limit.block else "warn",
            "passed": self.passed,
            "text": self.text,
        }


def judge(report: Report, limits: tuple[CostLimit, ...]) -> tuple[LimitVerdict, ...]:
    return tuple(_judge(report, limit, limits) for limit in limits)


def _judge(report: Report, limit: CostLimit, beside: tuple[CostLimit, ...]) -> LimitVerdict:
    if limit.measure == "total":
        return _verdict(limit, report.planned.high, "the total", usd)
    increase = report.difference.high
    if limit.measure == "increase":
        return _verdict(limit, increase, "the increase", signed)
    before = report.past.low
    if before > 0:
        share = None if increase is None else increase * 100 / before
        return _verdict(limit, share, "the increase", lambda percent: f"{percent:+.1f} %")
    # If nothing is paid now, there is no percentage, so a new stack needs one of the other two limits.
    if increase is None:
        return _verdict(limit, None, "the increase", signed)
    if increase <= 0:
        return LimitVerdict(limit, passed=True, text="the price is zero before and after the change")
    text = "the price is zero now, so an increase has no percentage: limit the total or the increase for a new stack"
    is_limited = any(other.measure != "increase-pct" and other.block >= limit.block for other in beside)
    return LimitVerdict(limit, is_limited, text)


def _verdict(
    limit: CostLimit, worst: Decimal | None, what: str, show: Callable[[Decimal], str]
) -> LimitVerdict:
    most = f"{limit.most:f} %" if limit.measure == "increase-pct" else usd(limit.most)
    if worst is None:
        return LimitVerdict(limit, passed=False, text=f"{what} has no known upper bound; the limit is {most}")
    passed = worst <= limit.most
    return LimitVerdict(
        limit,
        passed,
        f"{what} is {show(worst)} at most, {'within' if passed else 'over'} the limit of {most}",
    )


_MEASURES: Final[tuple[tuple[Measure, str, str], ...]] = (
    ("total", "USD", "the planned monthly total"),
    ("increase", "USD", "the monthly increase"),
    ("increase-pct", "PERCENT", "the increase in percent of the current price"),
)

LIMITS: Final = {
    f"{action}_{measure.replace('-', '_')}": (measure, action == "max")
    for measure, _, _ in _MEASURES
    for action in ("max", "warn")
}
"""Name of a limit, for instance `max_total` -> its measure, and whether exceeding it blocks."""


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options `--max-...` and `--warn-...`."""
    for measure, unit, help_text in _MEASURES:
        for word, does in (("max", "block"), ("warn", "warn")):
            parser.add_argument(
                f"--{word}-{measure}",
                type=_Number(measure),
                metavar=unit,
                help=f"{does} if {help_text} is higher",
            )


def limits_of(options: argparse.Namespace | Mapping[str, Any]) -> tuple[CostLimit, ...]:
    given = options if isinstance(options, Mapping) else vars(options)
    return tuple(
        CostLimit(measure, given[name], block=block)
        for name, (measure, block) in LIMITS.items()
        if given.get(name) is not None
    )


@dataclass(frozen=True)
class _Number:
    """Parses the argument of a limit."""

    measure: Measure

    def __call__(self, text: str) -> Decimal:
        try:
            return number(text, is_share=self.measure == "increase-pct")
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None


@dataclass(frozen=True)
class CostResult:
    """
    A report with the results that are derived from it.

    Attributes:
        report: The report.
        verdicts: The verdicts of the limits.
        rest: The rest of the month, if it was requested.
        strict: Whether a price that is not exact is a failure.
        fail_on: The findings that block: `kept`, a container that leaves the stack but stays billed.
    """

    report: Report
    verdicts: tuple[LimitVerdict, ...] = ()
    rest: Rest | None = None
    strict: bool = False
    fail_on: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """
        The exit code: 0 within all limits; 1 if the figures are incomplete; 2 if blocked; 3 if `strict` and a price
        is not exact.
        """
        if self.report.incomplete:
            return 1
        if self.report.blocked or self.failed or any(verdict.blocks for verdict in self.verdicts):
            return 2
        return 3 if self.strict and _not_exact(self.report) else 0

    @property
    def failed(self) -> str:
        """The finding of `fail_on`; empty if there is none."""
        kept = (
            [line for line in self.report.lines if _leaves(line)] if self.report.source == "preview" else []
        )
        if not kept or "kept" not in self.fail_on:
            return ""
        names = some([repr(line.name) for line in kept], _SHOWN)
        return f"containers leave this stack and its totals, but stay billed: {names} (--fail-on kept)"


def _leaves(line: Line) -> bool:
    """Whether a container leaves the stack but stays billed, or may stay billed."""
    return line.after is not None and line.action in {"keep", "delete"}


def result_of(result: CostResult) -> str:
    """Return the exit code as a word."""
    return {0: "ok", 1: "incomplete", 2: "blocked", 3: "unknown"}[result.exit_code]


def document_of(result: CostResult) -> Document:
    """Return a result as a document that every output format can show."""
    report = result.report
    others = tuple(
        f"{other.count} {_TIMES} {other.type} ({_REASONS[other.reason]})" for other in report.not_priced
    )
    without_price = count(sum(other.count for other in report.not_priced), "resource")
    return Document(
        _headline(report),
        (report.incomplete,) if report.incomplete else (),
        tuple(_remarks(result)),
        (_table(report),),
        report.violations,
        Folded(f"{without_price} without a price", items=others) if others else None,
        footer=FOOTER,
        checks=tuple(_checks(result)),
        data=_data(result),
    )


def _headline(report: Report) -> str:
    if not report.compares:
        where = "account" if report.source == "account" else "stack"
        return f"The {where} costs {report.planned} a month."
    if report.source == "comparison":
        return f"The account costs {report.planned} a month, {report.difference} since the snapshot ({report.past})."
    if report.incomplete:
        return f"The monthly cost after this change is not known: {report.planned}."
    if report.difference.none:
        return f"The monthly cost stays at {report.planned}."
    return f"The monthly cost changes by {report.difference}: from {report.past} to {report.planned}."


def _remarks(result: CostResult) -> Iterator[tuple[Weight, str]]:
    report, rest = result.report, result.rest
    for text in filter(None, (report.blocked, result.failed)):
        yield "error", text
    for verdict in result.verdicts:
        yield verdict.weight, verdict.text
    if report.unknown or (result.strict and report.borrowed):
        yield "error" if result.strict else "warning", _not_exact(report)
    if rest is not None and report.source == "preview":
        yield "note", f"this month, if applied now: about {rest.change(report.difference)} ({rest} are left)"
    elif rest is not None:
        yield "note", f"the rest of this month: about {rest.price(report.planned)} ({rest} are left)"
    for note in report.notes:
        yield "note", note


def _not_exact(report: Report) -> str:
    """Return why prices are not exact; empty if all are exact."""
    unknown = report.unknown
    if report.borrowed and not unknown:
        return f"the API does not list {', '.join(report.borrowed[:_SHOWN])}, so the catalogue's prices apply"
    if not unknown:
        return ""
    names = [f"{line.name!r} ({', '.join(line.unknown) or 'price'})" for line in unknown]
    return f"no exact price: {some(names, _SHOWN)}"


def _table(report: Report) -> Table:
    columns = [Column("", "action"), Column("Container", strong=True), Column("Kind")]
    total = ["", "Total", ""]
    if report.compares:
        before, after = ("Snapshot", "Now") if report.source == "comparison" else ("Now", "Planned")
        columns += [Column(before, "figure"), Column(after, "figure")]
        columns.append(Column("Difference", "figure", strong=True))
        total += [str(report.past), str(report.planned), str(report.difference)]
    else:
        columns.append(Column("A month", "figure"))
        total.append(str(report.planned))
    rows = tuple(Row(_cells(line, report), line.action, _size(line)) for line in report.lines)
    return Table(tuple(columns), rows, total=tuple(total), unchanged=_unchanged(report))


def _cells(line: Line, report: Report) -> tuple[str, ...]:
    if not report.compares:
        return ("same", line.name, line.kind, str(line.planned))
    return (line.action, line.name, line.kind, str(line.past), str(line.planned), str(line.difference))


def _unchanged(report: Report) -> Folded | None:
    """Return the unchanged containers of a report with a comparison; in other reports, all containers are shown."""
    rows = tuple(
        Row((line.name, line.kind, str(line.planned)), size=_size(line))
        for line in report.lines
        if line.action == "same" and report.compares
    )
    columns = (Column("Container", strong=True), Column("Kind"), Column("A month", "figure"))
    return Folded(count(len(rows), "unchanged container"), Table(columns, rows)) if rows else None


def _size(line: Line) -> Decimal:
    """Return the effect of a line on the bill: the larger bound of its difference; for an unchanged line, its price."""
    if line.action in {"same", "keep", "adopt"}:
        return _or_infinite(line.planned.high)
    return max(_or_infinite(line.difference.low), _or_infinite(line.difference.high))


def _or_infinite(bound: Decimal | None) -> Decimal:
    return Decimal("Infinity") if bound is None else abs(bound)


def _checks(result: CostResult) -> Iterator[Check]:
    report = result.report
    # Always add this check, so that a report without limits also has a test case.
    yield Check("preview", "the figures are complete", report.incomplete, bool(report.incomplete))
    yield Check("preview", "no mandatory policy is violated", report.blocked, bool(report.blocked))
    if result.fail_on:
        yield Check("limits", "--fail-on", result.failed, bool(result.failed))
    for verdict in result.verdicts:
        limit = verdict.limit
        name = f"--{'max' if limit.block else 'warn'}-{limit.measure} {limit.most:f}"
        yield Check("limits", name, verdict.text, verdict.blocks)
    if result.strict:
        yield Check("limits", "--strict", _not_exact(report), bool(_not_exact(report)))
    for violation in report.violations:
        name = f"{violation.policy} on {violation.resource}"
        yield Check(f"policies.{violation.pack}", name, violation.message, violation.level == "mandatory")


def _data(result: CostResult) -> dict[str, Any]:
    """Return the report for programs. Amounts are strings, because binary fractions cannot represent cents exactly."""
    report, rest = result.report, result.rest
    data: dict[str, Any] = {
        "version": 1,
        "currency": "USD",
        "per": "month",
        "source": report.source,
        "result": result_of(result),
        "past": bounds(report.past),
        "planned": bounds(report.planned),
        "difference": bounds(report.difference),
        "resources": [_line(line) for line in report.lines],
        "not_priced": [
            {"type": other.type, "count": other.count, "reason": other.reason} for other in report.not_priced
        ],
        "limits": [verdict.describe() for verdict in result.verdicts],
        "violations": [asdict(violation) for violation in report.violations],
        "blocked": report.blocked or None,
        "failed": result.failed or None,
        "complete": not report.incomplete,
        "incomplete": report.incomplete or None,
        "notes": list(report.notes),
    }
    if rest is not None:
        data["rest_of_month"] = {
            "minutes": rest.minutes,
            "of": rest.of,
            "planned": bounds(rest.price(report.planned)),
            "difference": bounds(rest.change(report.difference)),
        }
    return data


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "id": line.id,
        "action": line.action,
        "past": _item(line.before),
        "planned": _item(line.after),
        "difference": bounds(line.difference),
        "unknown": list(line.unknown),
    }


def _item(item: Item | None) -> dict[str, Any] | None:
    return None if item is None else {"kind": item.kind, **bounds(item.price)}
