"""Backups: the methods to list, start, wait for, restore, pin and delete them (guide, "Backups")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ClassVar, Final

import msgspec

from stacks_pulumi._clock import Clock, Pulse, Turns
from stacks_pulumi._identifiers import seconds_of
from stacks_pulumi.api._bodies import done, item, items, scrub
from stacks_pulumi.api._call import CALL_ERRORS, Call, Handler, call_to
from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.api.containers import is_older
from stacks_pulumi.api.feed import Feed, StateWatch, Watch
from stacks_pulumi.api.models import Backup, BackupId, BackupStats, Listing
from stacks_pulumi.api.once import Once, look_twice, settle
from stacks_pulumi.api.wait import BACKED_UP
from stacks_pulumi.errors import (
    ErrorCode,
    ForbiddenError,
    InvalidApiKeyError,
    StacksError,
    UnreadableAnswerError,
    VanishedError,
    WaitCancelledError,
    WaitError,
    WaitTimeoutError,
)
from stacks_pulumi.platform_file import UNKNOWN, PlatformFile

MOST: Final = 100
"""The maximum length of a list (guide, "List Backups"). Older backups cannot be looked up."""
_POLLS: Final = 5.0
"""Additional seconds for the last list request, which must show the state at the end of the wait."""


class NotListedError(WaitTimeoutError):
    """The API has accepted the request for a backup, but no list has shown the backup."""

    code: ErrorCode = "outcome-unknown"


class _Appears(Watch[Backup]):
    """
    Waits for the first unscheduled backup that is newer than all backups in `before`.

    Attributes:
        before: The ids of the backups before the request.
        since: The time of the request, by the API's clock; `None` if it is not known.
    """

    before: Sequence[BackupId] = ()
    since: float | None = None

    def limit(self, deadline: float) -> None:
        """Set the time at which the wait times out."""
        self._deadline = deadline

    def is_it(self, backup: Backup) -> bool:
        """Return whether this backup is newer than those in `before`, and not known to be a scheduled one."""
        return self._is_unknown(backup) and not is_older(backup.created_at, self.since)

    def _is_unknown(self, backup: Backup) -> bool:
        if backup.id in self.before or backup.backup_type == "scheduled":
            return False
        # A list of the maximum length may have lacked older backups. If ids are numbers, older backups have lower ones.
        numbers = [id for id in self.before if isinstance(id, int)] if len(self.before) >= MOST else []
        return not isinstance(backup.id, int) or backup.id > max(numbers, default=0)

    def judge(self, rows: Listing[Backup]) -> bool:
        """Return whether the backup has appeared."""
        self.trouble = None
        self.resource = min(
            filter(self.is_it, rows),
            # An unknown word for the type may mean `manual` or `scheduled`.
            key=lambda row: (row.backup_type not in {"manual", None}, *age(row)),
            default=None,
        )
        if self.resource is None:
            return False
        if self.resource.id in rows.damaged and self.resource.backup_type is None:
            # The backup may be a scheduled one. The next list may show its type.
            self.trouble = UnreadableAnswerError(
                f"the type of backup {self.resource.id} cannot be read", status=200
            )
            return False
        return True


def unknown_type(backup: Backup) -> StacksError:
    """Return the error for a backup whose type is an unknown word."""
    return StacksError(
        f'its type "{scrub(backup.backup_type or "", 40)}" is not in the API guide (manual, scheduled), so '
        "it may not be the requested backup: check it in the STACKS dashboard",
        code="unexpected-status",
    )


class _NewBackup(Once[Backup]):
    """
    The request to start a backup. A backup has no name that prevents a second one, so the request is never sent again;
    instead, the list is searched for the new backup.
    """

    is_repeatable: ClassVar = False

    def __init__(self, api: BackupsApi, container_id: str, watch: _Appears, deadline: float) -> None:
        super().__init__(api.send, _trigger(container_id, watch.pulse), api.clock, now=api.server_now)
        self._api = api
        self._container_id = container_id
        self._watch = watch
        self._deadline = deadline

    def existing(self) -> Listing[Backup]:
        return self._api.newest(self._container_id, self.call.pulse)

    def is_ours(self, row: Backup) -> bool:
        return self._watch.is_it(row)

    def send(self) -> Backup:
        return self._api.sent(self._container_id, self._watch, self._deadline)


class BackupsApi:
    """Methods for backups. Every method can raise the errors that `stacks_pulumi.errors` describes."""

    def __init__(
        self,
        send: Handler,
        clock: Clock,
        pace: Callable[[], float],
        platform: PlatformFile = UNKNOWN,
        server_now: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.send = send
        self.clock = clock
        self._pace = pace
        self._platform = platform
        self.server_now = server_now
        self._turns = Turns()

    def list(self, container_id: str, limit: int = 50) -> Listing[Backup]:
        """
        Return the backups of a container (guide, "List Backups").

        Args:
            container_id: The container.
            limit: The maximum number of backups; the API returns at most 100.
        """
        return self.send(list_call(container_id, limit))

    def trigger(self, container_id: str) -> None:
        """
        Request a backup (guide, "Trigger Manual Backup"). `start` also finds the new backup.

        Raises:
            BadRequestError: The container does not run.
            ConnectionFailedError: If the error's `sent` is true, it is unknown whether a backup was started.
        """
        self.send(_trigger(container_id))

    def start(
        self,
        container_id: str,
        *,
        deadline: float,
        on_tick: Callable[[Backup | None, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Backup:
        """
        Start one backup, and return it.

        The API does not return the backup's id. The new backup is the container's first unscheduled backup that is
        newer than all existing backups. Starts for the same container run one after another, so two callers never
        receive the same backup.

        Args:
            container_id: The container, which must be running.
            deadline: The time, by the clock, at which the search times out.
            on_tick: Called at least once a second with `None` and the seconds waited.
            cancelled: Called at least twice a second; true ends the wait. If a backup may have been started by then,
                the method first looks for it, and returns it if it is found.

        Raises:
            BadRequestError: The container does not run.
            NotListedError: The API accepted the request, but no backup has appeared.
            WaitTimeoutError: No backup was started before the deadline.
            WaitCancelledError: `cancelled()` was true, and no backup was started.
            InvalidApiKeyError: The key was revoked. If a backup was started before that, the message mentions the
                backup.
        """
        watch = _Appears(
            f"backup of container {container_id}",
            "its appearance in the list",
            clock=self.clock,
            deadline=deadline,
            on_tick=on_tick,
            cancelled=cancelled,
        )
        with self._turns.of(container_id, self.clock, watch.pulse):
            before = self.newest(container_id, watch.pulse)
            before.require_complete()
            watch.before = [backup.id for backup in before]
            # The list before the request may lag behind, and lack an older backup that a later list contains.
            watch.since = self.server_now()

            return _NewBackup(self, container_id, watch, deadline).run(before)

    def sent(self, container_id: str, watch: _Appears, deadline: float) -> Backup:
        """Send the request for a backup, and return the backup that appears."""
        try:
            self.send(_trigger(container_id, watch.pulse))
        except CALL_ERRORS as error:
            if in_doubt(error):
                # A repeated request would start a second backup, so wait for the first one to appear.
                with suppress(WaitError, *CALL_ERRORS):
                    return self._follow(container_id, watch, deadline)
            raise
        try:
            return self._follow(container_id, watch, deadline)
        except WaitCancelledError:
            # The API accepted the request, and the backup can be deleted only by its id. So the search continues.
            msg = f"start a backup of container {container_id}: accepted, but cancelled before it was listed"
            raise UnreadableAnswerError(msg, operation="backups.trigger", status=202) from None
        except (InvalidApiKeyError, ForbiddenError) as error:
            # The key was revoked during the wait.
            msg = (
                f"{error.message}. A backup of container {container_id} was started before that, but its id is not "
                "known: STACKS deletes it after seven days"
            )
            raise error.but(message=msg) from None

    def newest(self, container_id: str, pulse: Pulse | None) -> Listing[Backup]:
        """Request the newest backups of the container, and return them."""
        return _newest(self._list_all(container_id, pulse))

    def _follow(self, container_id: str, watch: _Appears, deadline: float) -> Backup:
        """Return the backup as soon as a list shows it, but wait no longer than the platform needs to list it."""
        watch.limit(min(deadline, self.clock.now() + self._platform.backup_listed + _POLLS))
        try:
            backup = self._feed(container_id).follow(watch)
        except WaitTimeoutError as error:
            raise NotListedError(**error.values()) from None
        finally:
            watch.limit(deadline)
        assert backup is not None  # noqa: S101  (the watch returns true only with a backup)
        return backup

    def wait(
        self,
        container_id: str,
        backup_id: BackupId,
        *,
        deadline: float,
        on_tick: Callable[[Backup | None, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        is_new: bool = False,
        warn: Callable[[str], None] | None = None,
    ) -> Backup:
        """
        Wait until a backup is complete.

        Args:
            container_id: The backup's container.
            backup_id: The backup's id.
            deadline: The time, by the clock, at which the wait times out.
            on_tick: Called at least once a second with the last known backup and the seconds waited.
            cancelled: Called at least twice a second; true ends the wait.
            is_new: Whether the backup was started only a short time ago, so that a list may not show it yet.
            warn: Called with the remedy for an unknown status, as soon as a list shows the status.

        Raises:
            UnexpectedStateError: The backup failed; the message contains the API's reason.
            VanishedError: No list has shown the backup for some time.
            WaitTimeoutError: The wait timed out.
            WaitCancelledError: `cancelled()` was true.
        """
        absent = max(self._platform.lag, self._platform.backup_listed if is_new else 0.0)
        while True:
            watch: StateWatch[Backup] = StateWatch(
                BACKED_UP,
                backup_id,
                "backup",
                lag=0.0,
                pause=absent,
                clock=self.clock,
                deadline=deadline,
                on_tick=on_tick,
                cancelled=cancelled,
                warn=warn,
            )
            try:
                backup = self._feed(container_id).follow(watch)
            except VanishedError:
                listed = self._list_all(container_id, watch.pulse)
                if backup_id not in {row.id for row in listed} and not is_partial(listed):
                    raise
                continue
            assert backup is not None  # noqa: S101  (the watch returns true only with a backup)
            return backup

    def stats(self) -> BackupStats:
        """Return statistics of all backups of the account (guide, "Backup Statistics")."""
        return self.send(call_to("backups.stats", parse=lambda body: item(BackupStats, body)))

    def restore(self, backup_id: BackupId) -> None:
        """
        Restore a container from a backup (guide, "Restore Backup"). The container must be running.

        The request is not retried after a lost response, because a second restore would discard data written since the
        first one.

        Raises:
            BadRequestError: The container does not run, or the backup is not complete.
            ConnectionFailedError: If the error's `sent` is true, it is unknown whether the container was restored.
        """
        self.send(call_to("backups.restore", backup_id, parse=done))

    def pin(self, backup_id: BackupId, *, container_id: str | None = None) -> None:
        """
        Pin a backup, so that the retention clean-up skips it (guide, "Pin Backup"). Pinning it again is a no-op.

        Args:
            backup_id: The backup's id.
            container_id: Its container. If given, a refusal is treated as success when the backup is pinned.
        """
        self._mark("backups.pin", backup_id, container_id, pinned=True)

    def unpin(self, backup_id: BackupId, *, container_id: str | None = None) -> None:
        """
        Unpin a backup, so that the retention clean-up may delete it (guide, "Unpin Backup").

        Args:
            backup_id: The backup's id.
            container_id: Its container. If given, a refusal is treated as success when the backup is not pinned.
        """
        self._mark("backups.unpin", backup_id, container_id, pinned=False)

    def delete(self, backup_id: BackupId, *, container_id: str | None = None) -> None:
        """
        Delete a backup (guide, "Delete Backup").

        Args:
            backup_id: The backup's id.
            container_id: Its container. If given, a refusal is treated as success when the backup is gone.

        Raises:
            NotFoundError: The API does not find the backup, which does not prove that it is deleted.
        """

        def is_gone(error: StacksError) -> bool:
            if container_id is None:
                return False
            container = container_id

            def look() -> Backup | None:
                listed = self._list_all(container)
                row = next((row for row in listed if row.id == backup_id), None)
                if row is None and is_partial(listed):
                    raise error
                return row

            return look_twice(look, self.clock, self._platform.pause) is None

        settle(self.send, call_to("backups.delete", backup_id, parse=done), is_gone)

    def _mark(self, endpoint: str, backup_id: BackupId, container_id: str | None, *, pinned: bool) -> None:
        def is_marked(_error: StacksError) -> bool:
            if container_id is None:
                return False
            listed = self._list_all(container_id)
            return any(backup.id == backup_id and backup.pinned is pinned for backup in listed)

        # Pinning is idempotent, although the method is POST.
        settle(self.send, call_to(endpoint, backup_id, parse=done, again=True), is_marked)

    def _list_all(self, container_id: str, pulse: Pulse | None = None) -> Listing[Backup]:
        return self.send(msgspec.structs.replace(list_call(container_id, MOST), pulse=pulse))

    def _feed(self, container_id: str) -> Feed[Backup]:
        return Feed(self.send, list_call(container_id, MOST), self.clock, noun="backup", pace=self._pace)


def age(backup: Backup) -> tuple[float, int]:
    """
    Return a sort key that puts older backups first: the creation time, and, if times are equal or missing, the number.
    """
    return seconds_of(backup.created_at) or 0.0, backup.id if isinstance(backup.id, int) else 0


def list_call(container_id: str, limit: int) -> Call[Listing[Backup]]:
    """Return the request for the backups of a container (guide, "List Backups")."""
    call: Call[Listing[Backup]] = call_to(
        "backups.list",
        container_id,
        parse=lambda body: items(Backup, body),
        query={"limit": limit},
    )
    return call if limit >= MOST else msgspec.structs.replace(call, is_one_page=True)


def is_partial(listed: Listing[Backup]) -> bool:
    """Return whether a list may lack existing backups, because it is incomplete or has the maximum length."""
    return listed.gap is not None or len(listed) >= MOST


def _newest(listed: Listing[Backup]) -> Listing[Backup]:
    """
    Return the list. A list that has reached the maximum length is marked as complete, because it contains the newest
    backups.
    """
    return listed if len(listed) < MOST else Listing(tuple(listed), damaged=listed.damaged)


def _trigger(container_id: str, pulse: Pulse | None = None) -> Call[bool]:
    return call_to("backups.trigger", container_id, parse=done, pulse=pulse)
