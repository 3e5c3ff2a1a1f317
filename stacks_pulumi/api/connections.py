"""
Connections between containers (guide, "Container Connections").
"""

from __future__ import annotations

from collections.abc import Sequence

from stacks_pulumi._clock import Clock
from stacks_pulumi._identifiers import same_name
from stacks_pulumi.api import models
from stacks_pulumi.api._bodies import connections, created_connection, done, scrub, targets
from stacks_pulumi.api._call import Handler, call_to
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.once import once, settle
from stacks_pulumi.errors import StacksError


class ConnectionsApi:
    """Methods for connections. Every method raises the errors that `stacks_pulumi.errors` describes."""

    def __init__(self, send: Handler, clock: Clock, containers: Feed[models.Container]) -> None:
        self._send = send
        self._clock = clock
        self._containers = containers

    def targets(self, container_id: str) -> models.Targets:
        """Return the targets that a container can be connected to (guide, "List Available Targets")."""
        return self._send(call_to("connections.targets", container_id, parse=targets))

    def list(self, container_id: str) -> models.Connections:
        """Return the connections of a container in both directions (guide, "List Connections")."""
        return self._send(call_to("connections.list", container_id, parse=connections))

    def create(
        self,
        source_id: str,
        target_id: str,
        *,
        name: str | None = None,
        before: Sequence[models.Connection] | None = None,
    ) -> models.Connection:
        """
        Connect a container to another exactly once (guide, "Create Connection").

        The source gets the target's environment variables at its next restart.

        Args:
            source_id: The container that gets the variables.
            target_id: The container that the variables describe.
            name: Name of the connection; the API chooses one if it is not given.
            before: The source's connections, as `once` takes them; requested unless given.

        Raises:
            ExistsError: The source already had a connection to the target of that name (without a name: of any name).
            BadRequestError: The API refuses it.
        """
        call = call_to(
            "connections.create",
            source_id,
            target_id,
            parse=created_connection,
            words={"as_name": f' as "{scrub(name, 80)}"' if name else ""},
            json={"connectionName": name} if name else {},
        )

        def same(connection: models.Connection) -> bool:
            called_so = name is None or same_name(connection.name, name)
            return called_so and self._leads_to(connection, target_id)

        made = once(
            self._send,
            call,
            before=before,
            taken=same,
            look=lambda: self.list(source_id).outgoing,
            ours=same,
            clock=self._clock,
        )
        return made.merge(models.Connection(id=made.id, name=name, source_id=source_id, target_id=target_id))

    def delete(self, connection_id: str, *, source_id: str | None = None) -> None:
        """
        Delete a connection (guide, "Delete Connection").

        Args:
            connection_id: Its id.
            source_id: Its source. If given, a refusal after a lost response counts as success when the connection is
                gone.

        Raises:
            NotFoundError: The connection did not exist when this was called.
        """

        def is_gone(_error: StacksError) -> bool:
            if source_id is None:
                return False
            return self.list(source_id).outgoing.find(lambda listed: listed.id == connection_id) is None

        settle(self._send, call_to("connections.delete", connection_id, parse=done), is_gone)

    def _leads_to(self, connection: models.Connection, target_id: str) -> bool:
        if connection.target_id is not None:
            return connection.target_id == target_id
        # The list contains only the target's name. An id ends with the name, but the id of `other-db` also ends with
        # `db`. So a call checks the containers, but only if the name may be that of the target.
        name = connection.target_name
        if name is None or not target_id.casefold().endswith(name.casefold()):
            return False
        target = self._containers.find(target_id)
        return target is None or target.name is None or same_name(target.name, name)
