"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["LEVELS", "Diagnosis", "Level", "ok", "problem", "unknown", "warning"]

Level = Literal["ok", "warning", "problem", "unknown"]

LEVELS: Final[tuple[Level, ...]] = ("problem", "warning", "unknown", "ok")
"""All levels, the most urgent first. A `problem` prevents an `up`; `unknown` means that the check was impossible."""


@dataclass(frozen=True)
class Diagnosis:
    """
    One line of the report.

    Attributes:
        check: What was checked, in one word.
        level: The severity.
        text: The result in one sentence.
        fix: The command or the step that fixes it; empty if there is nothing to fix.
    """

    check: str
    level: Level
    text: str
    fix: str = ""


def ok(check: str, text: str) -> Diagnosis:
    """Return a finding about something that is in order."""
    return Diagnosis(check, "ok", text)


def warning(check: str, text: str, fix: str) -> Diagnosis:
    """Return a finding about something that needs attention but does not prevent an `up`."""
    return Diagnosis(check, "warning", text, fix)


def problem(check: str, text: str, fix: str) -> Diagnosis:
    """Return a finding about something that prevents an `up`."""
    return Diagnosis(check, "problem", text, fix)


def unknown(check: str, text: str, fix: str = "") -> Diagnosis:
    """Return a finding about something that could not be checked."""
    return Diagnosis(check, "unknown", text, fix)
