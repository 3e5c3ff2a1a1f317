"""The options and settings for limits, which several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from stacks_pulumi.cost.limits import CostLimit, Measure

__all__ = ["LIMITS", "add_limits", "limits_of", "number"]

# Far higher than any useful limit, with few enough digits to calculate with.
_MOST: Final = Decimal(1_000_000_000)

_MEASURES: Final[tuple[tuple[Measure, str, str], ...]] = (
    ("total", "USD", "the planned total a month"),
    ("increase", "USD", "the increase a month"),
    ("increase-pct", "PERCENT", "the increase in percent of what is paid now"),
)

LIMITS: Final = {
    f"{action}_{measure.replace('-', '_')}": (measure, action == "max")
    for measure, _, _ in _MEASURES
    for action in ("max", "warn")
}
"""Name of a limit, for instance `max_total` -> what it measures, and whether exceeding it blocks."""


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options `--max-...` and `--warn-...`."""
    for measure, unit, help_text in _MEASURES:
        parser.add_argument(
            f"--max-{measure}", type=_number, metavar=unit, help=f"block if {help_text} is more"
        )
        parser.add_argument(
            f"--warn-{measure}", type=_number, metavar=unit, help=f"warn if {help_text} is more"
        )


def limits_of(options: argparse.Namespace | Mapping[str, Any]) -> tuple[CostLimit, ...]:
    """Return the limits that are set."""
    given = options if isinstance(options, Mapping) else vars(options)
    return tuple(
        CostLimit(measure, given[name], block=block)
        for name, (measure, block) in LIMITS.items()
        if given.get(name) is not None
    )


def number(text: str) -> Decimal:
    """
    Return a limit as a number; a dollar or percent sign is allowed.

    Raises:
        ValueError: It is not a number, or out of range.
    """
    try:
        parsed = Decimal(text.removeprefix("$").removesuffix("%"))
    except InvalidOperation:
        parsed = Decimal("NaN")
    if not parsed.is_finite() or not 0 <= parsed <= _MOST:
        raise ValueError(f"{text!r} is not a number from 0 to {_MOST:,}")
    return parsed


def _number(text: str) -> Decimal:
    try:
        return number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
