"""Texts that attack what shows them, and what a shown text must not have."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from markdown_it import MarkdownIt

__all__ = ["ALL", "drawn", "faults", "markdown_faults", "shell_faults"]

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
"""All of them in one text."""

_COMMAND: Final = re.compile(r"(?m)^[ ]*::(?!\d)[\w-]+[^\n]*::|##\w*\[|<\{%")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def drawn(chance: Random) -> str:
    """Return a hostile text."""
    return "".join(chance.choice(PARTS) for _ in range(chance.randint(1, 4)))


def faults(text: str, *, breaks: str = "") -> list[str]:
    """
    Return what is wrong with a shown text: control characters, and commands to CI systems and to the engine.

    Args:
        text: The text.
        breaks: Invisible characters that it has on purpose. A line feed is one of them only where lines are shown.
    """
    unseen = {
        sign for sign in text if unicodedata.category(sign) in _UNSEEN and sign != "\n" and sign not in breaks
    }
    return [*map(repr, sorted(unseen)), *(match[0] for match in _COMMAND.finditer(text))]


def markdown_faults(text: str) -> list[str]:
    """Return the links, pictures and unexpected HTML and code of a page."""
    return [*_elements(MarkdownIt("gfm-like", {"linkify": False}).parse(text)), *_links(text)]


def _elements(tokens: list[Any]) -> Iterator[str]:
    for token in tokens:
        if token.type in {"link_open", "image", "code_inline", "code_block"} or (
            token.type == "html_inline" and token.content not in {"<sub>", "</sub>"}
        ):
            yield f"{token.type}: {token.content}"
        elif token.type == "html_block":
            # Our own: the marker of the comment, the folded parts and the footer.
            rest = re.sub(r"<!-- stacks-pulumi cost: \S+ -->|</?(details|summary|sub)>", "", token.content)
            if "<" in rest:
                yield f"html: {rest}"
        yield from _elements(token.children or [])


def _links(text: str) -> Iterator[str]:
    """Yield what GitHub makes a link of, outside of the blocks with commands."""
    prose = re.sub(r"(?ms)^ *(`{3,})sh\n.*?^ *\1$", "", text)
    for found in re.finditer(r"\w://|www\.|@\w|(?<!&)#\d", prose):
        yield f"link: {prose[max(0, found.start() - 20) : found.end() + 20]!r}"


def shell_faults(command: str) -> list[str]:
    """Return what a shell would carry out in a command, besides the pipe of ours that hands the key to curl."""
    words = list(shlex.shlex(command, posix=True, punctuation_chars=True))
    operators = [word for word in words if word and set(word) <= set("();<>|&")]
    bare = re.sub(r"'[^']*'", "", command).replace('"$STACKS_API_KEY" | ', "", 1)
    found = [f"operator {word}" for word in operators if word != "|"]
    found += ["a second pipe"] if operators.count("|") > 1 else []
    found += [f"expansion in {bare}"] if set("$`*?~#\\") & set(bare.replace('"\'"', "")) else []
    return found
