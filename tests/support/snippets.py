"""The snippets of the documentation, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "Snippet", "commands", "snippets"]

ROOT: Final = Path(__file__).parents[2]
_FOLDERS: Final = ("*.md", "docs/**/*.md", "examples/**/*.md", "policies/*/*.md", ".github/*.md")
_PAGES: Final = sorted(page for pattern in _FOLDERS for page in ROOT.glob(pattern))
_BLOCK: Final = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """A block of a page."""

    page: Path
    language: str
    text: str

    @property
    def name(self) -> str:
        return str(self.page.relative_to(ROOT))


def snippets(*languages: str) -> Iterator[Snippet]:
    for page in _PAGES:
        for indent, language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
            if not languages or language in languages:
                yield Snippet(page, language, re.sub(f"^{indent}", "", text, flags=re.MULTILINE))


def commands(program: str = "") -> Iterator[tuple[str, list[str]]]:
    """Return the commands in all pages, each with its page. Pipelines and lists are split into single commands."""
    for snippet in snippets("sh", "console"):
        text = snippet.text
        if snippet.language == "console":
            text = "\n".join(re.findall(r"^\$ (.*)$", text, re.MULTILINE))
        for line in text.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word and set(word) <= set("();|&"):
                    if words and (not program or words[0] == program):
                        yield snippet.name, words
                    words = []
                else:
                    words.append(word)
