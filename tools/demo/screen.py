"""What the person at the screen reads: headings, results, and the engine's own lines with less around them."""

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
    r"Loading policy packs|@ \w+ing[ .]"  # a sign of life, where every resource gives its own
    r"|(Previewing|Updating|Refreshing|Destroying) .*:$"  # the heading of the step says it
    r"|[ +~-]+pulumi:pulumi:Stack"  # the stack itself
    r"|    pulumi"  # a resource to which nothing happens
)
_DONE: Final = re.compile(r"((?:created|updated|deleted) \([\d.]+s\)(?: \[diff: [^]]*\])?).*")
"""A resource that is done, and after it the last line of its progress, which is over."""


def is_terminal() -> bool:
    """Whether a person watches, and not a pipe or a file."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def say(text: str = "") -> None:
    """Print one line immediately."""
    print(text, flush=True)


def heading(number: int, title: str, command: str | None) -> None:
    """Begin a step: what it does, and the command that does it."""
    say()
    say(_painted(f"{number}. {title}", _BOLD))
    if command is not None:
        say(_painted(f"{_INDENT}$ {command}", _DIM))
    say()


def result(text: str, details: Sequence[str] = ()) -> None:
    """What a step showed, and a list of what that is made of."""
    say(f"{_painted('=>', _GREEN)} {text}")
    # A line may only break between two details.
    joined = ", ".join(detail.replace(" ", _NO_BREAK) for detail in details)
    for line in textwrap.wrap(joined, _WIDTH - len(_INDENT)):
        say(_painted(f"{_INDENT}{line.replace(_NO_BREAK, ' ')}", _DIM))


def table(rows: Sequence[Sequence[str]]) -> None:
    """Rows with their columns one under the other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say(f"{_INDENT}{'  '.join(cells).rstrip()}")


def condensed(lines: Iterable[str]) -> Iterator[str]:
    """The engine's lines as they go into a pipe: without noise, and with blank lines only between others."""
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
