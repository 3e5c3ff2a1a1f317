"""
Converts text to literals and names of a language.

Names and descriptions come from the account and are untrusted input: any content stays a string literal.
"""

from __future__ import annotations

import builtins
import keyword
import re
from typing import Final

__all__ = ["Identifiers", "literal"]

_RESERVED: Final = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "pulumi", "stacks"})


def literal(value: str | int | bool) -> str:
    """Return a value as a Python literal; a string has the quotes that ruff's formatter chooses."""
    if not isinstance(value, str):
        return repr(value)
    # The quotes that need fewer escapes; double quotes if both need the same.
    quote = "'" if value.count('"') > value.count("'") else '"'
    return f"{quote}{''.join(_escaped(sign, quote) for sign in value)}{quote}"


def _escaped(sign: str, quote: str) -> str:
    if sign in {quote, "\\"}:
        return f"\\{sign}"
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode()


class Identifiers:
    """Creates variable names without duplicates."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wish: str) -> str:
        """Return a name similar to the wanted one that does not shadow another name."""
        base = re.sub(r"[^a-z0-9]+", "_", wish.lower()).strip("_")
        if not base or base[0].isdigit():
            base = f"container_{base}".rstrip("_")
        if base in _RESERVED:
            base = f"{base}_"
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base.rstrip('_')}_{number}", number + 1
        self._taken.add(name)
        return name
