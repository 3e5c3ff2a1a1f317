"""What a run learns of the platform beyond the guide, with the evidence, as a platform file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, get_type_hints

from stacks_pulumi import platform_file

__all__ = ["FACTS", "GUIDE", "Learned"]

GUIDE: Final[dict[str, Any]] = {
    "lists.rows": "data",
    "lists.count_is_rows": True,
    "lists.page_code": 200,
    "containers.status_form": "text",
    "lists.empty": "list",
    "containers.type_is": "template",
    "containers.name_taken": "refused",
    "containers.id_form": "name",
    "containers.create_code": 202,
    "containers.storage_unit": "MB",
    "containers.name_prefix": "",
    "containers.name_case": "kept",
    "containers.create_id": "container",
    "containers.listed_while_pending": True,
    "containers.listed_while_stopped": True,
    "containers.created_at_in": "both",
    "containers.created_at_changes": [],
    "access.url_in_answer": True,
    "access.own_address_description": "Your IP (Auto-added)",
    "access.address_form": "given",
    "connections.listed_at": "both",
    "connections.name_form": "given",
    "connections.restarts_both": False,
    "backups.id_form": "number",
    "backups.pinned_form": "flag",
    "vpn_clients.config_in": "download",
    "prices.field": "price",
    "prices.unit": "dollars",
    "prices.per": "month",
    "prices.form": "number",
    "errors.unavailable": "waitlist",
    "errors.missing_code": 404,
    "errors.conflict_code": 400,
    "errors.form": "guide",
    "errors.rate_headers": "guide",
    "answers.keys": "guide",
    "answers.wrapped": "guide",
    "answers.unknown_fields": False,
    "answers.times": "guide",
}
"""What the guide says, or shows, and the emulator plays by default."""

_MARGIN: Final = 1.5
_LONGEST: Final = 160


class Learned:
    """
    What a run learns.

    Only what differs from the guide is written. A fact that was looked at and is as the guide says is named in the
    head of the file, and one that was not seen too: it stays unknown.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, str]] = {}
        self._same: set[str] = set()

    def note(self, name: str, value: Any, evidence: str) -> None:
        """
        Note a fact, for instance `containers.type_is`.

        What differs from the guide takes precedence over what does not, and a longer time over a shorter one.
        """
        if name not in FACTS:
            return
        nothing = value is None or (not isinstance(value, bool) and value in ({}, [], 0))
        guide = GUIDE.get(name)
        if nothing or (value == guide and isinstance(value, bool) == isinstance(guide, bool)):
            self._same.add(name)
            return
        known = self._known.get(name)
        if known is None or (name.endswith("_seconds") and value > known[0]):
            self._known[name] = (value, evidence)

    def seconds(self, name: str, seconds: float, evidence: str) -> None:
        """Note a time that was measured; 0 if it took none."""
        self.note(name, math.ceil(seconds), evidence)

    def most(self, name: str, seconds: float, evidence: str) -> None:
        """Note the most seconds of something, from one measurement: with half of it as a margin."""
        self.note(name, math.ceil(seconds * _MARGIN), f"{evidence}; {seconds:.0f} s were seen, half is added")

    def word(self, name: str, word: str, meaning: str, evidence: str) -> None:
        """Note what a word of the platform means; nothing if it is the guide's own word."""
        if name not in FACTS:
            return
        words, reasons = self._known.get(name, ({}, ""))
        if word == meaning:
            self._same.add(name)
        elif word not in words:
            text = f"{word} is {meaning}: {evidence}"
            self._known[name] = ({**words, word: meaning}, f"{reasons}; {text}" if reasons else text)

    def entry(self, name: str, entry: str, evidence: str) -> None:
        """Add an entry to a fact that is a list."""
        if name not in FACTS:
            return
        entries, reasons = self._known.get(name, ([], ""))
        if entry not in entries:
            self._known[name] = ([*entries, entry], f"{reasons}; {evidence}" if reasons else evidence)

    def same(self, name: str) -> None:
        """Note that a fact was looked at, and is as the guide says."""
        self._same.add(name)

    def get(self, name: str) -> Any:
        """Return a fact; `None` if it is not known, or as the guide says."""
        return self._known.get(name, (None, ""))[0]

    def meaning(self, name: str, word: str) -> str | None:
        """Return what a word of the platform means; `None` if it is not known."""
        words = {it.lower(): meaning for it, meaning in (self.get(name) or {}).items()}
        return words.get(word.lower())

    def forget(self, name: str) -> None:
        """Remove a fact that another one explains."""
        self._known.pop(name, None)

    def forget_word(self, name: str, word: str) -> None:
        """Remove a word that another fact explains."""
        words, reasons = self._known.get(name, ({}, ""))
        left = {it: meaning for it, meaning in words.items() if it != word}
        if left:
            self._known[name] = (left, reasons)
        else:
            self._known.pop(name, None)

    def lines(self) -> list[tuple[str, str, str]]:
        """Return each fact as the file has it: its name, its value in YAML, and the evidence."""
        return [
            (name, platform_file.in_json(value), evidence)
            for name, (value, evidence) in sorted(self._known.items(), key=lambda it: FACTS.index(it[0]))
        ]

    def text(self, about: str, scrubbed: Callable[[str], str]) -> str:
        """
        Return the platform file.

        Args:
            about: One line on the run.
            scrubbed: Removes secrets from the evidence.
        """
        lines = [
            f"# {_line(about)}",
            "# Each line is what this run saw. What is not here is not known, or as the guide says.",
        ]
        for title, names in (
            ("As the guide says", sorted(self._same - set(self._known))),
            ("Not seen", [name for name in FACTS if name not in self._same and name not in self._known]),
        ):
            lines += [f"# {title}: {', '.join(names) or 'nothing'}."]
        lines.append(f"version: {platform_file.VERSION}")
        section = ""
        for name, value, evidence in self.lines():
            part, _, setting = name.partition(".")
            if part != section:
                lines.append(f"{part}:")
                section = part
            lines += [f"  # {_line(scrubbed(evidence))}", f"  {setting}: {value}"]
        return "\n".join(lines) + "\n"


def _names() -> list[str]:
    """Return every fact that a platform file has, in its order."""
    hints: Mapping[str, Any] = get_type_hints(platform_file.PlatformFacts)
    return [
        f"{part}.{name}"
        for part in platform_file.PlatformFacts.__struct_fields__
        if part != "version"
        for name in hints[part].__struct_fields__
    ]


FACTS: Final = _names()
"""Every fact that a platform file can have, in its order."""


def _line(text: str) -> str:
    """Return a text from the API as the rest of a comment: one line without control characters."""
    return re.sub(r"[^\x20-\x7e]+", " ", text)[:_LONGEST]
