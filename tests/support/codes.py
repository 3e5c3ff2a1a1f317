"""The codes in a user's output: at the end of every error, and nowhere else."""

from __future__ import annotations

import re
import typing

from stacks_pulumi.errors import ErrorCode

_CODE = re.compile(rf" \[(?:{'|'.join(typing.get_args(ErrorCode))})\]")


def has_a_code(text: str) -> bool:
    """Return whether a text contains a code at any place."""
    return _CODE.search(text) is not None


def has_one_code(text: str) -> bool:
    """Return whether a text contains exactly one code, at its end."""
    return [found.end() for found in _CODE.finditer(text)] == [len(text)]
