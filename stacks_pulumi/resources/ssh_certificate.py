"""SshCertificate: the private key for SSH logins to a compute container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pulumi

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import seconds_of
from stacks_pulumi.errors import NotFoundError, StacksError, VanishedError
from stacks_pulumi.resources import _fields, _validators
from stacks_pulumi.resources._children import leave_alone
from stacks_pulumi.resources._creation import Creation
from stacks_pulumi.resources._fields import Field, OnChange, changed
from stacks_pulumi.resources._handler import LOOKED_UP, ResourceHandler, lookup_options
from stacks_pulumi.resources._identity import (
    CONTAINER_CREATED_AT,
    UnseenError,
    find_container,
    may_be_another,
    uncertain,
)
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._resource import (
    Child,
    ParentInProgram,
    child_id,
    container_id,
    input_id,
    own_name,
    parent_id,
)
from stacks_pulumi.resources._running import (
    creation_time,
    patiently,
    runs,
    wait_until_running,
)
from stacks_pulumi.resources._session import Session
from stacks_pulumi.resources._stored import shown_time
from stacks_pulumi.resources._values import secret, without_none

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container


class SshCertificate(Child, module="stacks", name="SshCertificate"):
    """
    A container's SSH key (guide, "Download SSH Certificate" and "Regenerate SSH Certificate").

    Every compute container has an SSH key; managed services have none. The id is `<container id>/ssh`, or the
    container's id for a dynamic resource. Both forms are accepted.
    """

    container: pulumi.Output[str]
    """The container's id."""
    private_key: pulumi.Output[str]
    """The private key in PEM format, a secret."""

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        container: Container | pulumi.Input[str],
        rotate_triggers: pulumi.Input[Sequence[pulumi.Input[Any]]] | None = None,
    ) -> None:
        """
        Declare a container's SSH key.

        Args:
            resource_name: Name in the program.
            opts: Pulumi's options.
            container: A compute container, for instance with the template `ubuntu`, `nodejs` or `python`.
            rotate_triggers: When any value in this list changes, a new key is created and the old one becomes invalid.
        """
        super().__init__(
            resource_name,
            {"container": input_id(container), "rotate_triggers": rotate_triggers},
            opts,
            container=container,
        )

    @staticmethod
    def get(
        resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> SshCertificate:
        """
        Look up the key of a container.

        Args:
            resource_name: Name in the program.
            id: The container's id.
            opts: Pulumi's options.
        """
        return SshCertificate(resource_name, lookup_options(id, opts), container=LOOKED_UP)


_OWN_NAME: Final = "ssh"
"""The part after the container's id in the id of a key."""


class _StaleError(StacksError):
    """The API still returns the old key."""


class _Download(Creation[str]):
    """The download of a key, which creates nothing at the API."""

    kind: ClassVar = "SshCertificate"

    def create(self) -> str:
        container = self.inputs["container"]
        wait_until_running(self.session, self.op, "an SSH key", container)
        return patiently(
            self.session,
            self.op,
            "the key",
            lambda: self.session.client.containers.certificate(container),
            (NotFoundError,),
        )

    def id_of(self, thing: str) -> str:
        return str(self.inputs["container"])

    def known(self, thing: str, error: Exception | None) -> dict[str, Any]:
        return _outputs(self.inputs, thing, creation_time(self.session, self.inputs["container"]))


class SshCertificateHandler(ResourceHandler):
    """Check, create, read, diff, update and delete an SSH key."""

    kind: ClassVar = "SshCertificate"
    creation: ClassVar = _Download
    id_form: ClassVar = f"usr-abc12345-web/{_OWN_NAME}"
    owns: ClassVar = False
    fields: ClassVar = (
        Field("container", container_id, OnChange.REPLACE, required=True),
        Field("rotate_triggers", _validators.strings, OnChange.UPDATE),
    )
    # An update for another reason downloads the key, which another client may have renewed.
    outputs: ClassVar = (
        _fields.Output("private_key", (_fields.ANY_UPDATE,), secret=True),
        _fields.Output(CONTAINER_CREATED_AT, (_fields.ANY_UPDATE,)),
    )

    def distinct_id(self, id_: str) -> str:
        """
        Return an id that differs from the container's id. Otherwise, an import would refer to the key instead of the
        container.
        """
        return id_ if "/" in id_ else child_id(id_, _OWN_NAME)

    def plain_id(self, id_: str) -> str:
        """Return the container's id, which identifies the key in all operations."""
        return parent_id(id_) if self.distinct_id(parent_id(id_)) == id_ else id_

    def rules(
        self, olds: Mapping[str, Any], inputs: Mapping[str, Any], parent: ParentInProgram
    ) -> Iterable[tuple[str, str]]:
        """A managed service has no SSH key, and a download needs a running container."""
        if catalog.is_database(parent.template):
            yield (
                "container",
                f'only a compute container has an SSH key, and "{parent.template}" is a managed service',
            )
        yield from runs(parent, olds, inputs, "container", "an SSH key")

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Download the key again, because it may have been renewed; return `None` if the container was recreated."""
        if own_name(self.distinct_id(id_)) != _OWN_NAME:
            return None
        id_ = parent_id(id_)
        stored = olds.get(CONTAINER_CREATED_AT)
        container = find_container(session, id_, stored={"created_at": stored}, shared=True)
        if container is None:
            return None
        if _is_another(session, id_, stored, container.created_at):
            leave_alone(op, f"the container {id_} of the SSH key", stored, container.created_at, refresh=True)
            return None
        try:
            key = session.client.containers.certificate(id_)
        except NotFoundError as error:
            # The container exists, so the state may contain the only copy of its key.
            if olds.get("private_key") is None:
                raise
            op.warn(
                f"the SSH key of {id_} cannot be downloaded again ({error.reason}): the state keeps its key"
            )
            key = str(olds["private_key"])
        return _outputs({**olds, "container": id_}, key, container.created_at)

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Create a new key if a trigger changed; otherwise, download the key."""
        id_ = parent_id(id_)
        stored = olds.get(CONTAINER_CREATED_AT)
        container = find_container(session, id_, stored={"created_at": stored})
        now = None if container is None else container.created_at
        if container is None or _is_another(session, id_, stored, now):
            later = "" if now is None else f", and a container created at {now} has its id"
            msg = (
                f"the SSH key of {id_} was not renewed: the container created at {shown_time(stored)} no "
                f"longer exists{later}. Run `pulumi refresh` and then `pulumi up`"
            )
            raise VanishedError(msg, subject=f"container {id_}")
        if changed(self.fields, olds, inputs):
            op.progress("creating a new key")
            key = self._renewed(session, op, id_, olds.get("private_key"))
        else:
            key = session.client.containers.certificate(id_)
        return _outputs(inputs, key, now)

    def _renewed(self, session: Session, op: Operation, id_: str, old: str | None) -> str:
        """Return a new key. For some seconds, the API may still return the old key."""
        keys = session.client.containers

        def new(key: str) -> str:
            if key == old:
                msg = f"the API accepted the renewal of the SSH key of {id_}, but still returns the old one"
                raise _StaleError(msg, code="unexpected-status")
            return key

        try:
            return new(keys.regenerate_certificate(id_))
        except _StaleError:
            return patiently(
                session, op, "the new key", lambda: new(keys.certificate(id_)), (_StaleError, NotFoundError)
            )

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """No-op: the key belongs to the container and stays there."""


def _is_another(session: Session, id_: str, stored: str | None, now: str | None) -> bool:
    """
    Return whether a container is newer than the container in the state.

    Raises:
        UnseenError: The container has no creation time, so this is unknown.
    """
    is_other = may_be_another(session, stored, now)
    if is_other and seconds_of(now) is None:
        raise UnseenError(uncertain(id_, {"created_at": stored}, now))
    return is_other


def _outputs(inputs: Mapping[str, Any], key: str, container_created_at: str | None) -> dict[str, Any]:
    return without_none({**inputs, "private_key": secret(key), CONTAINER_CREATED_AT: container_created_at})
