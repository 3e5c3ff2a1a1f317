"""The drawing of a request's path, as SVG: the process of each part, and its data for the next part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FONT", "STYLE", "draw", "text"]

_WIDTH: Final = 610
_LEFT: Final = 24
_BOX: Final = 400
_HEIGHT: Final = 58
_STEP: Final = 108
_TOP: Final = 70
FONT: Final = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
STYLE: Final = """
.process { fill: none; stroke: #8c959f; stroke-dasharray: 5 4 }
.back { fill: #ffffff; stroke: #d0d7de } .box { fill: #f0f7f5; stroke: #0d7a6b }
.ink { fill: #1f2328 } .grey { fill: #57606a } .line { stroke: #0d7a6b; stroke-width: 2 } .tip { fill: #0d7a6b }
@media (prefers-color-scheme: dark) {
.back { fill: #1b1f27; stroke: #3d444d } .box { fill: #17332f; stroke: #4fb3a4 } .process { stroke: #6e7781 }
.ink { fill: #e6edf3 } .grey { fill: #9aa4af } .line { stroke: #4fb3a4 } .tip { fill: #4fb3a4 }
}"""


@dataclass(frozen=True)
class _Part:
    """
    A box.

    Attributes:
        name: The part's name.
        said: The part's task.
        handed: Its data for the next part; empty for the last one.
        returned: The result that comes back.
    """

    name: str
    said: str
    handed: str = ""
    returned: str = ""


_PARTS: Final = (
    _Part("Your program", "declares resources", "resources and inputs", "outputs, or one line of error"),
    _Part(
        "Pulumi's engine", "compares them with the state", "Check, Diff, Create ...", "result for the state"
    ),
    _Part(
        "Host",
        "dynamic host (Python) or native plugin",
        "one call, its timeout",
        "outputs, or the id to keep",
    ),
    _Part("Resource", "validates, looks, sends once, waits", "typed request", "model or typed error"),
    _Part("Client", "rate limit, retries, shared reads", "HTTPS", "status and JSON"),
    _Part("STACKS API, or the emulator", "creates and runs the containers"),
)
_PROCESSES: Final = ((1, 1, "engine process"), (2, 4, "provider process"))
"""The first and last box of each process, and its name; the program and the API run elsewhere."""


def draw() -> str:
    """Return the drawing."""
    height = _TOP + _STEP * (len(_PARTS) - 1) + _HEIGHT + 24
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" font-family="{FONT}">',
        "<title>The way of a request: program, engine, host, resource, client, API</title>",
        f"<style>{STYLE}\n</style>",
        f'<rect class="back" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>',
        text(_LEFT + 16, 42, "A request, and what comes back", "ink", size=19, weight=600),
    ]
    for first, last, name in _PROCESSES:
        top, bottom = _y(first) - 8, _y(last) + _HEIGHT + 8
        box = f'x="{_LEFT}" y="{top}" width="{_WIDTH - 2 * _LEFT}" height="{bottom - top}" rx="8"'
        lines.append(f'<rect class="process" {box}/>')
        lines.append(text(_WIDTH - _LEFT - 12, top + 26, name, "grey", size=14, anchor="end"))
    for number, part in enumerate(_PARTS):
        lines += _drawn(number, part)
    return "\n".join([*lines, "</svg>", ""])


def _drawn(number: int, part: _Part) -> list[str]:
    left, top = _LEFT + 16, _y(number)
    lines = [
        f'<rect class="box" x="{left}" y="{top}" width="{_BOX}" height="{_HEIGHT}" rx="6"/>',
        text(left + 16, top + 24, part.name, "ink", size=17, weight=600),
        text(left + 16, top + 45, part.said, "grey", size=15),
    ]
    if part.handed:
        below, end = top + _HEIGHT, _y(number + 1)
        for x, start, stop, label in (
            (left + 40, below, end, part.handed),
            (left + 230, end, below, part.returned),
        ):
            tip = stop - 7 if stop > start else stop + 7
            lines.append(f'<line class="line" x1="{x}" y1="{start}" x2="{x}" y2="{tip}"/>')
            lines.append(f'<path class="tip" d="M{x - 5} {tip} H{x + 5} L{x} {stop} Z"/>')
            lines.append(text(x + 12, (start + stop) // 2 + 5, label, "ink", size=14))
    return lines


def _y(number: int) -> int:
    return _TOP + _STEP * number


def text(x: int, y: int, said: str, look: str, *, size: int, weight: int = 400, anchor: str = "start") -> str:
    """Return a line of text; `x` is its start, or its `anchor`, and `look` a class of `STYLE`."""
    return (
        f'<text class="{look}" x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{said}</text>'
    )
