"""The observations of a run: a verdict with its evidence for each statement."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from tools.acceptance.statements import NEVER, Statement, statements

__all__ = ["Finding", "Findings", "Verdict"]


class Verdict(enum.Enum):
    """Whether a statement is true, as far as the run shows."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    NOT_OBSERVABLE = "not observable"


@dataclass(frozen=True)
class Finding:
    """
    A verdict on a statement.

    Attributes:
        statement: The statement.
        verdict: The verdict.
        evidence: The observation, or the reason for its absence: codes, names of fields and durations; no secret.
    """

    statement: Statement
    verdict: Verdict
    evidence: str


class Findings:
    """
    The findings of a run.

    Several scenes may observe one statement. One refutation is enough, so it takes precedence; the first evidence of a
    verdict is kept.
    """

    def __init__(self) -> None:
        self._seen: dict[Statement, Finding] = {}
        self._why_not: dict[Statement, str] = {}

    def judge(self, subject: str, text: str, holds: object, evidence: str) -> bool:
        """
        Record whether a statement holds.

        Args:
            subject: Its subject.
            text: The beginning of its text.
            holds: Whether it is true.
            evidence: The observation.

        Returns:
            The value of `holds`.
        """
        statement = find(subject, text)
        verdict = Verdict.CONFIRMED if holds else Verdict.REFUTED
        known = self._seen.get(statement)
        if known is None or (verdict is Verdict.REFUTED and known.verdict is Verdict.CONFIRMED):
            self._seen[statement] = Finding(statement, verdict, evidence)
        return bool(holds)

    def skip(self, subject: str, text: str, reason: str) -> None:
        """Record why a statement could not be observed; a verdict takes precedence."""
        self._why_not.setdefault(find(subject, text), reason)

    def all(self) -> list[Finding]:
        """Return a finding for every statement."""
        reasons = {find(*key): reason for key, reason in NEVER.items()}
        return [
            self._seen.get(statement)
            or Finding(
                statement,
                Verdict.NOT_OBSERVABLE,
                self._why_not.get(statement)
                or reasons.get(statement)
                or "the run did not get that far; see the problems",
            )
            for statement in statements()
        ]

    def refuted(self) -> list[str]:
        """Return the statements that are refuted."""
        return [str(it.statement) for it in self.all() if it.verdict is Verdict.REFUTED]


def find(subject: str, text: str, among: Iterable[Statement] | None = None) -> Statement:
    """
    Return the one statement of a subject that begins with a text.

    Raises:
        LookupError: No statement fits, or several do.
    """
    found = [
        it
        for it in (statements() if among is None else among)
        if it.subject == subject and it.text.startswith(text)
    ]
    if len(found) != 1:
        msg = f"{len(found)} statements about {subject} begin with {text!r}"
        raise LookupError(msg)
    return found[0]
