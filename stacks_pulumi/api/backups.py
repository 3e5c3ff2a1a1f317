"""
Backups: list, start, wait for, restore, pin, delete (guide, "Backups").
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from stacks_pulumi._clock import Clock, Pulse, wait_while
from stacks_pulumi.api._call import Call, Handler, Scope, path
from stacks_pulumi.api._shapes import item, items, nothing, snake, unwrap
from stacks_pulumi.api._watch import Watch
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.models import Backup, BackupStats
from stacks_pulumi.api.once import once
from stacks_pulumi.api.wait import BACKED_UP

__all__ = ["Backups"]

_ALL: Final = 100
_PAUSES: Final = (5.0, 10.0, 20.0)
"""Backups begin in the background: one whose request was lost may take a while to show."""


class Backups:
    """What can be done with backups. Every method raises `StacksError` as drawn in `stacks_pulumi.errors`."""

    def __init__(self, send: Handler, clock: Clock, pace: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._pace = pace
        self._changed = threading.Condition()
        self._starting: set[str] = set()

    def list(self, container_id: str, limit: int = 50) -> tuple[Backup, ...]:
        """
        The backups of a container (guide, "List Backups").

        Args:
            container_id: Whose backups.
            limit: How many at most; the API gives no more than 100.
        """
        return self._list(container_id, limit=limit)

    def _list(
        self, container_id: str, *, limit: int = _ALL, poll: bool = False, pulse: Pulse | None = None
    ) -> tuple[Backup, ...]:
        return self._send(
            Call(
                "backups.list",
                f"list the backups of container {container_id}",
                "GET",
                path("containers", container_id, "backups"),
                Scope.READ,
                lambda body: items(Backup, body, "backups"),
                query={"limit": limit},
                poll=poll,
                pulse=pulse,
            )
        )

    def trigger(self, container_id: str) -> int | None:
        """
        Ask for a backup (guide, "Trigger Manual Backup"); `start` does that and finds out which one it is.

        Returns:
            The id of the backup, if the answer tells. The one in the guide does not.

        Raises:
            BadRequestError: The container does not run.
            ConnectionFailedError: With `sent`, it is not known whether a backup was started.
        """
        return self._send(
            Call(
                "backups.trigger",
                f"start a backup of container {container_id}",
                "POST",
                path("containers", container_id, "backup"),
                Scope.MANAGE,
                _id_if_any,
                text=True,
            )
        )

    def start(
        self,
        container_id: str,
        *,
        deadline: float,
        on_tick: Callable[[Backup | None, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Backup:
        """
        Start a backup, once, and find out which one it is.

        The API does not tell the id. It is the first manual backup of the container that is newer than all that were
        there before; so that no two callers find the same one, only one start per container is under way at a time.

        Args:
            container_id: Of which container; it has to run.
            deadline: When to give up looking, in seconds of the clock's `now()`.
            on_tick: Called at least once a second with `None` and the seconds waited.
            cancelled: Asked at least twice a second; true ends the wait.

        Raises:
            BadRequestError: The container does not run.
            WaitTimeoutError: It was accepted, and no backup has appeared.
            WaitCancelledError: `cancelled()` was true.
        """
        watch = _Appears(
            f"backup of container {container_id}",
            "its appearance in the list",
            clock=self._clock,
            deadline=deadline,
            on_tick=on_tick,
            cancelled=cancelled,
        )
        with self._turn(container_id, watch.pulse):
            before = self._list(container_id, pulse=watch.pulse)
            watch.newer_than = max((backup.id for backup in before), default=0)

            def post() -> Backup:
                told = self.trigger(container_id)
                if told is not None:
                    return Backup(id=told, container_id=container_id)
                found = self._feed(container_id).follow(watch)
                assert found is not None  # noqa: S101  (a watch that is content has found something)
                return found

            return once(
                what=f"start a backup of container {container_id}",
                before=before,
                taken=None,
                post=post,
                look=lambda: self._list(container_id, pulse=watch.pulse),
                ours=watch.is_it,
                clock=self._clock,
                pauses=_PAUSES,
                pulse=watch.pulse,
            )

    def wait(
        self,
        container_id: str,
        backup_id: int,
        *,
        deadline: float,
        on_tick: Callable[[Backup | None, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Backup:
        """
        Wait until a backup is complete.

        Args:
            container_id: Of which container.
            backup_id: Which one.
            deadline: When to give up, in seconds of the clock's `now()`.
            on_tick: Called at least once a second with the backup as it was seen last and the seconds waited.
            cancelled: Asked at least twice a second; true ends the wait.

        Raises:
            UnexpectedStateError: It failed; the message has the API's reason.
            VanishedError: It is not listed any more.
            WaitTimeoutError: The time is up.
            WaitCancelledError: `cancelled()` was true.
        """
        feed = self._feed(container_id)
        done = feed.wait(BACKED_UP, backup_id, deadline=deadline, on_tick=on_tick, cancelled=cancelled)
        assert done is not None  # noqa: S101  (being gone is no target of this wait)
        return done

    def stats(self) -> BackupStats:
        """Figures on all backups of the account (guide, "Backup Statistics")."""
        return self._send(
            Call(
                "backups.stats",
                "read the backup statistics",
                "GET",
                path("backups", "stats"),
                Scope.READ,
                lambda body: item(BackupStats, body, "stats"),
            )
        )

    def restore(self, backup_id: int) -> None:
        """
        Put a container back to a backup (guide, "Restore Backup"). The container has to run.

        Not repeated when the answer is lost: what was written in between would be lost with it.

        Raises:
            BadRequestError: The container does not run, or the backup is not complete.
            ConnectionFailedError: With `sent`, it is not known whether it was restored.
        """
        self._act("backups.restore", f"restore backup {backup_id}", backup_id, "restore", again=False)

    def pin(self, backup_id: int) -> None:
        """Keep a backup from the clean-up (guide, "Pin Backup"). One that is pinned already stays so."""
        self._act("backups.pin", f"pin backup {backup_id}", backup_id, "pin", again=True)

    def unpin(self, backup_id: int) -> None:
        """Leave a backup to the clean-up again (guide, "Unpin Backup")."""
        self._act("backups.unpin", f"unpin backup {backup_id}", backup_id, "unpin", again=True)

    def delete(self, backup_id: int) -> None:
        """
        Delete a backup (guide, "Delete Backup").

        Raises:
            NotFoundError: There was none with that id when this was called.
        """
        self._send(
            Call(
                "backups.delete",
                f"delete backup {backup_id}",
                "DELETE",
                path("backups", backup_id),
                Scope.DELETE,
                nothing,
                text=True,
            )
        )

    def _act(self, operation: str, what: str, backup_id: int, verb: str, *, again: bool) -> None:
        # A pin is a mark, set or not: twice is once, although the method is POST.
        self._send(
            Call(
                operation,
                what,
                "POST",
                path("backups", backup_id, verb),
                Scope.MANAGE,
                nothing,
                text=True,
                again=again,
            )
        )

    def _feed(self, container_id: str) -> Feed[Backup]:
        def fetch(*, poll: bool, pulse: Pulse | None) -> Sequence[Backup]:
            return self._list(container_id, poll=poll, pulse=pulse)

        return Feed(fetch, self._clock, noun="backup", pace=self._pace)

    @contextmanager
    def _turn(self, container_id: str, pulse: Pulse) -> Iterator[None]:
        with self._changed:
            wait_while(lambda: container_id in self._starting, self._changed, self._clock, pulse)
            self._starting.add(container_id)
        try:
            yield
        finally:
            with self._changed:
                self._starting.discard(container_id)
                self._changed.notify_all()


class _Appears(Watch[Backup]):
    """Waits for the first manual backup that is newer than all before."""

    newer_than = 0

    def is_it(self, backup: Backup) -> bool:
        """Whether this one is newer, and manual as far as the answer says."""
        return backup.id > self.newer_than and backup.backup_type in {"manual", None}

    def judge(self, things: Sequence[Backup]) -> bool:
        """Whether it has appeared."""
        self.trouble = None
        self.found = min(filter(self.is_it, things), key=lambda backup: backup.id, default=None)
        return self.found is not None


def _id_if_any(body: Any) -> int | None:
    value, _path = unwrap(body, "backup")
    given = {snake(name): entry for name, entry in value.items()} if isinstance(value, Mapping) else {}
    found = given.get("backup_id", given.get("id"))
    return found if isinstance(found, int) and not isinstance(found, bool) else None
