"""PinnedBackup: a backup that the platform's retention clean-up skips."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi

from stacks_pulumi._identifiers import is_unique
from stacks_pulumi.api import models
from stacks_pulumi.api.backups import (
    MOST,
    NotListedError,
    is_partial,
    unknown_type,
)
from stacks_pulumi.api.wait import BACKED_UP
from stacks_pulumi.errors import (
    ConflictError,
    ExistsError,
    StacksError,
    UnexpectedStateError,
    VanishedError,
    WaitTimeoutError,
)
from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources import _fields, _validators
from stacks_pulumi.resources._children import (
    Ask,
    ChildHandler,
    fast_or_once_running,
    find_child,
    same_content,
    same_time,
)
from stacks_pulumi.resources._creation import Creation
from stacks_pulumi.resources._fields import Field, OnChange
from stacks_pulumi.resources._handler import LOOKED_UP, lookup_options
from stacks_pulumi.resources._identity import RECENT, UnseenError
from stacks_pulumi.resources._literals import OnDelete
from stacks_pulumi.resources._operation import Difference, EngineCall, Operation
from stacks_pulumi.resources._owners import BACKUPS, OWNERS
from stacks_pulumi.resources._resource import (
    Child,
    ParentInProgram,
    child_id,
    container_id,
    input_id,
    own_name,
    parent_id,
)
from stacks_pulumi.resources._running import lost_with_its_container, patiently, runs
from stacks_pulumi.resources._session import Session
from stacks_pulumi.resources._values import without_none

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container


class PinnedBackup(Child, module="stacks", name="PinnedBackup"):
    """
    A backup that the clean-up after seven days does not delete (guide, "Backups").

    Deleting the container deletes its backups, including pinned ones. This resource's id is `<container id>/<number>`.
    """

    container: pulumi.Output[str]
    """The container's id."""
    backup_id: pulumi.Output[int | str]
    """The backup's number, or its id if that is a string; BackupRestore accepts both."""
    on_delete: pulumi.Output[str]
    """What happens to the backup when this resource is deleted."""
    pinned: pulumi.Output[bool]
    """Whether the backup is pinned."""
    status: pulumi.Output[str | None]
    """The backup's status; a `completed` backup can be restored."""
    size_bytes: pulumi.Output[int | None]
    """Size in bytes."""
    created_at: pulumi.Output[str | None]
    """When it was started, ISO 8601."""
    completed_at: pulumi.Output[str | None]
    """When it was completed, ISO 8601."""

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        container: Container | pulumi.Input[str],
        triggers: pulumi.Input[Sequence[pulumi.Input[Any]]] | None = None,
        backup_id: pulumi.Input[int | str] | None = None,
        on_delete: OnDelete | None = None,
    ) -> None:
        """
        Declare a pinned backup.

        Args:
            resource_name: Name in the program.
            opts: Pulumi's options.
            container: The container, which must be running.
            triggers: When any value in this list changes, a new backup is created, and `on_delete` is then applied to
                the old one.
            backup_id: Pin this existing backup instead of creating a new one.
            on_delete: What happens to the backup when this resource is deleted: `unpin` (default), `delete` or `keep`.
        """
        super().__init__(
            resource_name,
            {
                "container": input_id(container),
                "triggers": triggers,
                "backup_id": backup_id,
                "on_delete": on_delete,
            },
            opts,
            container=container,
        )

    @staticmethod
    def get(
        resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> PinnedBackup:
        """
        Look up a backup that this program does not manage.

        Args:
            resource_name: Name in the program.
            id: `<container id>/<number>`.
            opts: Pulumi's options.
        """
        return PinnedBackup(resource_name, lookup_options(id, opts), container=LOOKED_UP)


class _TooOldError(UnseenError):
    """The backup is not in the list, but may exist, because the list contains only the newest backups."""


class _PinnedBackupCreation(Creation[models.Backup]):
    """The creation of a pinned backup: POST, then wait for the backup and pin it."""

    kind: ClassVar = "PinnedBackup"
    # A failed backup is not kept in the state.
    leaves_nothing: ClassVar = (UnexpectedStateError, VanishedError)

    def create(self) -> models.Backup:
        container, named = self.inputs["container"], self.inputs.get("backup_id")
        if named is not None:
            if OWNERS.owner(self.kind, child_id(container, str(named))) is not None:
                raise ExistsError(f"backup {named} is already managed", existing=models.Backup(id=named))
            # The backup exists already, so an interrupted creation must not roll it back.
            self.adopted = True
            try:
                return _existing(self.session, self.op, container, named)
            except _TooOldError:
                return models.Backup(id=named, status="completed")
        with self.session.restarts.held_off((container,), self.op.check_active):
            return fast_or_once_running(
                self.session, self.op, "a backup", (container,), lambda _before: self._start()
            )

    def _start(self) -> models.Backup:
        container = self.inputs["container"]
        self.op.progress("starting a backup")
        try:
            return self.session.client.backups.start(
                container,
                deadline=self.op.deadline,
                on_tick=_progress(self.op),
                cancelled=self.op.cancelled,
            )
        except NotListedError as error:
            advice = self.session.client.platform.advice("backups: {listed_seconds: 600}")
            msg = (
                f"the API accepted the request for a backup of {container}, but no list has shown a new backup after "
                f"{error.elapsed:.0f} s. Check the dashboard: if it is there, write its number as backup_id; if not, "
                "`pulumi up` starts a new backup. An unpinned backup is deleted after seven days. If lists always "
                f"show new backups this late, {advice}"
            )
            raise error.but(message=msg) from None

    def id_of(self, thing: models.Backup) -> str:
        return child_id(self.inputs["container"], str(thing.id))

    def finish(self, thing: models.Backup) -> dict[str, Any]:
        is_new, container = not self.adopted, self.inputs["container"]
        if is_new and thing.backup_type not in {None, "manual"}:
            raise unknown_type(thing)
        return _outputs(_pin(self.session, self.op, container, thing, is_new=is_new), self.inputs)

    def known(self, thing: models.Backup, error: Exception | None) -> dict[str, Any]:
        return _outputs(thing, self.inputs)

    def describe_failure(self, thing: models.Backup, error: StacksError) -> str:
        backup = self.describe(thing)
        return f"{backup} is not pinned: {error.message}. `pulumi up` tries again"

    def describe(self, thing: models.Backup) -> str:
        return f"backup {thing.id} of {self.inputs['container']}"

    def roll_back(self, thing: models.Backup) -> None:
        # Unpin it, because the guide does not describe how to delete a backup in progress. STACKS deletes it after a
        # week.
        self.session.client.backups.unpin(thing.id, container_id=self.inputs["container"])


class PinnedBackupHandler(ChildHandler[models.Backup]):
    """Check, create, read, diff, update and delete a pinned backup."""

    kind: ClassVar = "PinnedBackup"
    creation: ClassVar = _PinnedBackupCreation
    id_form: ClassVar = "<container id>/<number>"
    # A backup of a large volume takes a long time.
    create_timeout: ClassVar = 1800.0
    fields: ClassVar = (
        Field("container", container_id, OnChange.REPLACE, required=True),
        Field("triggers", _validators.strings, OnChange.REPLACE),
        # If the program does not set `backup_id`, it is the number of the new backup. A missing input is then no
        # change.
        Field("backup_id", _validators.backup_number, OnChange.REPLACE, computed=True),
        Field("on_delete", _validators.one_of(("unpin", "delete", "keep")), OnChange.UPDATE, default="unpin"),
    )
    outputs: ClassVar = tuple(
        _fields.Output(name, (_fields.REPAIR,))
        for name in ("backup_id", "pinned", "status", "size_bytes", "created_at", "completed_at")
    )
    unique: ClassVar = ("container", "backup_id")

    def rules(
        self, olds: Mapping[str, Any], inputs: Mapping[str, Any], parent: ParentInProgram
    ) -> Iterable[tuple[str, str]]:
        """
        Refuse `triggers` together with `backup_id`: triggers request new backups, and `backup_id` selects an existing
        one. A new backup needs a running container.
        """
        if inputs.get("backup_id") is None:
            yield from runs(parent, olds, inputs, "container", "a backup")
        elif inputs.get("triggers") is not None:
            yield (
                "triggers",
                "a changed trigger creates a new backup, but backup_id selects an existing one: set only one of them",
            )

    def guards(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Refuse a change that would first destroy the backup with its container, and then fail."""
        return lost_with_its_container(olds, inputs)

    def diff(self, call: EngineCall, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> Difference:
        """Compare the inputs with the state, and record which container the backup belongs to."""
        BACKUPS[id_.rpartition("/")[2]] = parent_id(id_)
        return super().diff(call, id_, olds, news)

    def replaces(self, field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Replace, unless the program only writes the number of the existing backup instead of `triggers`."""
        named = news.get("backup_id")
        if field.name == "triggers" and named is not None and not is_unknown(named):
            return False
        return super().replaces(field, olds, news)

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether the backup was unpinned outside of this program."""
        return olds.get("pinned") is False

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Find the backup among the container's backups; one request serves all backups of a container."""
        found = self.find(session, op, id_, olds, reads=True)
        if found is None:
            return None
        # The backup failed after the wait for it had timed out: report it as deleted, so that `up` makes a new one.
        failed = found.status in BACKED_UP.failed and olds.get("pinned") is False
        return None if failed else _outputs(found, {**olds, "container": parent_id(id_)})

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Pin the backup again if it is not pinned, and store `on_delete`."""
        container = parent_id(id_)
        number = _number(id_, olds)
        if olds.get("pinned") is not False:
            kept = {output.name: olds[output.name] for output in self.outputs if output.name in olds}
            return {**kept, **inputs, "backup_id": number}
        try:
            backup = self.find(session, op, id_, olds, max_age=RECENT)
        except _TooOldError:
            backup = models.Backup(id=number, status="completed")
        if backup is None:
            msg = (
                f"backup {number} of {container} no longer exists. Nothing was changed: run `pulumi refresh` and then "
                "`pulumi up`"
            )
            raise VanishedError(msg, subject=f"backup {number}")
        return _outputs(_pin(session, op, container, backup, is_new=False), inputs)

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Unpin or delete the backup, or leave it unchanged."""
        if olds.get("on_delete") == "keep":
            number = _number(id_, olds)
            op.inform(f"backup {number} stays pinned as long as its container exists: on_delete is 'keep'")
            return
        try:
            super().on_delete(session, op, id_, olds)
        except _TooOldError as error:
            op.warn(f"{error.message}, so it cannot be compared with the state, and is left alone")

    def look(self, session: Session, id_: str, olds: Mapping[str, Any], get: Ask) -> models.Backup | None:
        """Return the backup; raise `_TooOldError` if it may be too old for the list."""
        return _look(session, parent_id(id_), _number(id_, olds), get)

    def is_ours(self, id_: str, olds: Mapping[str, Any], found: models.Backup) -> bool:
        """Compare the creation times, or the content if a time is missing."""
        if is_unique(found.id):
            return True
        same = same_time(olds.get("created_at"), found.created_at)
        if same is not None:
            return same
        return same_content(olds, {"completed_at": found.completed_at, "size_bytes": found.size_bytes})

    def describe(self, id_: str, found: models.Backup) -> str:
        """Return the backup's id."""
        return f"backup {id_}"

    def remove(self, session: Session, id_: str, olds: Mapping[str, Any]) -> None:
        """Unpin or delete the backup."""
        backups = session.client.backups
        act = backups.delete if olds.get("on_delete") == "delete" else backups.unpin
        act(_number(id_, olds), container_id=parent_id(id_))


def _pin(
    session: Session, op: Operation, container: str, backup: models.Backup, *, is_new: bool
) -> models.Backup:
    """Wait until the backup is complete, and pin it if it is not pinned."""
    if backup.pinned:
        return backup
    if backup.status not in BACKED_UP.target:
        backup = _wait_until_complete(session, op, container, backup, is_new=is_new)
    op.progress(f"pinning backup {backup.id}")
    pin = functools.partial(session.client.backups.pin, backup.id, container_id=container)
    patiently(session, op, f"the pin of backup {backup.id}", pin, (ConflictError,) if is_new else ())
    return _pinned(session, op, container, backup.id)


def _pinned(session: Session, op: Operation, container: str, number: models.BackupId) -> models.Backup:
    """Return the backup as soon as a list shows that it is pinned."""

    def row_of(listed: models.Listing[models.Backup]) -> models.Backup | None:
        return next((row for row in listed if row.id == number), None)

    def is_shown(listed: models.Listing[models.Backup]) -> bool:
        row = row_of(listed)
        return is_partial(listed) if row is None else row.pinned is not False

    listed = op.look_until(
        is_shown,
        lambda: session.client.backups.list(container, limit=MOST),
        seconds=session.client.platform.backup_pinned,
        waiting=f"backup {number}: pin not listed yet",
    )
    row = row_of(listed)
    if row is not None and row.pinned:
        return row
    if row is None and is_partial(listed):
        op.warn(f"{_out_of_sight(container, number, listed)}: the API accepted the pin")
        return models.Backup(id=number, pinned=True)
    its_list = f"the API accepted the pin of backup {number} of {container}, but its list"
    if row is not None and row.pinned is None:
        op.warn(f"{its_list} does not show which backups are pinned")
        return row.merge(models.Backup(id=number, pinned=True))
    shown = "does not have it" if row is None else "shows it as not pinned"
    raise StacksError(f"{its_list} {shown}", code="unexpected-status")


def _wait_until_complete(
    session: Session, op: Operation, container: str, backup: models.Backup, *, is_new: bool
) -> models.Backup:
    number = backup.id
    try:
        return session.client.backups.wait(
            container,
            number,
            deadline=op.deadline,
            on_tick=_progress(op),
            cancelled=op.cancelled,
            is_new=is_new,
            warn=op.warn,
        )
    except VanishedError as error:
        if not is_new:
            raise
        # The backup was made, so the state keeps its number.
        raise WaitTimeoutError(
            f"no list shows it after {error.elapsed:.0f} s", subject=error.subject, elapsed=error.elapsed
        ) from None
    except UnexpectedStateError as error:
        msg = (
            f"{error.message}. Remove the cause, and run `pulumi up --refresh`, which creates a new backup; if "
            f"backup_id is {number}, change or remove it first"
        )
        raise error.but(message=msg, code="backup-failed") from None


def _existing(session: Session, op: Operation, container: str, number: models.BackupId) -> models.Backup:
    """
    Return the backup.

    Raises:
        _TooOldError: The backup may be too old for the list.
        VanishedError: The container has no such backup.
    """
    look = functools.partial(_look, session, container, number)
    found = find_child(session, op, child_id(container, str(number)), look, max_age=0.0)
    if found is None:
        listed = session.client.backups.list(container, limit=MOST)
        msg = (
            f"{container} has no backup {number}; it has {', '.join(str(backup.id) for backup in listed) or 'none'}. "
            "Correct backup_id; if the backup was deleted outside of this program, run `pulumi refresh`"
        )
        raise VanishedError(msg, subject=f"backup {number}")
    return found


def _look(session: Session, container: str, number: models.BackupId, get: Ask) -> models.Backup | None:
    listed = get("backups", container, ask=lambda: session.client.backups.list(container, limit=MOST))
    row = next((row for row in listed if row.id == number), None)
    if row is None and is_partial(listed):
        raise _TooOldError(_out_of_sight(container, number, listed))
    return row


def _number(id_: str, olds: Mapping[str, Any]) -> models.BackupId:
    try:
        return _validators.backup_number(olds.get("backup_id") or id_)
    except ValueError:
        # Only a look-up can have such an id; no backup has it.
        return own_name(id_)


def _out_of_sight(container: str, number: models.BackupId, listed: models.Listing[models.Backup]) -> str:
    what = f"backup {number} of {container}"
    if len(listed) < MOST:
        return f"{what} is not listed, but the list is incomplete ({listed.gap})"
    return f"{what} is not among the newest {MOST} backups, and older backups cannot be looked up"


def _outputs(backup: models.Backup, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return without_none(
        {
            **inputs,
            "backup_id": backup.id,
            # Some lists do not show which backups are pinned.
            "pinned": bool(inputs.get("pinned") if backup.pinned is None else backup.pinned),
            "status": backup.status,
            "size_bytes": backup.size_bytes,
            "created_at": backup.created_at,
            "completed_at": backup.completed_at,
        }
    )


def _progress(op: Operation) -> Callable[[models.Backup | None, float], None]:
    """Return a function that shows the status."""

    def on_tick(backup: models.Backup | None, _elapsed: float) -> None:
        op.progress(f"backup {'not listed yet' if backup is None else backup.status}")

    return on_tick
