"""The report as JSON. Amounts are texts, because binary fractions cannot represent cents exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from stacks_pulumi.cost.render.shared_text import CostResult, result_of
from stacks_pulumi.cost.report import Item, Line
from stacks_pulumi.pricing.money import Change, Price

__all__ = ["document"]


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
