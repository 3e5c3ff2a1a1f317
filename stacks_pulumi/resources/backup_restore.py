"""BackupRestore: the data of a backup, restored once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

import pulumi

from stacks_pulumi.api import in_doubt, models
from stacks_pulumi.errors import (
    StacksError,
)
from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources import _validators
from stacks_pulumi.resources._creation import Creation, InitFailedError
from stacks_pulumi.resources._fields import Field, OnChange, changed
from stacks_pulumi.resources._handler import ResourceHandler
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._resource import (
    StacksResource,
)
from stacks_pulumi.resources._session import Session

_RESTORES_AGAIN: Final = (
    "A resource that was renamed without an alias, or removed from the state, restores the backup again"
)


class BackupRestore(StacksResource, module="stacks", name="BackupRestore"):
    """
    A restore (guide, "Restore Backup"): the data of the container is replaced by the data of the backup.

    The restore runs only when the resource is created, and when `backup_id` or `triggers` change. Removing the resource
    from the program does not undo the restore.
    """

    backup_id: pulumi.Output[int | str]
    """The backup's number, or its id if that is a string."""

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
            backup_id: The number of a completed backup, or the `backup_id` or id of a PinnedBackup. The backup's
                container must be running.
            triggers: When any value in this list changes, the backup is restored again.
        """
        super().__init__(resource_name, {"backup_id": backup_id, "triggers": triggers}, opts)


class _Restoration(Creation[models.BackupId]):
    """A restore. It leaves no object at the API, so there is nothing to roll back."""

    kind: ClassVar = "BackupRestore"

    def create(self) -> models.BackupId:
        _restore(self.session, self.op, self.inputs)
        number: models.BackupId = self.inputs["backup_id"]
        return number

    def id_of(self, thing: models.BackupId) -> str:
        return str(thing)

    def known(self, thing: models.BackupId, error: Exception | None) -> dict[str, Any]:
        return dict(self.inputs)


class BackupRestoreHandler(ResourceHandler):
    """Check, create, read, diff, update and delete a restore."""

    kind: ClassVar = "BackupRestore"
    creation: ClassVar = _Restoration
    owns: ClassVar = False
    id_form: ClassVar = ""
    fields: ClassVar = (
        Field("backup_id", _validators.backup_number, OnChange.UPDATE, required=True),
        Field("triggers", _validators.strings, OnChange.UPDATE),
    )

    def warnings(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[str]:
        """Warn that data will be lost, because a preview shows only `create`."""
        if changed(self.fields, olds, inputs):
            number = inputs.get("backup_id")
            backup = "a backup" if is_unknown(number) else f"backup {number}"
            again = "" if olds else f". {_RESTORES_AGAIN}"
            yield f"restores {backup}: all data that its container has written since that backup is lost{again}"

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the state unchanged, because the API does not list past restores."""
        return olds

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Restore again if an input has changed. An unknown outcome alone does not repeat a restore."""
        if changed(self.fields, olds, inputs):
            _restore(session, op, inputs)
        return dict(inputs)

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """No-op: the data stays unchanged."""


def _restore(session: Session, op: Operation, inputs: dict[str, Any]) -> None:
    number = inputs["backup_id"]
    op.progress(f"restoring backup {number}")
    try:
        # A backup's number does not show its container, so delay the restarts of all containers.
        with session.restarts.held_off(None, op.check_active):
            session.client.backups.restore(number)
    except StacksError as error:
        if not in_doubt(error):
            raise
        # A second restore would overwrite the data written since the first one, so treat the first one as done.
        msg = (
            f"the outcome of the restore of backup {number} is unknown: {error.message}. Check the data. To restore "
            "again, change `triggers`: `pulumi up` alone does not repeat the restore"
        )
        raise InitFailedError(msg, code="outcome-unknown", id=str(number), outs=inputs) from None
