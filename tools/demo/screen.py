"""The output on the screen: headings, results, and a selection of the engine's lines."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

__all__ = ["condensed", "heading", "is_terminal", "result", "say", "table"]

_BOLD: Final = "1"
_DIM: Final = "2"
_GREEN: Final = "32"
_WIDTH: Final = 100
_INDENT: Final = "   "
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"

_TYPE: Final = re.compile(r"pulumi-python:dynamic/stacks:(\w+)")
_NOISE: Final = re.compile(
    r"Loading policy packs|@ \w+ing[ .]"  # a general progress line; every resource has its own line
    r"|(Previewing|Updating|Refreshing|Destroying) .*:$"  # the heading of the step has the same text
    r"|[ +~-]+pulumi:pulumi:Stack"  # the stack itself
    r"|    pulumi"  # an unchanged resource
)
_DONE: Final = re.compile(r"((?:created|updated|deleted) \([\d.]+s\)(?: \[diff: [^]]*\])?).*")
"""A finished resource, followed by the last line of its progress, which is outdated."""


def is_terminal() -> bool:
    """Return whether the output goes to a terminal instead of a pipe or a file."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def say(text: str = "") -> None:
    print(text, flush=True)


def heading(number: int, title: str, command: str | None) -> None:
    """Print the heading of a step: its purpose and its command."""
    say()
    say(_painted(f"{number}. {title}", _BOLD))
    if command is not None:
        say(_painted(f"{_INDENT}$ {command}", _DIM))
    say()


def result(text: str, details: Sequence[str] = ()) -> None:
    """Print the result of a step and a list of its details."""
    say(f"{_painted('=>', _GREEN)} {text}")
    # A line break is allowed only between two details.
    joined = ", ".join(detail.replace(" ", _NO_BREAK) for detail in details)
    for line in textwrap.wrap(joined, _WIDTH - len(_INDENT)):
        say(_painted(f"{_INDENT}{line.replace(_NO_BREAK, ' ')}", _DIM))


def table(rows: Sequence[Sequence[str]]) -> None:
    """Return rows with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say(f"{_INDENT}{'  '.join(cells).rstrip()}")


def condensed(lines: Iterable[str]) -> Iterator[str]:
    """Yield the engine's lines for a pipe, without progress lines and repeated blank lines."""
    blank, begun = False, False
    for given in lines:
        if _NOISE.match(given):
            continue
        line = _DONE.sub(r"\1", _TYPE.sub(r"\1", given)).rstrip()
        if line and blank and begun:
            yield ""
        if line:
            yield f"{_INDENT}{line}"
        blank, begun = not line, begun or bool(line)


def _painted(text: str, code: str) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{code}m{text}\033[0m"
