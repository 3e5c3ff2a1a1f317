"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["LEVELS", "Diagnosis", "Level", "ok", "problem", "unknown", "warning"]

Level = Literal["ok", "warning", "problem", "unknown"]

LEVELS: Final[tuple[Level, ...]] = ("problem", "warning", "unknown", "ok")
"""Every level, the most urgent first. A `problem` prevents an `up`; `unknown` is a check that could not be made."""


@dataclass(frozen=True)
class Diagnosis:
    """
    One line of the report.

    Attributes:
        check: What was checked, in one word.
        level: How it is.
        text: How it is, in one sentence.
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
    """Return a finding about something that does not prevent an `up` and needs attention."""
    return Diagnosis(check, "warning", text, fix)


def problem(check: str, text: str, fix: str) -> Diagnosis:
    """Return a finding about something that prevents an `up`."""
    return Diagnosis(check, "problem", text, fix)


def unknown(check: str, text: str, fix: str = "") -> Diagnosis:
    """Return a finding about something that could not be checked."""
    return Diagnosis(check, "unknown", text, fix)
