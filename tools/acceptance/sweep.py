"""Deletes the containers of runs: by the ids in the records, and by names that begin with a run's prefix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from stacks_pulumi.api._bodies import done, item, items
from stacks_pulumi.api.models import Container
from tools.acceptance.record import Asked, Record
from tools.acceptance.wire import OutOfTimeError, Wire, ids_in

__all__ = ["PREFIX", "Sweep"]

PREFIX: Final = re.compile(r"acc-[0-9a-f]{8}")
"""The prefix of a run: four random bytes."""

VISIBLE: Final = 60
"""The number of reads after which a container that no answer has shown was not created: two minutes."""

_WHY: Final = {
    401: ": STACKS_API_KEY is wrong or was revoked",
    403: ": the key of STACKS_API_KEY lacks the scope containers:read",
    404: ": STACKS_BASE_URL is not the address of the API, which ends with /api/v1",
}


@dataclass
class _Target:
    """
    A container to delete.

    Attributes:
        name: Its name.
        absences: The number of consecutive reads that did not find it.
        seen: Whether any answer has shown it.
        deleted: Whether its deletion was accepted. Then a 403 also means that it no longer exists.
        foreign: Whether the container with this id has a different name.
    """

    name: str
    absences: int = 0
    seen: bool = False
    deleted: bool = False
    foreign: bool = False


@dataclass
class Sweep:
    """
    Deletes the containers of runs.

    A container no longer exists if two consecutive reads find it neither at the status endpoint nor in the list. For a
    container that no answer has shown, the sweep waits `VISIBLE` reads after the request.

    Args:
        wire: Sends requests.
        records: The records of the runs.
        interval: Seconds between two reads.

    Attributes:
        notes: Unexpected observations.
        later: Names whose containers may still appear.
    """

    wire: Wire
    records: Sequence[Record]
    interval: float = 2.0
    notes: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for record in self.records:
            if not PREFIX.fullmatch(record.prefix):
                raise ValueError(
                    f"{record.prefix!r} is not the prefix of a run: use a prefix such as acc-1a2b3c4d"
                )
        self._targets: dict[str, _Target] = {}
        self._unsure: list[Asked] = []

    def found(self) -> list[Container]:
        """
        Return the listed containers of the runs.

        Raises:
            LookupError: The list cannot be read.
        """
        heard = self.wire.ask("containers.list", parse=lambda body: items(Container, body))
        if heard.value is None:
            status = heard.last.status
            why = _WHY.get(status, "") if status else f" from {self.wire.base_url}"
            raise LookupError(f"the list of containers could not be read: {heard.error}{why}")
        return [row for row in heard.value if self._is_ours(row.name)]

    def clean(self) -> list[str]:
        """
        Delete until nothing is left or the time is over.

        Returns:
            The remaining containers: the names, with the known ids.
        """
        try:
            while not self._round():
                self.wire.pause(self.interval)
        except OutOfTimeError:
            self.notes.append("the time for the sweep is over")
        left = [
            f"{target.name} ({id_})"
            for id_, target in self._targets.items()
            if not target.foreign and target.absences < 2 and (target.seen or self._open(target.name))
        ]
        known = {target.name for target in self._targets.values()}
        late = [asked for asked in self._asked() if asked.name not in known and self._waits(asked)]
        late += self._unsure
        return left + [f"perhaps {asked.name}" for asked in late]

    def _asked(self) -> list[Asked]:
        return [
            asked
            for record in self.records
            for asked in record.asked
            if asked.over is None and asked not in self._unsure
        ]

    def _open(self, name: str) -> bool:
        return any(asked.name == name for asked in self._asked())

    def _waits(self, asked: Asked) -> bool:
        """Return whether a request's container may exist but not be visible yet."""
        return self.wire.now() < asked.at + VISIBLE * self.interval

    def _round(self) -> bool:
        """Read once and delete the found containers; return whether nothing is left."""
        for asked in self._asked():
            for id_ in asked.ids:
                self._targets.setdefault(id_, _Target(asked.name))
        listed = self._listed()
        for id_, target in self._targets.items():
            if not target.foreign and (target.absences < 2 or not target.seen):
                self._look(id_, target, is_listed=listed is not None and id_ in listed)
        is_over = all(target.foreign or target.absences >= 2 for target in self._targets.values())
        for record in self.records:
            for asked in [one for one in self._asked() if one in record.asked]:
                targets = [
                    one for id_, one in self._targets.items() if id_ in asked.ids or one.name == asked.name
                ]
                gone = bool(targets) and all(one.foreign or one.absences >= 2 for one in targets)
                if (gone and any(one.seen for one in targets)) or (
                    (gone or not targets) and not self._waits(asked)
                ):
                    if asked.doubt and asked.doubt.startswith("503") and not any(one.seen for one in targets):
                        self.later.append(asked.name)
                    if asked.ids and listed is None and not any(one.seen for one in targets):
                        # The request was accepted and the list is incomplete, so the container may exist.
                        self._unsure.append(asked)
                    else:
                        record.close(asked, "deleted" if gone else "never seen")
        return is_over and not self._asked()

    def _listed(self) -> set[str] | None:
        """Return the ids in the list, and record those of the runs; `None` if the list is unreadable or incomplete."""
        heard = self.wire.ask("containers.list", parse=lambda body: items(Container, body))
        for row in heard.value or ():
            if row.status != "deleted" and self._is_ours(row.name):
                target = self._targets.setdefault(row.id, _Target(str(row.name)))
                target.seen = True
                target.absences = target.absences if target.deleted else 0
        if heard.value is None:
            # A list in an unknown form still contains ids. Only ids with a run's prefix are deleted.
            for id_ in ids_in(heard.last) if heard.accepted else ():
                if any(record.prefix in id_.lower() for record in self.records):
                    self._targets.setdefault(id_, _Target(id_))
            return None
        if heard.value.gap is not None:
            return None
        return {row.id for row in heard.value if row.status != "deleted"}

    def _look(self, id_: str, target: _Target, *, is_listed: bool) -> None:
        heard = self.wire.ask("containers.status", id_, parse=lambda body: item(Container, body))
        shown = heard.value
        gone = heard.absent or (target.deleted and heard.last.status == 403)
        if gone or (shown is not None and shown.status == "deleted"):
            # The deletion was accepted and the status endpoint has no container: the list may still show it.
            target.absences = 0 if is_listed and not target.deleted else target.absences + 1
            if is_listed or not target.seen:
                # The status endpoint may show a new container late, so it is deleted here as well.
                self.wire.ask("containers.delete", id_, parse=done)
            return
        if shown is not None and shown.name is not None and not self._is_ours(shown.name):
            target.foreign = True
            self.notes.append(
                f"{id_} has the name {shown.name}, which no run has requested: it is not deleted"
            )
            return
        target.absences = 0
        target.seen = target.seen or heard.accepted
        if shown is None or shown.status != "deleting":
            removed = self.wire.ask("containers.delete", id_, parse=done)
            target.deleted = target.deleted or removed.accepted
            target.seen = target.seen or removed.accepted

    def _is_ours(self, name: str | None) -> bool:
        return any(_is_of(name, record.prefix) for record in self.records)


def _is_of(name: str | None, prefix: str) -> bool:
    """
    Return whether a run with this prefix has requested a name.

    A prefix with a further letter or digit is a different prefix. The platform may put text before a name; then the
    label of the run must follow the prefix.
    """
    found = re.search(rf"(^|[^0-9a-z]){prefix}(?![0-9a-z])(.?)", (name or "").lower())
    return found is not None and (not found[1] or bool(found[2]))
