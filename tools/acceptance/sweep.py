"""Delete the containers that a run has left: those with its prefix in their names, and those whose ids it was given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tools.acceptance import reading
from tools.acceptance.api import Answer, Api
from tools.acceptance.budget import OutOfTimeError
from tools.acceptance.lists import Listing, Lists
from tools.acceptance.record import Asked, Record

__all__ = ["GONE", "PREFIX", "Pace", "Sweep", "container_id", "is_of"]

PREFIX: Final = re.compile(r"acc-[0-9a-f]{8}")
"""The prefix of a run: four random bytes."""

GONE: Final = frozenset({"deleted", "terminated", "removed", "destroyed", "gone", "purged", "archived"})
"""Words for a container that is deleted and still listed."""

_NAME: Final = re.compile(rf"(^|[^0-9a-z])({PREFIX.pattern})(?![0-9a-z])(.?)")
_MOST_LOOKS: Final = 400
_LIVE: Final = frozenset(
    {"running", "stopped", "pending", "starting", "stopping", "restarting", "error", "deleting"}
)
_INVALID: Final = frozenset({400, 422})
_LIKELY: Final = {
    401: ": STACKS_API_KEY is wrong, or it was revoked",
    403: ": the key of STACKS_API_KEY lacks the scope containers:read",
    404: ": STACKS_BASE_URL is not the API, which ends with /api/v1",
}


@dataclass(frozen=True)
class Pace:
    """
    The times of a run, in looks: with two seconds between two looks, a list may be behind for ten.

    Attributes:
        interval: Seconds between two looks.
    """

    interval: float = 2.0

    @property
    def lag(self) -> float:
        """The seconds between two absences that show that a container is gone."""
        return 5 * self.interval

    @property
    def steady(self) -> float:
        """The seconds after which a word that does not change lasts."""
        return 22 * self.interval

    @property
    def visible(self) -> float:
        """The seconds after which a container that nothing shows was not created."""
        return 60 * self.interval


def is_of(name: object, prefix: str) -> bool:
    """
    Return whether a name is one that a run of this prefix has asked for.

    A letter or digit after the prefix makes it another prefix. The platform may put something before a name; then the
    label of the run has to follow the prefix.
    """
    found = _NAME.search(name.lower().replace("_", "-")) if isinstance(name, str) else None
    return found is not None and found[2] == prefix and (not found[1] or bool(found[3]))


@dataclass
class _Look:
    """
    What the looks at an id have shown.

    Attributes:
        name: The name that was asked for, or listed.
        before: The word of its status before the deletion.
        word: The last one.
        since: When that was first seen.
        seen: Whether anything has shown it.
        foreign: Whether it is another container's id.
        tried: When it was last asked to be deleted.
        deleted: Whether such a request was accepted.
        unclear: Whether the last one had an answer that neither accepts it nor says that the id is absent.
        unusable: Whether the API says that it is no id.
        absent: Since when nothing shows it, or all shows it as deleted.
    """

    name: str
    before: str | None = None
    word: str | None = None
    since: float = 0.0
    seen: bool = False
    foreign: bool = False
    tried: float | None = None
    deleted: bool = False
    unclear: bool = False
    unusable: bool = False
    absent: float | None = None


@dataclass
class Sweep:
    """
    Deletes what runs have left, and verifies each recorded id.

    A container is gone if neither its status nor a complete list shows it in two looks that are `Pace.lag` apart, or if
    both show it as deleted. One that was never seen may not be visible yet, so `Pace.visible` has to pass as well.

    Args:
        api: The API.
        records: The records of the runs.
        sleep: How to wait.
        now: The clock.
        pace: The times.
        lists: The reader of lists, which knows their pages already.

    Attributes:
        notes: What was odd.
        later: Names whose containers may still appear.
    """

    api: Api
    records: Sequence[Record]
    sleep: Callable[[float], None]
    now: Callable[[], float]
    pace: Pace = field(default_factory=Pace)
    lists: Lists | None = None
    notes: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for record in self.records:
            if not PREFIX.fullmatch(record.prefix):
                msg = f"{record.prefix!r} is not the prefix of a run, which looks like acc-1a2b3c4d"
                raise ValueError(msg)
        self._lists = self.lists or Lists(self.api)
        self._looks: dict[str, _Look] = {}
        self._listing = Listing(Answer(0, {}, None, "not read"), complete=False)
        self._quiet: float | None = None

    def found(self) -> list[dict[str, Any]]:
        """
        Return the listed containers of the runs.

        Raises:
            LookupError: The list cannot be read.
        """
        self._listing = self._lists.read("containers.list")
        answer = self._listing.answer
        if not answer.ok:
            why = _LIKELY.get(answer.status, "")
            msg = f"the list of containers could not be read ({answer.describe()}){why}"
            if not answer.status:
                msg = f"no answer from {self.api.base_url}: {answer.text}"
            raise LookupError(msg)
        return [row for row in self._listing.rows if self._is_ours(reading.field(row, "name"))]

    def clean(self) -> list[str]:
        """
        Delete, until nothing is left or the time is over.

        Returns:
            The names of the containers that are left, or may be.
        """
        refused = 0
        try:
            if self._lists.read("containers.list").answer.ok:
                self.api.learn_missing(self.records[0].prefix)
                self._lists.probe("containers.list")
            for _ in range(_MOST_LOOKS):
                if self._step():
                    return []
                # Without access, no look will show more.
                refused = refused + 1 if self._listing.answer.status in _LIKELY else 0
                if refused > 5:
                    break
                self.sleep(self.pace.interval)
        except OutOfTimeError as error:
            self.notes.append(str(error))
        left = [look.name for look in self._looks.values() if not self._is_gone(look)]
        left += [asked.name for asked in self._open()]
        if not self._listing.complete:
            left += [f"perhaps {it.prefix}..., as the list could not be read in full" for it in self.records]
        return list(dict.fromkeys(left)) or [f"perhaps {it.prefix}..." for it in self.records]

    def _step(self) -> bool:
        """Look at everything once, delete the containers, and return whether nothing is left."""
        self._listing = self._lists.read("containers.list")
        for record in self.records:
            for asked in record.asked:
                for id_ in asked.ids:
                    self._looks.setdefault(id_, _Look(asked.name))
        for row in self._listing.rows:
            listed, name = container_id(row), reading.field(row, "name")
            if listed is not None and self._is_ours(name):
                self._looks.setdefault(listed, _Look(str(name)))
        for id_, look in self._looks.items():
            self._look(id_, look)
        self._close()
        nothing = all(self._is_gone(look) for look in self._looks.values()) and self._listing.complete
        if not nothing or self._open():
            return False
        self._quiet = self.now() if self._quiet is None else self._quiet
        return bool(self._looks) or self.now() - self._quiet >= self.pace.lag

    def _is_ours(self, name: object) -> bool:
        return any(is_of(name, record.prefix) for record in self.records)

    def _look(self, id_: str, look: _Look) -> None:
        """Look at an id by its status and in the list, and delete it if it may be there."""
        status = self.api.call("containers.status", id_)
        shown = [row for row in self._listing.rows if container_id(row) == id_]
        if status.ok and isinstance(status.body, Mapping):
            shown.append(dict(status.body))
        if bool(shown) and not self._is_named(id_, shown):
            if not look.foreign:
                self.notes.append(f"an id for {look.name} belongs to another container, which stays")
            look.foreign = True
            return
        look.seen = look.seen or bool(shown)
        words = {it.lower() for row in shown if (it := reading.word(reading.field(row, "status", "state")))}
        # A list may still have the word from before.
        word = next(iter(words - {look.before}), look.before if words else None)
        if word != look.word:
            look.word, look.since = word, self.now()
        if not look.deleted:
            look.before = word
        look.unusable = status.status in _INVALID
        readable = (status.ok or status.absent or look.unusable) and self._listing.answer.ok
        if not readable or (shown and not self._is_tombstone(look, words)):
            look.absent = self._quiet = None
        elif look.absent is None:
            look.absent = self.now()
        if look.absent is None or (not look.deleted and self._is_due(id_)):
            self._delete(id_, look)

    def _is_named(self, id_: str, shown: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether what an id shows has a name of the runs."""
        names = [it for row in shown if isinstance(it := reading.field(row, "name", "container_name"), str)]
        if names:
            return any(self._is_ours(name) for name in names)
        return any(
            record.prefix in id_.lower() or len(asked.ids) == 1
            for record in self.records
            for asked in record.asked
            if id_ in asked.ids
        )

    def _is_due(self, id_: str) -> bool:
        """Return whether an id that nothing shows may be that of a container that is not visible yet."""
        return any(id_ in asked.ids for asked in self._open())

    def _delete(self, id_: str, look: _Look) -> None:
        pause = self.pace.lag if look.deleted or look.absent is not None else 0.0
        if look.tried is not None and self.now() - look.tried < pause:
            return
        look.tried = self.now()
        answer = self.api.call("containers.delete", id_)
        look.deleted = answer.ok or look.deleted
        # Refused for another reason than its absence, it may be there although nothing shows it.
        look.unclear = not (answer.ok or answer.absent or (look.unusable and answer.status in _INVALID))

    def _is_tombstone(self, look: _Look, words: set[str]) -> bool:
        """Return whether a container is deleted and still listed: by its word, or because a new word stays."""
        known = GONE | {it for record in self.records for it in record.tombstones}
        if words and words <= known:
            return True
        stays = self.now() - look.since >= self.pace.steady
        return bool(words) and look.deleted and look.before not in words and stays and not words & _LIVE

    def _is_gone(self, look: _Look) -> bool:
        if look.foreign:
            return True
        absent = look.absent is not None and self.now() - look.absent >= self.pace.lag
        return absent and (look.deleted or not look.unclear)

    def _open(self) -> list[Asked]:
        """Return the requests whose containers may still be there."""
        return [asked for record in self.records for asked in record.asked if asked.over is None]

    def _close(self) -> None:
        """Record which requests have nothing left."""
        for record in self.records:
            for asked in record.asked:
                others = {id_ for it in record.asked if it is not asked for id_ in it.ids} - set(asked.ids)
                looks = [
                    look
                    for id_, look in self._looks.items()
                    if id_ in asked.ids or (id_ not in others and asked.name.lower() in look.name.lower())
                ]
                met = any(look.seen and not look.foreign for look in looks)
                due = met or self.now() - asked.at >= self.pace.visible
                if asked.over is None and due and self._listing.complete and all(map(self._is_gone, looks)):
                    record.close(asked, "deleted" if met else "never seen")
                    if not met and asked.doubt is not None and asked.doubt.startswith("503"):
                        self.later.append(asked.name)


def container_id(row: Mapping[str, Any]) -> str | None:
    """Return the id in the row of a container."""
    return reading.word(reading.field(row, "id", "container_id", "uuid"))
