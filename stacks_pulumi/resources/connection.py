"""Connection: the variables by which one container reaches another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pulumi

from stacks_pulumi.api import models
from stacks_pulumi.api.wait import STARTED
from stacks_pulumi.config import ADOPT_MODES
from stacks_pulumi.errors import ExistsError, NotFoundError, StacksError, WaitCancelledError
from stacks_pulumi.resources import _checks, _host
from stacks_pulumi.resources._adoption import adopts, how_to_adopt, refuse_if_owned
from stacks_pulumi.resources._base import HalfDone, Provider
from stacks_pulumi.resources._fields import Change, Field
from stacks_pulumi.resources._literals import AdoptMode
from stacks_pulumi.resources._lookup import LOOKED_UP, lookup_options
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._references import (
    child_id,
    child_options,
    container_id,
    input_id,
    own_name,
    parent_id,
)
from stacks_pulumi.resources._resource import Resource
from stacks_pulumi.resources._restarts import Made
from stacks_pulumi.resources._running import wait_for, wait_until_running
from stacks_pulumi.resources._session import Session

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container

__all__ = ["Connection", "ConnectionProvider"]


class Connection(Resource, module="stacks", name="Connection"):
    """
    A connection from a container to another one in the same account (guide, "Container Connections").

    It puts host, port and credentials of the target into the source's environment, and restarts the source so that
    it sees them. Its id is `<source id>/<connection id>`.
    """

    source: pulumi.Output[str]
    """Id of the container that gets the variables."""
    target: pulumi.Output[str]
    """Id of the container that they lead to."""
    name: pulumi.Output[str]
    """The connection's name at STACKS."""
    restart_source: pulumi.Output[bool]
    """Whether the source was restarted."""
    connection_type: pulumi.Output[str | None]
    """What the target is, for instance `postgresql`."""
    environment_variables: pulumi.Output[Mapping[str, str] | None]
    """
    The variables, a secret. The API masks the password as `****`; `get_credentials` has the real one. Only the answer
    to the creation tells them: none for a connection that was taken over or looked up.
    """
    connection_string: pulumi.Output[str | None]
    """The address with user and (masked) password, a secret."""
    created_at: pulumi.Output[str | None]
    """When it was made, ISO 8601; known from the first refresh on."""

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        source: Container | pulumi.Input[str],
        target: Container | pulumi.Input[str],
        name: pulumi.Input[str] | None = None,
        restart_source: pulumi.Input[bool] | None = None,
        adopt: AdoptMode | None = None,
    ) -> None:
        """
        Declare a connection.

        Args:
            resource_name: Name in the program; also the connection's name unless `name` is given.
            opts: Pulumi's options. Given a Container as source, `deleted_with` is set to it.
            source: The container that gets the variables.
            target: The container that they lead to.
            name: The connection's name at STACKS.
            restart_source: Restart the source, once for all connections made to it at the same time (default true).
            adopt: `never` (default) or `if_matching`: take over an equal connection that exists already, without a
                restart.
        """
        super().__init__(
            ConnectionProvider(),
            resource_name,
            {
                "source": input_id(source),
                "target": input_id(target),
                "name": resource_name if name is None and not (opts and opts.id) else name,
                "restart_source": restart_source,
                "adopt": adopt,
                "connection_type": None,
                "environment_variables": None,
                "connection_string": None,
                "created_at": None,
            },
            child_options(opts, source, secrets=["environment_variables", "connection_string"]),
        )

    @staticmethod
    def get(
        resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> Connection:
        """
        Look up a connection that this program does not manage.

        Args:
            resource_name: Name in the program.
            id: `<source id>/<connection id>`.
            opts: Pulumi's options.
        """
        return Connection(resource_name, lookup_options(id, opts), source=LOOKED_UP, target=LOOKED_UP)


_RESTART_PENDING: Final = "restart_pending"
"""Set while the source has not been restarted since the connection was made."""


class ConnectionProvider(Provider):
    """Check, create, read, diff and delete a connection."""

    kind: ClassVar = "Connection"
    fields: ClassVar = (
        Field("source", container_id, Change.REPLACE, required=True),
        Field("target", container_id, Change.REPLACE, required=True),
        Field("name", _checks.text, Change.REPLACE, required=True),
        Field("restart_source", _checks.boolean, Change.NONE, default=True),
        Field("adopt", _checks.one_of(ADOPT_MODES), Change.NONE),
    )

    def delete_first(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """A name is taken while the old connection of that name is there; so is a pair of source and target."""
        return bool(olds.get("source") == news.get("source"))

    def names(self, inputs: Mapping[str, Any]) -> Iterable[str]:
        """Among the connections of its source, the name is, and so is the target."""
        source = inputs["source"]
        return (child_id(source, inputs["name"]), f"{source} -> {inputs['target']}")

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Its source was not restarted when it was made."""
        return bool(olds.get(_RESTART_PENDING)) and news.get("restart_source") is True

    def on_create(
        self, session: Session, op: Operation, inputs: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Wait until both run, connect, and have the source restarted."""
        source, target = inputs["source"], inputs["target"]
        with session.restarts.connecting(source, target, op.check_active) as one:
            wait_until_running(session, op, "a connection", source, target)
            op.progress("connecting")
            try:
                made = session.client.connections.create(source, target, name=inputs["name"])
            except ExistsError as error:
                taken_over = self._adopt(session, op, inputs, error.existing)
                # Its source has run with it all the time: nothing to restart for.
                return child_id(source, taken_over.id), _outputs(taken_over, {}, inputs)
        id_, outs = child_id(source, made.id), _outputs(made, {}, inputs)
        try:
            if inputs["restart_source"]:
                _restart(session, op, source, one)
            op.check_active()
        except WaitCancelledError:
            with op.undoing():
                session.client.connections.delete(made.id)
            raise
        except StacksError as error:
            msg = (
                f'connection "{inputs["name"]}" was made, but its source {source} could not be restarted to see '
                f"it: {error}. `pulumi up` restarts it again"
            )
            raise HalfDone(msg, id=id_, outs={**outs, _RESTART_PENDING: True}) from None
        return id_, outs

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Look it up among the connections of its source; one call for all that belong to one source."""
        source = parent_id(id_)
        try:
            listed = session.reads.get(
                "connections", source, ask=lambda: session.client.connections.list(source)
            )
        except NotFoundError:
            return None
        found = next((item for item in listed.outgoing if item.id == own_name(id_)), None)
        if found is None:
            return None
        kept = ("restart_source", "adopt", _RESTART_PENDING)
        inputs: dict[str, Any] = {name: olds[name] for name in kept if name in olds}
        inputs.update(
            source=source,
            target=olds.get("target") or _target_id(session, found),
            name=found.name or olds.get("name"),
        )
        return _outputs(found, olds, inputs)

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Only for a connection that was made half way: restart its source."""
        source = inputs["source"]
        if inputs["restart_source"]:
            _restart(session, op, source)
        return _outputs(None, olds, inputs)

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Remove it; the source keeps the variables until it is restarted."""
        op.progress("disconnecting")
        with contextlib.suppress(NotFoundError):
            session.client.connections.delete(own_name(id_))

    def _adopt(
        self, session: Session, op: Operation, inputs: Mapping[str, Any], existing: models.Connection
    ) -> models.Connection:
        refuse_if_owned(op, "Connection", child_id(inputs["source"], existing.id))
        if adopts(session, inputs):
            op.inform(f"took over the existing connection {existing.id}; from now on this program deletes it")
            return existing
        msg = (
            f'a connection "{inputs["name"]}" from {inputs["source"]} to that target exists already ({existing.id}). '
            + how_to_adopt("Connection", op, inputs)
        )
        raise ExistsError(msg, existing=existing)


def _restart(session: Session, op: Operation, source: str, made: Made | None = None) -> None:
    op.progress(f"waiting for other connections to {source}")
    session.restarts.restart(source, lambda: _restart_now(session, op, source), op.check_active, made)


def _restart_now(session: Session, op: Operation, source: str) -> None:
    op.progress(f"restarting {source}")
    session.client.containers.set_status(source, "restart")
    wait_for(session, op, STARTED, source, "restarting")


def _target_id(session: Session, found: models.Connection) -> str | None:
    """For a look-up: the list names the target and does not tell its id."""
    if found.target_id is not None:
        return found.target_id
    containers = session.reads.get("containers", ask=session.client.feed.snapshot)
    return next((container.id for container in containers if container.name == found.target_name), None)


def _outputs(
    found: models.Connection | None, olds: Mapping[str, Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Inputs and what the API says; the list says less than the answer to the creation, so that is kept."""
    said: dict[str, Any] = {}
    if found is not None:
        said = {
            "connection_type": found.connection_type,
            "environment_variables": found.environment_variables or None,
            "connection_string": found.connection_string,
            "created_at": found.created_at,
        }
    names = ("connection_type", "environment_variables", "connection_string", "created_at")
    outs = {**inputs, **{name: olds.get(name) if said.get(name) is None else said[name] for name in names}}
    for name in ("environment_variables", "connection_string"):
        if outs[name] is not None:
            outs[name] = _host.secret(outs[name])
    return {name: value for name, value in outs.items() if value is not None}
