"""
Makes untrusted text safe for an error message or a log: no API key, no control characters, limited length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from stacks_pulumi.config import without_keys

__all__ = ["api_words", "scrub", "scrub_body"]

_SECRET_NAME: Final = re.compile(
    r"pass|secret|token|credential|private|certificate|connection_?string", re.IGNORECASE
)
_MARKUP: Final = re.compile(r"\s*<")
_LONGEST: Final = 300
_DEEPEST: Final = 5
_WIDEST: Final = 50


def scrub(text: str, longest: int = _LONGEST) -> str:
    """
    Return the text on one line, shortened, without API keys and without control and direction characters.

    Every text from outside this package passes through this function before it is shown.
    """
    # Everything in the form of a key is removed, because a message may quote another key. This is done before the
    # text is shortened, so that no part of a key remains.
    keyless = without_keys(text[: longest * 20])
    line = " ".join("".join(char if char.isprintable() else " " for char in keyless).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


def scrub_body(body: Any, depth: int = 0) -> Any:
    """Return an error's body in the same shape, with limited size and without secrets."""
    if isinstance(body, str):
        return scrub(body)
    if depth >= _DEEPEST:
        return None
    if isinstance(body, Mapping):
        return {
            scrub(str(name)): "****" if _SECRET_NAME.search(str(name)) else scrub_body(value, depth + 1)
            for name, value in list(body.items())[:_WIDEST]
        }
    if isinstance(body, list):
        return [scrub_body(value, depth + 1) for value in body[:_WIDEST]]
    return body


def api_words(body: Any) -> str:
    """Return the API's message in the body of an error, or an empty string."""
    if isinstance(body, str):
        return "" if _MARKUP.match(body) else scrub(body)
    if not isinstance(body, Mapping):
        return ""
    found: list[str] = []
    for name in ("error", "message", "detail"):
        value = body.get(name)
        if isinstance(value, Mapping):
            value = value.get("message")
        if isinstance(value, str) and value and value not in found:
            found.append(value)
    return scrub(": ".join(found))
