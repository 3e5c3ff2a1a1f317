"""
Text of others, made fit for an error message or a log: no key, no control characters, no novel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["api_words", "same_name", "scrub", "scrub_body"]

_KEY: Final = re.compile(r"sk_stacks_\w*", re.IGNORECASE)
_SECRET_NAME: Final = re.compile(
    r"pass|secret|token|credential|private|certificate|connection_?string", re.IGNORECASE
)
_MARKUP: Final = re.compile(r"\s*<")
_LONGEST: Final = 300
_DEEPEST: Final = 5
_WIDEST: Final = 50


def scrub(text: str, longest: int = _LONGEST) -> str:
    """
    The text on one line, without any API key, control or direction characters, and not longer than that.

    Every text that did not come from this package goes through here before a person sees it.
    """
    # Whatever looks like a key goes, not only ours: a message may quote the key of a colleague. It goes first, so
    # that no cut leaves half a key behind.
    keyless = _KEY.sub("sk_stacks_...", text[: longest * 20])
    line = " ".join("".join(char if char.isprintable() else " " for char in keyless).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


def same_name(one: str | None, other: str) -> bool:
    """Whether two names are equal without regard to case: the API may store a name in lower case."""
    return one is not None and one.casefold() == other.casefold()


def scrub_body(body: Any, depth: int = 0) -> Any:
    """An error's body for keeping: the same shape, bounded, with nothing secret in it."""
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
    """What the API itself says in the body of an error, or an empty string."""
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
