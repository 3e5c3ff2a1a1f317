"""
Connections between containers (guide, "Container Connections").
"""

from __future__ import annotations

from collections.abc import Sequence

from stacks_pulumi._clock import Clock
from stacks_pulumi.api import _parsers, models
from stacks_pulumi.api._call import Call, Handler, Scope, path
from stacks_pulumi.api._lenient import done
from stacks_pulumi.api._scrub import same_name, scrub
from stacks_pulumi.api._settle import settle
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.once import once
from stacks_pulumi.errors import StacksError

__all__ = ["ConnectionsApi"]


class ConnectionsApi:
    """What can be done with connections. Every method raises `StacksError` as drawn in `stacks_pulumi.errors`."""

    def __init__(self, send: Handler, clock: Clock, containers: Feed[models.Container]) -> None:
        self._send = send
        self._clock = clock
        self._containers = containers

    def targets(self, container_id: str) -> models.Targets:
        """What a container can be connected to (guide, "List Available Targets")."""
        return self._send(
            Call(
                "connections.targets",
                f"list what container {container_id} can be connected to",
                "GET",
                path("containers", container_id, "available-targets"),
                Scope.READ,
                _parsers.targets,
            )
        )

    def list(self, container_id: str) -> models.Connections:
        """The connections of a container in both directions (guide, "List Connections")."""
        return self._send(
            Call(
                "connections.list",
                f"list the connections of container {container_id}",
                "GET",
                path("containers", container_id, "connections"),
                Scope.READ,
                _parsers.connections,
            )
        )

    def create(
        self,
        source_id: str,
        target_id: str,
        *,
        name: str | None = None,
        before: Sequence[models.Connection] | None = None,
    ) -> models.Connection:
        """
        Connect a container to another, once (guide, "Create Connection"): the source gets the target's variables.

        The source sees them once it is restarted.

        Args:
            source_id: The container that gets the variables.
            target_id: The container that they lead to.
            name: Name of the connection; the API makes one up if there is none.
            before: The source's connections, if the caller knows them; requested unless given.

        Raises:
            ExistsError: The source was connected to the target under that name before (without a name: at all).
            BadRequestError: The API refuses it.
        """
        called = f' as "{scrub(name, 80)}"' if name else ""
        what = f"connect container {source_id} to {target_id}{called}"
        call = Call(
            "connections.create",
            what,
            "POST",
            path("containers", source_id, "connect", target_id),
            Scope.MANAGE,
            _parsers.connection,
            json={"connectionName": name} if name else {},
        )

        def same(connection: models.Connection) -> bool:
            called_so = name is None or same_name(connection.name, name)
            return called_so and self._leads_to(connection, target_id)

        made = once(
            what=what,
            before=self.list(source_id).outgoing if before is None else models.Listing(before),
            taken=same,
            post=lambda: self._send(call),
            look=lambda: self.list(source_id).outgoing,
            ours=same,
            clock=self._clock,
            assumed=before is not None,
        )
        return made.merge(models.Connection(id=made.id, name=name, source_id=source_id, target_id=target_id))

    def delete(self, connection_id: str, *, source_id: str | None = None) -> None:
        """
        Delete a connection (guide, "Delete Connection").

        Args:
            connection_id: Its id.
            source_id: Its source. With it, a refusal after a lost response is success if the connection is gone.

        Raises:
            NotFoundError: There was none with that id when this was called.
        """
        call = Call(
            "connections.delete",
            f"delete connection {connection_id}",
            "DELETE",
            path("containers", "connections", connection_id),
            Scope.MANAGE,
            done,
            text=True,
        )

        def is_gone(_error: StacksError) -> bool:
            if source_id is None:
                return False
            return self.list(source_id).outgoing.find(lambda listed: listed.id == connection_id) is None

        settle(self._send, call, is_gone)

    def _leads_to(self, connection: models.Connection, target_id: str) -> bool:
        if connection.target_id is not None:
            return connection.target_id == target_id
        # The list tells only the target's name. An id ends with it, but `db` also ends `other-db`: only one that may
        # be the target is worth the call that makes sure.
        name = connection.target_name
        if name is None or not target_id.casefold().endswith(name.casefold()):
            return False
        target = self._containers.find(target_id)
        return target is None or target.name is None or same_name(target.name, name)
