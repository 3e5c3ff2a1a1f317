"""The departure of a deleted container: when the status and the list drop it, and what they show until then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tools.acceptance import reading
from tools.acceptance.budget import OutOfTimeError
from tools.acceptance.run import Run, Seen

__all__ = ["Departure", "discard"]

_LOOKS: Final = 30
"""How many looks a word stays until the container counts as listed for ever."""


def discard(run: Run, id_: str | None) -> None:
    """Delete a container, and wait until nothing shows it; the sweep deletes what this leaves."""
    if id_ is None:
        return
    before = run.leave(id_)
    run.api.call("containers.delete", id_)
    Departure(run, id_, before).wait()


class Departure:
    """
    Waits for the end of one container that was asked to be deleted.

    Args:
        run: The run.
        id_: The container.
        before: Its status before the request.
        when_gone: Called with each look after the status no longer has it, or has it as deleted; returns whether the
            wait ends, because a later sighting may be of another container.

    Attributes:
        end: The word of the status that has the container as deleted; `None` if the status no longer has it.
    """

    def __init__(
        self, run: Run, id_: str, before: Seen, when_gone: Callable[[], bool] = lambda: False
    ) -> None:
        self._run = run
        self._id = id_
        self._known = {word.lower() for word in run.words.seen} | {(before.word or "").lower()}
        self._when_gone = when_gone
        self._began = run.now()
        self._gone: float | None = None
        self._stale: float | None = None
        self._unlisted: float | None = None
        self._relisted = False
        self._replaced = False
        self._since: dict[str, float] = {}
        self._until: dict[str, float] = {}
        self._shown: set[str | None] = set()
        self.end: str | None = None

    def wait(self) -> bool:
        """Return whether nothing shows the container any more, or everything as deleted."""
        try:
            self._run.until(self._look, bool, f"the end of {self._id}")
        except OutOfTimeError as error:
            if self._run.deadline.left <= 0:
                raise
            words = ", ".join(self._since) or "no status"
            self._run.problems.append(f"a deletion: {error}; shown: {words}")
            return False
        self._note()
        self._run.tombstone_measured = self._run.tombstone_measured or not self._replaced
        self._run.is_over(self._id)
        return True

    def _look(self) -> bool:
        run, now = self._run, self._run.now()
        seen, row = run.look(self._id), run.row(self._id)
        listed = None if row is None else reading.word(reading.field(row, "status", "state"))
        self._shown = {seen.word, listed}
        for word in (seen.word, listed):
            if word is not None and (word.lower() not in self._known or run.words.means(word) == "deleted"):
                self._since.setdefault(word, now)
                self._until[word] = now
        if seen.means == "gone" or self._is_tombstone(seen.word, now):
            self._gone = now if self._gone is None else self._gone
            self.end = seen.word
            if self._when_gone():
                self._replaced = True
                return True
        elif seen.word is not None:
            self._gone = None
        over = self._gone is not None and (self._is_unlisted(row, now) or self._is_tombstone(listed, now))
        if self._gone is not None and row is not None and not self._is_new(listed):
            self._stale = now
        if not over:
            return False
        measured = all(
            now - self._since.get(word, now) >= _LOOKS * run.pace.interval
            for word in self._shown
            if word is not None
        )
        # It is measured once.
        return measured or run.tombstone_measured

    def _is_unlisted(self, row: object, now: float) -> bool:
        """
        Return whether no list has the container. One that lacks it proves nothing: the next may come from a server that
        is behind. So the first departure of a run is looked at for as long as a list may be behind.
        """
        run = self._run
        if row is not None:
            self._relisted = self._relisted or self._unlisted is not None
            self._unlisted = None
            return False
        self._unlisted = now if self._unlisted is None else self._unlisted
        return run.tombstone_measured or now - self._unlisted >= run.pace.lag

    def _is_new(self, word: str | None) -> bool:
        """Return whether a word is neither that from before the deletion nor one for a deletion in progress."""
        means = self._run.words.means(word)
        return (
            word is not None
            and (means == "deleted" or word.lower() not in self._known)
            and means != "deleting"
        )

    def _is_tombstone(self, word: str | None, now: float) -> bool:
        if word is None or not self._is_new(word):
            return False
        means = self._run.words.means(word)
        if means == "deleted":
            return True
        if means is None and now - self._since.get(word, now) >= self._run.pace.steady:
            self._run.words.learn(word, "deleted", "a deleted container is still listed with it")
            return True
        return False

    def _note(self) -> None:
        """Note the words, the times and the lag."""
        run = self._run
        last = self._last_word()
        for word, since in self._since.items():
            if word == last:
                run.words.learn(word, "deleted", "a deleted container is still listed with it")
                ended = word not in self._shown and not self._replaced
                run.learned.note("containers.tombstone", word, f"a deleted container is listed as {word}")
                run.record.tombstone(word)
                if ended:
                    seconds = self._until[word] - since + run.pace.interval
                    run.learned.seconds(
                        "containers.tombstone_seconds",
                        seconds,
                        f"a deleted container was listed as {word} for {seconds:.0f} s",
                    )
            else:
                run.words.pass_by(word, "deleting", "it was shown after the deletion")
        if last is None:
            run.learned.same("containers.tombstone")
        if self._stale is not None and self._gone is not None and self._stale > self._gone:
            lag = self._stale - self._gone + run.pace.interval
            run.learned.most(
                "lists.lag_seconds", lag, "the list had a deleted container for longer than the status"
            )
            if self._relisted:
                run.learned.note(
                    "lists.lag_in",
                    "every_second",
                    "a list had a deleted container, and one before it had not",
                )

    def _last_word(self) -> str | None:
        """Return the word that means deleted: the last one, unless it is for a deletion in progress."""
        new = [word for word in self._since if self._run.words.means(word) != "deleting"]
        if not new:
            return None
        word = new[-1]
        if self._run.words.means(word) == "deleted" or len(new) > 1:
            return word
        short = self._until[word] - self._since[word] < self._run.pace.lag
        return None if short or word.lower().endswith("ing") else word
