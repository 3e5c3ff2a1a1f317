"""The prices in the list of templates, compared with the catalogue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi import catalog
from tools.acceptance import reading
from tools.acceptance.run import Run

__all__ = ["prices"]

_UNITS: Final[tuple[tuple[str, str, Decimal, Decimal], ...]] = (
    ("dollars", "month", Decimal("0.9"), Decimal("1.1")),
    ("cents", "month", Decimal(90), Decimal(110)),
    ("dollars", "hour", Decimal("0.0012"), Decimal("0.0016")),
    ("cents", "hour", Decimal("0.12"), Decimal("0.16")),
)
"""The unit, the period, and the bounds of the price in it for each dollar a month. An hour is 1/672 to 1/744 of it."""


def prices(run: Run, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note path, unit and form of the price: of the field whose ratio to the catalogue is the same everywhere."""
    ratios: dict[str, list[Decimal]] = defaultdict(list)
    forms: dict[str, set[str]] = defaultdict(set)
    known: set[Decimal] = set()
    for row in rows:
        price = catalog.monthly_price(str(reading.word(reading.field(row, "id", "template"))), None, None)
        if price is None:
            continue
        known.add(price)
        for path, value in reading.paths(row).items():
            number = reading.number_in(value)
            if number is not None and number[0] > 0:
                ratios[path].append(number[0] / price)
                forms[path].add(number[1])
    for path, found in sorted(ratios.items(), key=lambda it: ("price" not in it[0].lower(), it[0])):
        unit = next((it for it in _UNITS if all(it[2] <= ratio <= it[3] for ratio in found)), None)
        if unit is None or len(known) < 2 or len(forms[path]) > 1:
            continue
        bounds = f"{min(found):.4f} to {max(found):.4f}"
        evidence = f"{path} of {len(found)} templates is {bounds} for a dollar of the catalogue"
        run.learned.note("prices.field", path, evidence)
        run.learned.note("prices.unit", unit[0], evidence)
        run.learned.note("prices.per", unit[1], evidence)
        run.learned.note("prices.form", next(iter(forms[path])), evidence)
        return
    if ratios:
        run.problems.append("prices: no field of the templates agrees with the catalogue in any unit")
