"""Texts that attack the program that shows them, and a check of shown texts."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["ALL", "faults"]

PARTS: Final = (
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "\x9b31m",
    "\x00",
    "\r",
    "\n",
    "\u2028",
    "\u202e",
    "\u2066",
    "\u200b",
    "\U000e0041",
    "\n::set-output name=a::b",
    "::error::x",
    "##vso[task.setvariable variable=a]b",
    "##[group]",
    "##teamcity[x]",
    "<{%boom%}>",
    "<script>alert(1)</script>",
    "[a](https://evil.example)",
    "![a](//evil.example/a.png)",
    "https://evil.example",
    "www.evil.example",
    "@someone",
    "octo/repo#1",
    "`id`",
    "$(id)",
    "'; id; '",
    '"""; import os #',
    "${x}",
    "{{ 1 }}",
    "| a | b |",
    "<!-- -->",
    "-->",
    "\\",
    "%s%n",
    "#",
    "- x",
    "../../x",
    "x",
)
ALL: Final = " ".join(PARTS)
"""All attacks in one text."""

_COMMAND: Final = re.compile(r"(?m)^[ ]*::(?!\d)[\w-]+[^\n]*::|##\w*\[|<\{%")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def faults(text: str, *, breaks: str = "") -> list[str]:
    """
    Return the faults of a shown text: control characters, and commands to CI systems and to the engine.

    Args:
        text: The text.
        breaks: Invisible characters that it contains on purpose, such as a line feed if lines are shown.
    """
    unseen = {
        sign for sign in text if unicodedata.category(sign) in _UNSEEN and sign != "\n" and sign not in breaks
    }
    return [*map(repr, sorted(unseen)), *(match[0] for match in _COMMAND.finditer(text))]
