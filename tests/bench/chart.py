"""A chart of the figures as SVG. The bars are multiples of the bound, so that small and large stacks are comparable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.bench.run import Row

_PANEL = 400
_LEFT = 84
_GAP = 56
_TOP = 84
_BAR = 17
_GROUP = 94
_COLOURS = {"ours": "#1f6f50", "native": "#3f77b5", "peer": "#8a5a9e", "plain": "#c9a227"}
_INK = "#24292f"
_GREY = "#6e7781"
_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class _Panel:
    title: str
    value: Callable[[Row], float]
    least: Callable[[Row], float]
    unit: str


_PANELS = (
    _Panel("Seconds, in multiples of the bound", lambda row: row.seconds, lambda row: row.bound, " s"),
    _Panel(
        "Calls, in multiples of those that must be made",
        lambda row: row.calls,
        lambda row: row.case.calls_at_least(row.verb),
        " calls",
    ),
)


def draw(rows: Sequence[Row]) -> str:
    """Return the chart of `up` at 60 requests a minute."""
    ups = sorted(
        (
            row
            for row in rows
            if row.verb == "up"
            and row.case.per_minute
            and not row.case.real
            and not row.case.with_container
            and row.case.provider in _COLOURS
        ),
        key=lambda row: (
            row.case.containers,
            row.case.children,
            list(_COLOURS).index(row.case.provider),
        ),
    )
    sizes = list(dict.fromkeys(row.case.what for row in ups))
    height = _TOP + _GROUP * len(sizes) + 24
    width = 2 * _PANEL + _GAP + 2 * _LEFT
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img' {_FONT}>",
        "<title>pulumi up at 60 requests a minute: both of our hosts and other providers</title>",
        f"<rect width='{width}' height='{height}' rx='8' fill='#ffffff'/>",
        _text(_LEFT, 30, "pulumi up, 20 s boot, 60 requests a minute", 16, weight=600),
        *_legend(width - _LEFT),
    ]
    for number, panel in enumerate(_PANELS):
        parts.extend(_panel(panel, _LEFT + number * (_PANEL + _GAP), ups, sizes, first=number == 0))
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    panel: _Panel, left: int, ups: Sequence[Row], sizes: Sequence[str], *, first: bool
) -> Iterator[str]:
    yield _text(left, 62, panel.title, 13, weight=600)
    # Space for the label after the longest bar.
    longest = math.ceil(max((panel.value(row) / panel.least(row) for row in ups), default=1.0))
    unit = (_PANEL - 110) / longest
    bottom = _TOP + _GROUP * len(sizes)
    for group, size in enumerate(sizes):
        top = _TOP + _GROUP * group
        if first:
            yield _text(left - 10, top + _BAR + 6, size, 13, anchor="end")
        for slot, row in enumerate(row for row in ups if row.case.what == size):
            ratio = panel.value(row) / panel.least(row)
            y = top + slot * (_BAR + 3)
            yield (
                f"<rect x='{left}' y='{y}' width='{ratio * unit:.1f}' height='{_BAR}' rx='2' "
                f"fill='{_COLOURS[row.case.provider]}'/>"
            )
            label = f"{ratio:.2f} x  ({panel.value(row):.0f}{panel.unit})"
            yield _text(left + ratio * unit + 6, y + 13, label, 11, colour=_INK)
    yield (
        f"<line x1='{left + unit:.1f}' y1='{_TOP - 8}' x2='{left + unit:.1f}' y2='{bottom - 8}' stroke='{_INK}' "
        "stroke-dasharray='3 3'/>"
    )
    yield _text(left + unit, bottom + 8, "1 x", 11, anchor="middle", colour=_GREY)
    if first:
        yield _text(left - 10, bottom + 8, "containers", 11, anchor="end", colour=_GREY)


def _legend(right: int) -> Iterator[str]:
    for place, (provider, colour) in enumerate(reversed(_COLOURS.items())):
        x = right - 70 * (place + 1)
        yield f"<rect x='{x}' y='19' width='12' height='12' rx='2' fill='{colour}'/>"
        yield _text(x + 18, 30, provider, 13)


def _text(
    x: float, y: float, text: str, size: int, *, anchor: str = "start", weight: int = 400, colour: str = _INK
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' font-weight='{weight}' "
        f"fill='{colour}'>{text}</text>"
    )
