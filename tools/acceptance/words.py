"""The platform's words for a status: what each means, learned from what follows a request."""

from __future__ import annotations

from typing import Any, Final

from tools.acceptance import reading
from tools.acceptance.learned import Learned
from tools.acceptance.sweep import GONE, Pace

__all__ = ["KNOWN", "Trail", "Words"]

KNOWN: Final = frozenset(
    {"pending", "starting", "running", "stopping", "stopped", "restarting", "error", "deleting", "deleted"}
)
_RAW: Final = {"running": "up ", "stopped": "exited"}


class Words:
    """
    The words that are known.

    Args:
        learned: Where new ones are noted.

    Attributes:
        seen: Every word, as the platform spells it.
    """

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._meanings: dict[str, str] = {}
        self._passing: dict[str, str] = {}
        self.seen: set[str] = set()

    def form(self, value: Any) -> None:
        """Note the form of a status, and its word."""
        word = reading.word(value)
        if word is not None:
            self.seen.add(word)
            low = word.lower()
            if low in KNOWN:
                self._learned.word("containers.statuses", word, low, "it is spelt so")
            form = reading.form_of(value)
            self._learned.note(
                "containers.status_form",
                form,
                f"a status is {form if form == 'number' else f'an {form}'}: {word}",
            )

    def means(self, word: str | None) -> str | None:
        """Return the status that a word means; `None` if it is not known."""
        if word is None:
            return None
        low = word.lower()
        return self._meanings.get(low) or (low if low in KNOWN else "deleted" if low in GONE else None)

    def learn(self, word: str, meaning: str, evidence: str) -> None:
        """Note what a word means; the first meaning of a word is kept."""
        if self.means(word) is None:
            self._meanings[word.lower()] = meaning
            self._learned.word("containers.statuses", word, meaning, evidence)

    def pass_by(self, word: str, meaning: str, evidence: str) -> None:
        """
        Note a word on the way to another status.

        It is learned at the end only: a boot may pass through the word for `stopped`, which a stop shows later.
        """
        self._passing.setdefault(word, f"{meaning}|{evidence}")

    def close(self) -> None:
        """Learn the words that were only seen on the way."""
        for word, noted in self._passing.items():
            meaning, _, evidence = noted.partition("|")
            self.learn(word, meaning, evidence)


class Trail:
    """
    The words that a container shows on the way to a status.

    A known word for the goal ends the way. An unknown word that stays means the goal, unless the container's own state
    (`Up 2 seconds`) contradicts; with such a state a few looks are enough. Another lasting status ends the way only if
    it stays, because a boot may pass through `stopped`.

    Args:
        words: The known words.
        goal: `running` or `stopped`.
        pace: The times.

    Attributes:
        passed: The words, without repetitions.
    """

    def __init__(self, words: Words, goal: str, pace: Pace) -> None:
        self._words = words
        self._goal = goal
        self._pace = pace
        self._since = 0.0
        self._last: str | None = ""
        self._end: str | None = None
        self.passed: list[str] = []

    def see(self, word: str | None, means: str | None, raw: str, now: float) -> str | None:
        """Add a look; return the status that the container has reached, `None` while it is on the way."""
        if word != self._last:
            self._last, self._since = word, now
            if word is not None:
                self.passed.append(word)
        stayed = now - self._since
        if means == self._goal:
            self._end = word
            return self._goal
        if means == "gone" and self._goal == "stopped" and stayed >= self._pace.lag:
            return "hidden"
        if word is not None and means is None and self._agrees(raw, stayed):
            self._words.learn(
                word, self._goal, f"it stayed for {stayed:.0f} s, raw status {raw[:24] or 'none'!r}"
            )
            self._end = word
            return self._goal
        if means in {"running", "stopped", "error", "deleted"} and stayed >= self._pace.steady:
            self._end = word
            return means
        return None

    def _agrees(self, raw: str, stayed: float) -> bool:
        if not raw:
            return stayed >= self._pace.steady
        return raw.lower().startswith(_RAW.get(self._goal, raw.lower())) and stayed >= self._pace.lag

    def close(self, passing: str) -> None:
        """Note the words before the last one."""
        for word in self.passed:
            if word != self._end:
                self._words.pass_by(word, passing, f"it was shown before {self._end or self._goal}")
