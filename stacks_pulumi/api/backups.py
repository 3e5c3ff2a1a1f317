"""
Backups: list, start, wait for, restore, pin, delete (guide, "Backups").
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from stacks_pulumi._clock import Clock, Pulse, wait_while
from stacks_pulumi.api._bodies import backup_id_if_any, done, item, items
from stacks_pulumi.api._call import Call, Handler, call_to
from stacks_pulumi.api.feed import Feed, Watch
from stacks_pulumi.api.models import Backup, BackupId, BackupStats, Listing
from stacks_pulumi.api.once import once, settle
from stacks_pulumi.api.wait import BACKED_UP
from stacks_pulumi.errors import (
    ForbiddenError,
    InvalidApiKeyError,
    StacksError,
    UnreadableAnswerError,
    WaitCancelledError,
)

_ALL: Final = 100
_PAUSES: Final = (5.0, 10.0, 20.0)
"""Backups start in the background: one whose response was lost may appear in the list only after a while."""


class _Appears(Watch[Backup]):
    """Waits for the first manual backup that is newer than all earlier ones."""

    before: Sequence[Backup] = ()

    def is_it(self, backup: Backup) -> bool:
        """Whether this backup is newer, and manual or of unknown type."""
        known = [earlier.id for earlier in self.before]
        newest = max((id for id in known if isinstance(id, int)), default=0)
        is_newer = backup.id > newest if isinstance(backup.id, int) else backup.id not in known
        return is_newer and backup.backup_type in {"manual", None}

    def judge(self, rows: Listing[Backup]) -> bool:
        """Whether the backup has appeared."""
        self.trouble = None
        self.resource = min(filter(self.is_it, rows), key=_age, default=None)
        # A row that could be read only in part may be a scheduled backup. The next list may show it in full.
        return self.resource is not None and self.resource.id not in rows.damaged


class BackupsApi:
    """Methods for backups. Every method raises the errors that `stacks_pulumi.errors` describes."""

    def __init__(self, send: Handler, clock: Clock, pace: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._pace = pace
        self._changed = threading.Condition()
        self._starting: set[str] = set()

    def list(self, container_id: str, limit: int = 50) -> Listing[Backup]:
        """
        Return the backups of a container (guide, "List Backups").

        Args:
            container_id: The container.
            limit: How many at most; the API returns at most 100.
        """
        return self._send(_list_call(container_id, limit))

    def trigger(self, container_id: str) -> BackupId | None:
        """
        Request a backup (guide, "Trigger Manual Backup"). `start` also finds the new backup.

        Returns:
            The id of the backup if the answer contains it. The answer in the guide does not.

        Raises:
            BadRequestError: The container does not run.
            ConnectionFailedError: If `sent` is true, it is unknown whether a backup was started.
        """
        return self._send(_trigger(container_id))

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
        Start one backup, and return it.

        The API does not return the id. The new backup is the first manual one of the container that is newer than all
        earlier ones. Only one start per container is in progress at a time, so two callers never get the same backup.

        Args:
            container_id: The container; it has to be running.
            deadline: When the search times out, in seconds of the clock's `now()`.
            on_tick: Called at least once a second with `None` and the seconds waited.
            cancelled: Called at least twice a second; true ends the wait. If a backup may have been started by then,
                it is searched first, and returned if it is found.
            is_first: Called when no other start for the container is in progress. True means that the container
                certainly has no manual backup, so that no list is requested before the start.

        Raises:
            BadRequestError: The container does not run.
            WaitTimeoutError: The API accepted the request, but no backup has appeared.
            WaitCancelledError: `cancelled()` was true, and no backup was started.
            InvalidApiKeyError: The key was revoked. If a backup was started before that, the message mentions it.
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
            before: Sequence[Backup] = ()
            if not is_first():
                before = self._list_all(container_id, watch.pulse)
                before.require_complete()
            watch.before = before

            def send(call: Call[BackupId | None]) -> Backup:
                number = self._send(call)
                if number is not None:
                    return Backup(id=number, container_id=container_id)
                try:
                    backup = self._feed(container_id).follow(watch)
                except WaitCancelledError:
                    # The API accepted the request, and the backup's id is needed to delete it. So the search continues.
                    msg = f"start a backup of container {container_id}: accepted, and cancelled before it was listed"
                    raise UnreadableAnswerError(msg, operation="backups.trigger", status=202) from None
                except (InvalidApiKeyError, ForbiddenError) as error:
                    # The key was revoked during the wait.
                    msg = (
                        f"{error.message}. A backup of container {container_id} was started before that, and its id is "
                        "not known: STACKS deletes it after seven days"
                    )
                    raise replace(error, message=msg) from None
                assert backup is not None  # noqa: S101  (the watch returns true only with a backup)
                return backup

            return once(
                send,
                _trigger(container_id, watch.pulse),
                before=before,
                taken=None,
                look=lambda: self._list_all(container_id, watch.pulse),
                ours=watch.is_it,
                clock=self._clock,
                pauses=_PAUSES,
            )

    def wait(
        self,
        container_id: str,
        backup_id: BackupId,
        *,
        deadline: float,
        on_tick: Callable[[Backup | None, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Backup:
        """
        Wait until a backup is complete.

        Args:
            container_id: The backup's container.
            backup_id: The backup's id.
            deadline: When the wait times out, in seconds of the clock's `now()`.
            on_tick: Called at least once a second with the last known backup and the seconds waited.
            cancelled: Called at least twice a second; true ends the wait.

        Raises:
            UnexpectedStateError: The backup failed; the message contains the API's reason.
            VanishedError: The backup is not in the list any more.
            WaitTimeoutError: The wait timed out.
            WaitCancelledError: `cancelled()` was true.
        """
        feed = self._feed(container_id)
        backup = feed.wait(BACKED_UP, backup_id, deadline=deadline, on_tick=on_tick, cancelled=cancelled)
        assert backup is not None  # noqa: S101  (only a wait for deletion returns None)
        return backup

    def stats(self) -> BackupStats:
        """Return statistics of all backups of the account (guide, "Backup Statistics")."""
        return self._send(call_to("backups.stats", parse=lambda body: item(BackupStats, body, "stats")))

    def restore(self, backup_id: BackupId) -> None:
        """
        Restore a container from a backup (guide, "Restore Backup"). The container has to be running.

        It is not retried after a lost response, because a second restore would discard data written since the first.

        Raises:
            BadRequestError: The container does not run, or the backup is not complete.
            ConnectionFailedError: If `sent` is true, it is unknown whether the container was restored.
        """
        self._send(call_to("backups.restore", backup_id, parse=done))

    def pin(self, backup_id: BackupId, *, container_id: str | None = None) -> None:
        """
        Pin a backup, so that the retention clean-up skips it (guide, "Pin Backup"). Pinning it again is a no-op.

        Args:
            backup_id: The backup's id.
            container_id: Its container. If given, a refusal counts as success when the backup is pinned.
        """
        self._mark("backups.pin", backup_id, container_id, pinned=True)

    def unpin(self, backup_id: BackupId, *, container_id: str | None = None) -> None:
        """
        Unpin a backup, so that the retention clean-up may delete it (guide, "Unpin Backup").

        Args:
            backup_id: The backup's id.
            container_id: Its container. If given, a refusal counts as success when the backup is not pinned.
        """
        self._mark("backups.unpin", backup_id, container_id, pinned=False)

    def delete(self, backup_id: BackupId, *, container_id: str | None = None) -> None:
        """
        Delete a backup (guide, "Delete Backup").

        Args:
            backup_id: The backup's id.
            container_id: Its container. If given, a refusal counts as success when the backup is gone.

        Raises:
            NotFoundError: The backup did not exist when this was called.
        """

        def is_gone(_error: StacksError) -> bool:
            if container_id is None:
                return False
            listed = self._list_all(container_id)
            # The API lists at most 100 backups, so a full list may not contain it.
            return len(listed) < _ALL and listed.find(lambda backup: backup.id == backup_id) is None

        settle(self._send, call_to("backups.delete", backup_id, parse=done), is_gone)

    def _mark(self, endpoint: str, backup_id: BackupId, container_id: str | None, *, pinned: bool) -> None:
        def is_marked(_error: StacksError) -> bool:
            if container_id is None:
                return False
            backups = self._list_all(container_id)
            return any(backup.id == backup_id and backup.pinned is pinned for backup in backups)

        # Pinning is idempotent, although the method is POST.
        settle(self._send, call_to(endpoint, backup_id, parse=done, again=True), is_marked)

    def _list_all(self, container_id: str, pulse: Pulse | None = None) -> Listing[Backup]:
        return self._send(replace(_list_call(container_id, _ALL), pulse=pulse))

    def _feed(self, container_id: str) -> Feed[Backup]:
        return Feed(self._send, _list_call(container_id, _ALL), self._clock, noun="backup", pace=self._pace)

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


def _age(backup: Backup) -> tuple[int, str]:
    """Return what is lower for an older backup: its number, or else its creation time."""
    return (backup.id, "") if isinstance(backup.id, int) else (0, backup.created_at or "")


def _list_call(container_id: str, limit: int) -> Call[Listing[Backup]]:
    return call_to(
        "backups.list",
        container_id,
        parse=lambda body: items(Backup, body, "backups"),
        query={"limit": limit},
    )


def _trigger(container_id: str, pulse: Pulse | None = None) -> Call[BackupId | None]:
    return call_to("backups.trigger", container_id, parse=backup_id_if_any, pulse=pulse)
