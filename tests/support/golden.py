"""Compares complete documents, which programs read, with files; `pytest --write-golden` writes the files again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["FOLDER", "Golden"]

FOLDER: Final = Path(__file__).parents[1] / "golden"
CHANGING: Final = {
    "PORT": r"(?<=127\.0\.0\.1:)\d+",
    "TIME": r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00:00)",
    "UUID": r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "ORIGIN": r"\b[0-9a-f]{16}-[0-9a-f]{8}\b",
    "DIGEST": r"\b[0-9a-f]{64}\b",
}
"""Patterns of values that differ in each run -> the word that replaces them."""


class Golden:
    """
    Compares documents with the files in `tests/golden`.

    Args:
        writes: Whether to write the files instead.
    """

    def __init__(self, *, writes: bool) -> None:
        self._writes = writes

    def text(self, name: str, text: str, replaced: Mapping[str, str] | None = None) -> None:
        """
        Compare a text with a file.

        Args:
            name: The file's name.
            text: The document.
            replaced: Values that differ in each run, with the words that replace them.
        """
        for part, word in (replaced or {}).items():
            text = text.replace(part, word)
        for word, pattern in CHANGING.items():
            text = re.sub(pattern, word, text)
        file = FOLDER / name
        text = text.rstrip("\n") + "\n"
        if self._writes:
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8"), (
            f"{file} differs: look, then run it with --write-golden"
        )

    def json(self, name: str, document: Any, replaced: Mapping[str, str] | None = None) -> None:
        """Compare a JSON document, with one value per line and the keys in their order."""
        self.text(name, json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True), replaced)
