"""
Backups: list, start, wait for, restore, pin, delete (guide, "BackupsApi").
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from stacks_pulumi._clock import Clock, Pulse, wait_while
from stacks_pulumi.api._backup_watch import Appears, id_if_any
from stacks_pulumi.api._call import Call, Handler, Scope, path
from stacks_pulumi.api._lenient import done, item, items
from stacks_pulumi.api._settle import settle
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.models import Backup, BackupStats, Listing
from stacks_pulumi.api.once import once
from stacks_pulumi.api.wait import BACKED_UP
from stacks_pulumi.errors import (
    ForbiddenError,
    InvalidApiKeyError,
    StacksError,
    UnreadableAnswerError,
    WaitCancelledError,
)

__all__ = ["BackupsApi"]

_ALL: Final = 100
_PAUSES: Final = (5.0, 10.0, 20.0)
"""Backups begin in the background: one whose request was lost may take a while to show."""


class BackupsApi:
    """What can be done with backups. Every method raises `StacksError` as drawn in `stacks_pulumi.errors`."""

    def __init__(self, send: Handler, clock: Clock, pace: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._pace = pace
        self._changed = threading.Condition()
        self._starting: set[str] = set()

    def list(self, container_id: str, limit: int = 50) -> Listing[Backup]:
        """
        The backups of a container (guide, "List Backups").

        Args:
            container_id: Whose backups.
            limit: How many at most; the API gives no more than 100.
        """
        return self._list(container_id, limit=limit)

    def _list(
        self, container_id: str, *, limit: int = _ALL, poll: bool = False, pulse: Pulse | None = None
    ) -> Listing[Backup]:
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
                id_if_any,
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
        is_first: Callable[[], bool] = lambda: False,
    ) -> Backup:
        """
        Start a backup, once, and find out which one it is.

        The API does not tell the id. It is the first manual backup of the container that is newer than all that were
        there before; so that no two callers find the same one, only one start per container is under way at a time.

        Args:
            container_id: Of which container; it has to run.
            deadline: When to give up looking, in seconds of the clock's `now()`.
            on_tick: Called at least once a second with `None` and the seconds waited.
            cancelled: Asked at least twice a second; true ends the wait. A backup that may have been started by
                then is looked for first, and returned if it is found.
            is_first: Asked when no other start for the container is in progress: whether the container certainly has
                no manual backup, so that the list need not be requested before the start.

        Raises:
            BadRequestError: The container does not run.
            WaitTimeoutError: It was accepted, and no backup has appeared.
            WaitCancelledError: `cancelled()` was true, and no backup was started.
            InvalidApiKeyError: The key was revoked. If a backup was started before that, the message says so.
        """
        watch = Appears(
            f"backup of container {container_id}",
            "its appearance in the list",
            clock=self._clock,
            deadline=deadline,
            on_tick=on_tick,
            cancelled=cancelled,
        )
        with self._turn(container_id, watch.pulse):
            first = is_first()
            before = Listing[Backup]() if first else self._list(container_id, pulse=watch.pulse)
            before.require_complete()
            watch.newer_than = max((backup.id for backup in before), default=0)

            def post() -> Backup:
                told = self.trigger(container_id)
                if told is not None:
                    return Backup(id=told, container_id=container_id)
                try:
                    found = self._feed(container_id).follow(watch)
                except WaitCancelledError:
                    # It was accepted. Its id is needed to remove it, so it is looked for all the same.
                    msg = f"start a backup of container {container_id}: accepted, and cancelled before it was listed"
                    raise UnreadableAnswerError(msg, operation="backups.trigger", status=202) from None
                except (InvalidApiKeyError, ForbiddenError) as error:
                    # The key was revoked meanwhile.
                    msg = (
                        f"{error}. A backup of container {container_id} was started before that, and its id is not "
                        "known: the clean-up deletes it after seven days"
                    )
                    raise replace(error, message=msg) from None
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
                assumed=first,
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
                fixed=True,
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
        self._act("backups.restore", backup_id, again=False)

    def pin(self, backup_id: int, *, container_id: str | None = None) -> None:
        """
        Keep a backup from the clean-up (guide, "Pin Backup"). One that is pinned already stays so.

        Args:
            backup_id: Which one.
            container_id: Its container. With it, a refusal is success if the backup is pinned.
        """
        # A pin is a mark, set or not: twice is once, although the method is POST.
        self._act("backups.pin", backup_id, again=True, of=container_id)

    def unpin(self, backup_id: int, *, container_id: str | None = None) -> None:
        """
        Leave a backup to the clean-up again (guide, "Unpin Backup").

        Args:
            backup_id: Which one.
            container_id: Its container. With it, a refusal is success if the backup is not pinned.
        """
        self._act("backups.unpin", backup_id, again=True, of=container_id)

    def delete(self, backup_id: int, *, container_id: str | None = None) -> None:
        """
        Delete a backup (guide, "Delete Backup").

        Args:
            backup_id: Which one.
            container_id: Its container. With it, a refusal is success if the backup is gone.

        Raises:
            NotFoundError: There was none with that id when this was called.
        """
        call = Call(
            "backups.delete",
            f"delete backup {backup_id}",
            "DELETE",
            path("backups", backup_id),
            Scope.DELETE,
            done,
            text=True,
        )

        def is_gone(_error: StacksError) -> bool:
            if container_id is None:
                return False
            listed = self._list(container_id)
            # The API lists no more than 100, so a full list may leave it out.
            return len(listed) < _ALL and listed.find(lambda backup: backup.id == backup_id) is None

        settle(self._send, call, is_gone)

    def _act(self, operation: str, backup_id: int, *, again: bool, of: str | None = None) -> None:
        verb = operation.rpartition(".")[2]
        call = Call(
            operation,
            f"{verb} backup {backup_id}",
            "POST",
            path("backups", backup_id, verb),
            Scope.MANAGE,
            done,
            text=True,
            again=again,
        )

        def is_marked(_error: StacksError) -> bool:
            if of is None:
                return False
            found = next((backup for backup in self._list(of) if backup.id == backup_id), None)
            return found is not None and found.pinned is (verb == "pin")

        settle(self._send, call, is_marked)

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
