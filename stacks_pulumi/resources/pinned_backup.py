"""
PinnedBackup: a backup that the platform's retention clean-up skips; and BackupRestore: its data, put back once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pulumi

from stacks_pulumi.api import in_doubt, models
from stacks_pulumi.api.wait import BACKED_UP
from stacks_pulumi.errors import (
    ExistsError,
    NotFoundError,
    StacksError,
    UnexpectedStateError,
    VanishedError,
)
from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources import _fields
from stacks_pulumi.resources._creation import Creation, InitFailedError
from stacks_pulumi.resources._fields import Field, OnChange, OnDelete, ParentInProgram, changed
from stacks_pulumi.resources._handler import LOOKED_UP, ResourceHandler, lookup_options
from stacks_pulumi.resources._identity import OWNERSHIP
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._resource import (
    Child,
    StacksResource,
    child_id,
    container_id,
    input_id,
    parent_id,
)
from stacks_pulumi.resources._running import runs, wait_until_running
from stacks_pulumi.resources._session import REFUSALS, Session

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container


class BackupRestore(StacksResource, module="stacks", name="BackupRestore"):
    """
    A restore (guide, "Restore Backup"): the data of the container is replaced by the data of the backup.

    The restore runs when the resource is created and when `backup_id` or `triggers` change, and at no other time.
    Removing the resource from the program does not undo it.
    """

    backup_id: pulumi.Output[int]
    """The backup's number."""

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        backup_id: pulumi.Input[int | str],
        triggers: pulumi.Input[Sequence[pulumi.Input[Any]]] | None = None,
    ) -> None:
        """
        Declare a restore.

        Args:
            resource_name: Name in the program.
            opts: Pulumi's options.
            backup_id: The number of a completed backup (or the id of a PinnedBackup); its container must run.
            triggers: When any value in this list changes, the backup is restored again.
        """
        super().__init__(resource_name, {"backup_id": backup_id, "triggers": triggers}, opts)


class BackupRestoreHandler(ResourceHandler):
    """Check, create, read, diff, update and delete a restore."""

    kind: ClassVar = "BackupRestore"
    owns: ClassVar = False
    id_form: ClassVar = ""
    fields: ClassVar = (
        Field("backup_id", _fields.backup_number, OnChange.UPDATE, required=True),
        Field("triggers", _fields.strings, OnChange.UPDATE),
    )

    def creation(self, session: Session, op: Operation, inputs: dict[str, Any]) -> _Restoration:
        """Restore."""
        return _Restoration(session, op, inputs)

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the state: the API does not list past restores."""
        return olds

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Restore again if the program requests it, but not to complete a restore whose outcome is unknown."""
        if changed(self.fields, olds, inputs):
            _restore(session, op, inputs)
        return dict(inputs)

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """No-op: the data stays unchanged."""


class _Restoration(Creation[int]):
    """A restore. It leaves no object at the API, so there is nothing to roll back."""

    kind: ClassVar = "BackupRestore"

    def create(self) -> int:
        _restore(self.session, self.op, self.inputs)
        return int(self.inputs["backup_id"])

    def id_of(self, thing: int) -> str:
        return str(thing)

    def known(self, thing: int, error: Exception | None) -> dict[str, Any]:
        return dict(self.inputs)


def _restore(session: Session, op: Operation, inputs: dict[str, Any]) -> None:
    number = inputs["backup_id"]
    op.progress(f"restoring backup {number}")
    try:
        # A backup's number does not show which container it belongs to, so delay the restarts of all.
        with session.restarts.held_off(None, op.check_active):
            session.client.backups.restore(number)
    except StacksError as error:
        if not in_doubt(error):
            raise
        # A second restore would overwrite the data written since the first one, so treat it as done.
        msg = (
            f"the outcome of the restore of backup {number} is unknown: {error.message}. Look at the data. To "
            "restore again, change `triggers`: `pulumi up` alone does not repeat the restore"
        )
        raise InitFailedError(msg, code="outcome-unknown", id=str(number), outs=inputs) from None


_NEWEST: Final = 100
"""The maximum length of a list (guide, "List Backups"); older backups cannot be looked up."""


class PinnedBackup(Child, module="stacks", name="PinnedBackup"):
    """
    A backup of a container, protected from the clean-up after seven days (guide, "Backups").

    Deleting the container deletes its backups, pinned or not. Its id is `<container id>/<number>`.
    """

    _unique: ClassVar = ("container", "backup_id")

    container: pulumi.Output[str]
    """The container's id."""
    backup_id: pulumi.Output[int]
    """The backup's number, which BackupRestore takes."""
    on_delete: pulumi.Output[str]
    """What happens to the backup when this resource is deleted."""
    pinned: pulumi.Output[bool]
    """Whether it is protected."""
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
        backup_id: pulumi.Input[int] | None = None,
        on_delete: OnDelete | None = None,
    ) -> None:
        """
        Declare a pinned backup.

        Args:
            resource_name: Name in the program.
            opts: Pulumi's options.
            container: The container, which must run.
            triggers: When any value in this list changes, a new backup is made, and then `on_delete` applies to the old
                one.
            backup_id: Pin this existing backup instead of making one.
            on_delete: What to do with the backup when this resource is deleted: `unpin` (default), `delete` or `keep`.
        """
        super().__init__(
            resource_name,
            {
                "container": input_id(container),
                "triggers": triggers,
                "backup_id": backup_id,
                "on_delete": on_delete,
                "pinned": None,
                "status": None,
                "size_bytes": None,
                "created_at": None,
                "completed_at": None,
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


class PinnedBackupHandler(ResourceHandler):
    """Check, create, read, diff, update and delete a pinned backup."""

    kind: ClassVar = "PinnedBackup"
    id_form: ClassVar = "<container id>/<number>"
    # A backup of a large volume takes long.
    create_timeout: ClassVar = 1800.0
    fields: ClassVar = (
        Field("container", container_id, OnChange.REPLACE, required=True),
        Field("triggers", _fields.strings, OnChange.REPLACE),
        # If it is not set, it is the number of the new backup, and a missing input is not a change.
        Field("backup_id", _fields.backup_number, OnChange.REPLACE, computed=True),
        Field("on_delete", _fields.one_of(("unpin", "delete", "keep")), OnChange.UPDATE, default="unpin"),
    )

    def rules(self, inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Refuse `triggers` with `backup_id`: the first requests a new backup, the second an existing one."""
        if inputs.get("triggers") is not None and inputs.get("backup_id") is not None:
            yield (
                "triggers",
                "they make a new backup when they change, and backup_id names one that exists: give one",
            )

    def unique_names(self, inputs: Mapping[str, Any]) -> Mapping[str, str]:
        """A backup may be named once only: if one resource unpins it, it is unpinned for the other too."""
        number = inputs.get("backup_id")
        return {} if number is None else {"backup_id": child_id(inputs["container"], str(number))}

    def parent_rules(
        self, parent: ParentInProgram, olds: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> Iterable[tuple[str, str]]:
        """A backup needs a container that runs."""
        return () if inputs.get("backup_id") is not None else runs(parent, olds, "container", "a backup")

    def replaces(self, field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Replace, unless the program replaces `triggers` by the number of the backup that they made."""
        named = news.get("backup_id")
        if field.name == "triggers" and named is not None and not is_unknown(named):
            return False
        return super().replaces(field, olds, news)

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether the backup was unpinned outside of this program."""
        return olds.get("pinned") is False

    def creation(self, session: Session, op: Operation, inputs: dict[str, Any]) -> _PinnedBackupCreation:
        """Make a backup (or use the one with the given number), wait until it is complete, and pin it."""
        return _PinnedBackupCreation(session, op, inputs)

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Find it among the container's backups; one request serves all backups of a container."""
        container = parent_id(id_)
        try:
            number = _fields.backup_number(id_)
        except ValueError:
            # Only a look-up can have the number of such a backup.
            return None
        try:
            listed = session.reads.get(
                "backups", container, ask=lambda: session.client.backups.list(container, limit=_NEWEST)
            )
        except NotFoundError:
            return None
        backup = listed.find(lambda backup: backup.id == number)
        if backup is not None:
            # The backup failed after the wait for it had timed out: report it as deleted, so that `up` makes another.
            failed = backup.status in BACKED_UP.failed and olds.get("pinned") is False
            return None if failed else _outputs(backup, {**olds, "container": container})
        if len(listed) < _NEWEST:
            return None
        op.warn(f"{_out_of_sight(container, number)}: assumed unchanged")
        return {**olds, "container": container, "backup_id": number}

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Pin the backup again if it is not pinned, and store `on_delete`."""
        container, number = parent_id(id_), _fields.backup_number(id_)
        if olds.get("pinned") is True:
            names = {field.name for field in self.fields}
            kept = {name: value for name, value in olds.items() if name not in names}
            return {**kept, **inputs, "backup_id": number}
        backup = models.Backup(id=number, status=olds.get("status"))
        return _outputs(_pin(session, op, container, backup), inputs)

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Unpin or delete the backup, or leave it unchanged."""
        number, backups = _fields.backup_number(id_), session.client.backups
        act = {"unpin": backups.unpin, "delete": backups.delete}.get(olds.get("on_delete", "unpin"))
        if act is None:
            op.inform(f"backup {number} stays pinned: on_delete is 'keep'")
            return
        with contextlib.suppress(NotFoundError):
            act(number, container_id=parent_id(id_))


class _PinnedBackupCreation(Creation[models.Backup]):
    """POST, then wait for the backup and pin it."""

    kind: ClassVar = "PinnedBackup"
    # A failed backup is not kept in the state.
    leaves_nothing: ClassVar = (UnexpectedStateError, VanishedError)

    def create(self) -> models.Backup:
        container, named = self.inputs["container"], self.inputs.get("backup_id")
        if named is not None:
            if OWNERSHIP.owner(self.kind, child_id(container, str(named))) is not None:
                raise ExistsError(f"backup {named} is managed already", existing=models.Backup(id=named))
            # The backup exists already, so an interrupted creation must not roll it back.
            self.adopted = True
            return models.Backup(id=named)
        with self.session.restarts.held_off((container,), self.op.check_active):
            if self.session.created.are_running(container):
                with contextlib.suppress(*REFUSALS):
                    return self._start()
            wait_until_running(self.session, self.op, "a backup", container)
            return self._start()

    def _start(self) -> models.Backup:
        container = self.inputs["container"]
        self.op.progress("starting a backup")
        return self.session.client.backups.start(
            container,
            deadline=self.op.deadline,
            on_tick=_progress(self.op),
            cancelled=self.op.cancelled,
            is_first=lambda: self.session.created.take_first_backup(container),
        )

    def id_of(self, thing: models.Backup) -> str:
        return child_id(self.inputs["container"], str(thing.id))

    def finish(self, thing: models.Backup) -> dict[str, Any]:
        return _outputs(_pin(self.session, self.op, self.inputs["container"], thing), self.inputs)

    def known(self, thing: models.Backup, error: Exception | None) -> dict[str, Any]:
        return _outputs(thing, self.inputs)

    def describe_failure(self, thing: models.Backup, error: StacksError) -> str:
        backup = self.describe(thing)
        return f"{backup} is not pinned: {error.message}. `pulumi up` tries again"

    def describe(self, thing: models.Backup) -> str:
        return f"backup {thing.id} of {self.inputs['container']}"

    def roll_back(self, thing: models.Backup) -> None:
        # The guide does not describe the deletion of a backup in progress. Unpinned, it is deleted after a week.
        self.session.client.backups.unpin(thing.id, container_id=self.inputs["container"])


def _pin(session: Session, op: Operation, container: str, backup: models.Backup) -> models.Backup:
    """Wait until the backup is complete, and pin it if necessary. One that is too old for the list is complete."""
    number = backup.id
    seen = backup if backup.status is not None else _find(session, container, number)
    if seen is not None and seen.pinned:
        return seen
    if seen is not None and seen.status != "completed":
        _wait_until_complete(session, op, container, number)
    op.progress(f"pinning backup {number}")
    session.client.backups.pin(number, container_id=container)
    pinned = _find(session, container, number)
    if pinned is None:
        op.warn(f"{_out_of_sight(container, number)}: the API accepted to pin it")
        return models.Backup(id=number, pinned=True)
    if not pinned.pinned:
        msg = (
            f"the API accepted to pin backup {number} of {container}, and its list says that it is not pinned"
        )
        raise StacksError(msg, code="unexpected-status")
    return pinned


def _wait_until_complete(session: Session, op: Operation, container: str, number: models.BackupId) -> None:
    try:
        session.client.backups.wait(
            container, number, deadline=op.deadline, on_tick=_progress(op), cancelled=op.cancelled
        )
    except UnexpectedStateError as error:
        backup = _find(session, container, number)
        reason = backup.error_message if backup is not None else None
        msg = (
            f"backup {number} of {container} failed: {reason or 'the API gives no reason'}. Remove the cause, and run "
            f"`pulumi up --refresh`, which makes a new backup; if backup_id is {number}, change or remove it first"
        )
        raise replace(error, message=msg, code="backup-failed") from None


def _find(session: Session, container: str, number: models.BackupId) -> models.Backup | None:
    """
    Return the backup; `None` if it may exist but be too old for the list.

    Raises:
        VanishedError: The container does not have it.
    """
    listed = session.client.backups.list(container, limit=_NEWEST)
    backup = listed.find(lambda backup: backup.id == number)
    if backup is None and len(listed) < _NEWEST:
        msg = (
            f"{container} has no backup {number}; it has {', '.join(str(backup.id) for backup in listed) or 'none'}. "
            "Correct backup_id; if the backup was deleted outside of this program, run `pulumi refresh`"
        )
        raise VanishedError(msg, subject=f"backup {number}")
    return backup


def _out_of_sight(container: str, number: models.BackupId) -> str:
    return f"backup {number} of {container} is not among the newest {_NEWEST}, which is all that can be looked up"


def _outputs(backup: models.Backup, inputs: Mapping[str, Any]) -> dict[str, Any]:
    outs = {
        **inputs,
        "backup_id": backup.id,
        "pinned": bool(backup.pinned),
        "status": backup.status,
        "size_bytes": backup.size_bytes,
        "created_at": backup.created_at,
        "completed_at": backup.completed_at,
    }
    return {name: value for name, value in outs.items() if value is not None}


def _progress(op: Operation) -> Callable[[models.Backup | None, float], None]:
    def on_tick(backup: models.Backup | None, _elapsed: float) -> None:
        op.progress(f"backup {'not listed yet' if backup is None else backup.status}")

    return on_tick
