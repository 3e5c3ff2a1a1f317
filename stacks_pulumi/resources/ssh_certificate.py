"""SshCertificate: the private key with which people log in to a compute container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi

from stacks_pulumi.errors import NotFoundError
from stacks_pulumi.resources import _checks, _host
from stacks_pulumi.resources._base import Provider
from stacks_pulumi.resources._fields import Change, Field
from stacks_pulumi.resources._lookup import LOOKED_UP, lookup_options
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._references import child_options, container_id, input_id
from stacks_pulumi.resources._resource import Resource
from stacks_pulumi.resources._running import wait_until_running
from stacks_pulumi.resources._session import Session

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container

__all__ = ["SshCertificate", "SshCertificateProvider"]


class SshCertificate(Resource, module="stacks", name="SshCertificate"):
    """
    A container's SSH key (guide, "Download SSH Certificate" and "Regenerate SSH Certificate").

    Every compute container has one; a managed service has none. Its id is the container's.
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
        Declare that a container's key is wanted.

        Args:
            resource_name: Name in the program.
            opts: Pulumi's options. Given a Container, `deleted_with` is set to it.
            container: A compute container, for instance one made from `ubuntu`, `nodejs` or `python`.
            rotate_triggers: When any value in this list changes, a new key is made; the old one opens nothing then.
        """
        super().__init__(
            SshCertificateProvider(),
            resource_name,
            {"container": input_id(container), "rotate_triggers": rotate_triggers, "private_key": None},
            child_options(opts, container, secrets=["private_key"]),
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


class SshCertificateProvider(Provider):
    """Check, create, read, diff, update and delete an SSH key."""

    kind: ClassVar = "SshCertificate"
    owns: ClassVar = False
    fields: ClassVar = (
        Field("container", container_id, Change.REPLACE, required=True),
        Field("rotate_triggers", _checks.strings, Change.UPDATE),
    )

    def on_create(
        self, session: Session, op: Operation, inputs: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Download the key that the container came with."""
        container = inputs["container"]
        wait_until_running(session, op, "an SSH key", container)
        return container, _outputs(inputs, session.client.containers.certificate(container))

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Download it again: somebody may have made a new one."""
        try:
            key = session.client.containers.certificate(id_)
        except NotFoundError:
            return None
        return _outputs({**olds, "container": id_}, key)

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Make a new key, which comes with the answer or is downloaded."""
        op.progress("making a new key")
        return _outputs(inputs, session.client.containers.regenerate_certificate(id_))

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Nothing: the key belongs to the container and stays with it."""


def _outputs(inputs: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {**inputs, "private_key": _host.secret(key)}
