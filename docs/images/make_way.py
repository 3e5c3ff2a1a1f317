# ruff: noqa: INP001  (a script beside what it makes)
"""
Make way.svg again: a line of a program, and what its preview, the gate and the account print of it.

    .venv/bin/python docs/images/make_way.py
"""

from __future__ import annotations

import html
import re
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Final

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

import make_gate  # noqa: E402  (after the path)
import make_terminal  # noqa: E402  (as above)

from stacks_pulumi.emulator import Emulator  # noqa: E402  (as above)
from tests.support.clock import fast_clock  # noqa: E402  (as above)

CACHE: Final = 'stacks.Container("orders-cache", template="redis-micro")'
WIDTH: Final = 610
COLUMNS: Final = 68
LINE: Final = 19
FONT: Final = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
STYLE: Final = """
.process { fill: none; stroke: #8c959f; stroke-dasharray: 5 4 }
.back { fill: #ffffff; stroke: #d0d7de } .box { fill: #f0f7f5; stroke: #0d7a6b }
.ink { fill: #1f2328 } .grey { fill: #57606a } .line { stroke: #0d7a6b; stroke-width: 2 } .tip { fill: #0d7a6b }
@media (prefers-color-scheme: dark) {
.back { fill: #1b1f27; stroke: #3d444d } .box { fill: #17332f; stroke: #4fb3a4 } .process { stroke: #6e7781 }
.ink { fill: #e6edf3 } .grey { fill: #9aa4af } .line { stroke: #4fb3a4 } .tip { fill: #4fb3a4 }
}"""
MONO: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"


def main() -> None:
    """Add a container to a stack by way of the gate, and draw what each step prints."""
    with tempfile.TemporaryDirectory() as name, Emulator(boot_seconds=1, clock=fast_clock()) as emulator:
        shop = make_gate.Shop(Path(name), emulator)
        shop.plan(make_terminal.SHOP)
        shop.approve()
        shop.apply()
        planned = shop.plan(make_terminal.SHOP + CACHE)

        def those(printed: str, wanted: str) -> list[str]:
            """Return the lines that match."""
            found = [line for line in printed.splitlines() if re.search(wanted, line)]
            if not found:
                raise RuntimeError(printed)
            return found

        steps = [
            ("Write a program", "__main__.py", ["+ " + CACHE]),
            (
                "See the price",
                "pulumi preview",
                [line.strip() for line in those(shop.run("pulumi preview"), r"^ +\d containers: ")],
            ),
            (
                "Apply what a person approved",
                "stacks-pulumi gate",
                [
                    *those(planned, "^shop/dev: "),
                    *those(shop.approve(), r"POST /containers"),
                    *those(shop.apply(), r"^ +(\+ )?\d (created|unchanged)$"),
                ],
            ),
            (
                "Know what each stack owns",
                "stacks-pulumi account",
                those(shop.run("stacks-pulumi account"), r"shop/dev +\$|^The"),
            ),
        ]
    (HERE / "way.svg").write_text(drawn(steps), encoding="utf-8")


def drawn(steps: list[tuple[str, str, list[str]]]) -> str:
    """Return the drawing."""
    parts: list[str] = []
    y = 20
    for number, (title, command, lines) in enumerate(steps):
        rows = [row for line in lines for row in textwrap.wrap(line, COLUMNS, drop_whitespace=False)]
        height = 40 + LINE * len(rows) + 8
        parts += [
            f'<rect class="box" x="20" y="{y}" width="{WIDTH - 40}" height="{height}" rx="6"/>',
            text(36, y + 25, f"{number + 1}. {title}", "ink", size=17, weight=600),
            text(WIDTH - 36, y + 25, command, "grey", size=14, anchor="end"),
        ]
        parts += [
            f'<text class="ink" x="36" y="{y + 48 + LINE * row}" font-size="13" font-family="{MONO}" '
            f'xml:space="preserve">{html.escape(line, quote=False)}</text>'
            for row, line in enumerate(rows)
        ]
        y += height
        if number < len(steps) - 1:
            parts.append(f'<line class="line" x1="56" y1="{y}" x2="56" y2="{y + 15}"/>')
            parts.append(f'<path class="tip" d="M51 {y + 15} H61 L56 {y + 22} Z"/>')
        y += 22
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" font-family="{FONT}">',
            "<title>The way of a change: program, preview with its price, gate, account</title>",
            f"<style>{STYLE}\n</style>",
            f'<rect class="back" x=".5" y=".5" width="{WIDTH - 1}" height="{y - 1}" rx="8"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def text(x: int, y: int, said: str, look: str, *, size: int, weight: int = 400, anchor: str = "start") -> str:
    """Return a line of text; `x` is its start, or its `anchor`, and `look` a class of `STYLE`."""
    return (
        f'<text class="{look}" x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{said}</text>'
    )


if __name__ == "__main__":
    main()
