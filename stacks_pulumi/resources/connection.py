"""Connection: the environment variables that one container needs to reach another."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pulumi

from stacks_pulumi._identifiers import is_unique, may_be_of
from stacks_pulumi.api import models
from stacks_pulumi.api.connections import is_spelling
from stacks_pulumi.api.wait import STARTED
from stacks_pulumi.config import ADOPT_MODES
from stacks_pulumi.errors import BadRequestError, ConflictError, StacksError
from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources import _fields, _validators
from stacks_pulumi.resources._children import (
    Ask,
    ChildHandler,
    ContainerGoneError,
    fast_or_once_running,
    same_time,
)
from stacks_pulumi.resources._creation import Creation, adopts
from stacks_pulumi.resources._fields import Field, OnChange
from stacks_pulumi.resources._handler import LOOKED_UP, lookup_options
from stacks_pulumi.resources._identity import find_container
from stacks_pulumi.resources._literals import AdoptMode
from stacks_pulumi.resources._operation import Checked, EngineCall, Operation
from stacks_pulumi.resources._resource import (
    Child,
    ParentInProgram,
    child_id,
    container_id,
    input_id,
    own_name,
    parent_id,
)
from stacks_pulumi.resources._restarts import EXPECTED, NewConnection
from stacks_pulumi.resources._running import is_own_container, once_running, runs
from stacks_pulumi.resources._session import Session
from stacks_pulumi.resources._values import without_none

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container


class Connection(Child, module="stacks", name="Connection"):
    """
    A connection from one container to another in the same account (guide, "Container Connections").

    It adds the target's host, port and credentials to the source's environment variables, and restarts the source so
    that it sees them. Its id is `<source id>/<connection id>`.
    """

    _delete_first: ClassVar[bool] = True

    source: pulumi.Output[str]
    """Id of the container that receives the variables."""
    target: pulumi.Output[str]
    """Id of the container that the variables describe."""
    name: pulumi.Output[str]
    """The connection's name at STACKS."""
    restart_source: pulumi.Output[bool]
    """Whether the source was restarted."""
    connection_type: pulumi.Output[str | None]
    """The target's type, for instance `postgresql`."""
    environment_variables: pulumi.Output[Mapping[str, str] | None]
    """
    The variables, a secret. The API masks the password; `get_credentials` returns it. Unset for an adopted or looked-up
    connection.
    """
    connection_string: pulumi.Output[str | None]
    """The target's connection string with user and (masked) password, a secret."""
    created_at: pulumi.Output[str | None]
    """When it was created, ISO 8601; known after the first refresh."""

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
            opts: Pulumi's options.
            source: The container that receives the variables.
            target: The container that the variables describe.
            name: The connection's name at STACKS.
            restart_source: Restart the source, once for all connections that are created together (default true).
            adopt: `never` (default) or `if_matching`: adopt an existing, identical connection without a restart.
        """
        super().__init__(
            resource_name,
            {
                "source": input_id(source),
                "target": input_id(target),
                "name": resource_name if name is None and not (opts and opts.id) else name,
                "restart_source": restart_source,
                "adopt": adopt,
            },
            opts,
            container=source,
            facts={
                "is_target": source is target,
                "siblings": None
                if (opts and opts.id) or restart_source is False
                else self._siblings(resource_name, source, target),
            },
        )

    def _siblings(
        self, resource_name: str, source: Any, target: Any
    ) -> pulumi.Input[Mapping[str, str] | None]:
        """
        Return all connections that restart the source: name -> name of the target.

        The source's URN is known after the engine has registered the source. By then, the program has declared all of
        its resources. The result is `None` if other resources wait for this connection, because this connection must
        then not wait.
        """
        if not isinstance(source, pulumi.Resource):
            return None
        declared: dict[str, str] = getattr(source, "connections_in_program", {})
        declared[resource_name] = target.pulumi_resource_name if isinstance(target, pulumi.Resource) else ""
        urn: pulumi.Output[str] = source.urn
        return urn.apply(lambda _urn: None if self.is_awaited else dict(declared))

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
"""The output that is set after the connection was created, until the source has been restarted."""


class _ConnectionCreation(Creation[models.Connection]):
    """
    The creation of a connection: POST, then one restart of the source for all of its connections that are created at
    the same time.
    """

    kind: ClassVar = "Connection"

    def __init__(self, session: Session, op: Operation, inputs: dict[str, Any]) -> None:
        super().__init__(session, op, inputs)
        self._made: NewConnection | None = None

    def create(self) -> models.Connection:
        source, target = self.inputs["source"], self.inputs["target"]
        with self.session.restarts.connecting(
            source, target, self.op.check_active, self.op.label
        ) as self._made:
            # The platform may restart one of the two for a different connection.
            return fast_or_once_running(
                self.session, self.op, "a connection", (source, target), self._connect
            )

    def existing(self) -> models.Connection | None:
        source, target, name = (self.inputs[field] for field in ("source", "target", "name"))
        return self.session.client.connections.find_equal(source, target, name)

    def _connect(self, before: tuple[models.Connection, ...] | None) -> models.Connection:
        self.op.progress("connecting")
        source, target, name = (self.inputs[field] for field in ("source", "target", "name"))
        pulse = functools.partial(self.op.check, "the connection")
        return self.session.client.connections.create(
            source, target, name=name, before=before, pulse=pulse, warn=self.op.warn
        )

    def id_of(self, thing: models.Connection) -> str:
        return child_id(self.inputs["source"], thing.id)

    def finish(self, thing: models.Connection) -> dict[str, Any]:
        # If the program asks for an adoption, the source already uses the connection. Otherwise the connection may be
        # from an `up` that was killed before the restart.
        is_used = self.adopted and adopts(self.session.settings, self.inputs)
        if self.inputs["restart_source"] and not is_used:
            _restart(self.session, self.op, self.inputs, self._made)
        return self.known(thing, None)

    def known(self, thing: models.Connection, error: Exception | None) -> dict[str, Any]:
        pending = {} if error is None else {_RESTART_PENDING: True}
        return {**_outputs(thing, {}, self.inputs), **pending}

    def describe_failure(self, thing: models.Connection, error: StacksError) -> str:
        return (
            f'connection "{self.inputs["name"]}" was created, but its source {self.inputs["source"]} could not be '
            f"restarted to receive its variables: {error.message}. `pulumi up` restarts it again"
        )

    def describe(self, thing: models.Connection) -> str:
        return (
            f'the connection "{self.inputs["name"]}" from {self.inputs["source"]} to {self.inputs["target"]} '
            f"({thing.id})"
        )

    def is_leftover(self, thing: models.Connection) -> bool:
        return is_own_container(self.session, self.inputs["source"])

    def roll_back(self, thing: models.Connection) -> None:
        self.session.client.connections.delete(
            thing.id, source_id=self.inputs["source"], target_id=self.inputs["target"]
        )


_OUTPUTS: Final = (
    _fields.Output("connection_type"),
    _fields.Output("environment_variables", secret=True),
    _fields.Output("connection_string", secret=True),
    _fields.Output("created_at"),
)


class ConnectionHandler(ChildHandler[models.Connection]):
    """Check, create, read, diff and delete a connection."""

    kind: ClassVar = "Connection"
    creation: ClassVar = _ConnectionCreation
    id_form: ClassVar = "<source id>/<connection id>"
    fields: ClassVar = (
        Field("source", container_id, OnChange.REPLACE, required=True),
        Field("target", container_id, OnChange.REPLACE, required=True),
        Field("name", _validators.text, OnChange.REPLACE, required=True),
        Field("restart_source", _validators.boolean, OnChange.NONE, default=True),
        Field("adopt", _validators.one_of(ADOPT_MODES), OnChange.NONE),
    )
    outputs: ClassVar = _OUTPUTS
    unique: ClassVar = ("source", "name")

    def delete_first(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """
        Delete the old connection first if the source stays the same, because the names and targets of its connections
        are unique.
        """
        return bool(olds.get("source") == news.get("source"))

    def rules(
        self, olds: Mapping[str, Any], inputs: Mapping[str, Any], parent: ParentInProgram
    ) -> Iterable[tuple[str, str]]:
        """A container cannot be connected to itself, and the source must run."""
        source = inputs.get("source")
        if source is not None and source == inputs.get("target") and not is_unknown(source):
            yield "target", f"it is the source, {source}, but a container cannot be connected to itself"
        if parent.facts.get("is_target"):
            yield "target", "it is the source, but a container cannot be connected to itself"
        yield from runs(parent, olds, inputs, "source", "a connection")

    def check(self, call: EngineCall, olds: dict[str, Any], news: dict[str, Any]) -> Checked:
        """Validate the inputs, and record which other connections of the source are expected."""
        siblings = ParentInProgram.of(news).facts.get("siblings")
        if isinstance(siblings, Mapping):
            EXPECTED.declare(call.name, siblings)
        return super().check(call, olds, news)

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether the source still has to be restarted."""
        return bool(olds.get(_RESTART_PENDING)) and news.get("restart_source") is True

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Find the connection among those of its source; one request serves all connections of a source."""
        connection = self.find(session, op, id_, olds, reads=True)
        if connection is None:
            return None
        kept = ("restart_source", "adopt", _RESTART_PENDING)
        inputs: dict[str, Any] = {name: olds[name] for name in kept if name in olds}
        name = olds.get("name")
        inputs.update(
            source=parent_id(id_),
            target=olds.get("target") or _target_id(session, connection),
            # The platform may spell our name differently, which is not a change.
            name=name if name and is_spelling(name, connection.name) else connection.name or name,
        )
        return _outputs(connection, olds, inputs)

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Restart the source of a connection whose creation was not completed."""
        if inputs["restart_source"] and olds.get(_RESTART_PENDING):
            _restart(session, op, inputs)
        return _outputs(None, olds, inputs)

    def look(self, session: Session, id_: str, olds: Mapping[str, Any], get: Ask) -> models.Connection | None:
        """
        Return the connection as its source or its target lists it. If the target is deleted, the connection is deleted
        too.
        """
        api, target = session.client.connections, olds.get("target") or None

        def ask(container: str) -> models.Connections:
            return get("connections", container, ask=lambda: api.list(container))

        found = api.find(own_name(id_), parent_id(id_), target, ask=ask)
        if found is None and target is not None and find_container(session, target, shared=True) is None:
            raise ContainerGoneError
        return found

    def is_ours(self, id_: str, olds: Mapping[str, Any], found: models.Connection) -> bool:
        """Compare the creation times, or the name and the target if a time is missing."""
        if is_unique(found.id):
            return True
        same = same_time(olds.get("created_at"), found.created_at)
        if same is not None:
            return same
        name = olds.get("name")
        return _leads_there(found, olds) and (not name or found.name is None or is_spelling(name, found.name))

    def describe(self, id_: str, found: models.Connection) -> str:
        """Return its id, its name and its target."""
        return f'the connection {id_} ("{found.name}" to {found.target_name or found.target_id})'

    def remove(self, session: Session, id_: str, olds: Mapping[str, Any]) -> None:
        """Delete the connection; the source keeps the variables until it is restarted."""
        source, target = parent_id(id_), olds.get("target") or None
        session.client.connections.delete(own_name(id_), source_id=source, target_id=target)


def _leads_there(connection: models.Connection, olds: Mapping[str, Any]) -> bool:
    target, name = olds.get("target"), connection.target_name
    is_named = name is None or not target or may_be_of(target, name)
    return is_named and connection.target_id in {None, target}


def _restart(
    session: Session, op: Operation, inputs: Mapping[str, Any], made: NewConnection | None = None
) -> None:
    op.progress("waiting for others")
    source = inputs["source"]
    session.restarts.restart(source, lambda: _restart_now(session, op, source), op.check_active, made)


def _restart_now(session: Session, op: Operation, source: str) -> None:
    op.progress("restarting source")
    session.fresh.start(source)
    set_status = session.client.containers.set_status
    try:
        set_status(source, "restart")
    except (BadRequestError, ConflictError):
        # The platform may be restarting the source at this moment, with or without the new variables.
        once_running(session, op, "a restart", (source,), lambda: set_status(source, "restart"))
    session.wait(op, STARTED, source)


def _target_id(session: Session, connection: models.Connection) -> str | None:
    """Return the target's id for a look-up, because the list contains only the target's name."""
    if connection.target_id is not None:
        return connection.target_id
    containers = session.reads.get("containers", ask=session.client.feed.snapshot)
    return next((container.id for container in containers if container.name == connection.target_name), None)


def _outputs(
    connection: models.Connection | None, olds: Mapping[str, Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the outputs. They keep the values that only the create response contains."""
    outs = without_none(inputs)
    for output in _OUTPUTS:
        value = getattr(connection, output.name, None) or olds.get(output.name)
        outs.update({} if value is None else {output.name: output.marked(value)})
    return outs
