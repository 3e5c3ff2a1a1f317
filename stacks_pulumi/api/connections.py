"""
Connections between containers (guide, "Container Connections").

According to the guide, source and target both list a connection, so one of the two lists proves that it exists. A list
contains the name of the other container, but not its id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

from stacks_pulumi._clock import Clock, Pulse
from stacks_pulumi._identifiers import may_be_of, same_name
from stacks_pulumi.api import models
from stacks_pulumi.api._bodies import connections, created_connection, done, scrub, targets
from stacks_pulumi.api._call import Call, Handler, call_to
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.models import Listing
from stacks_pulumi.api.once import Deleted, Once, look_twice, settle
from stacks_pulumi.errors import NotFoundError, StacksError
from stacks_pulumi.platform_file import UNKNOWN, PlatformFile

Find: TypeAlias = Callable[[str], models.Container | None]


class _NewConnection(Once[models.Connection]):
    """
    The request to create a connection. The platform allows two identical connections, so the list is checked twice
    before the request is sent again.
    """

    may_exist_twice: ClassVar = True

    def __init__(
        self,
        api: ConnectionsApi,
        call: Call[models.Connection],
        source_id: str,
        target_id: str,
        name: str | None,
    ) -> None:
        super().__init__(api.send, call, api.clock, now=api.server_now)
        self._api = api
        self._source_id = source_id
        self._target_id = target_id
        self._name = name

    def existing(self) -> Listing[models.Connection]:
        return self._api.list(self._source_id).outgoing

    def is_taken(self, row: models.Connection) -> bool:
        return self._api.is_equal(row, self._target_id, self._name)

    def is_ours(self, row: models.Connection) -> bool:
        return self.is_taken(row)

    def made_at(self, row: models.Connection) -> str | None:
        return row.created_at

    def remove(self, row: models.Connection) -> None:
        self._api.delete(row.id, source_id=self._source_id, target_id=self._target_id)


def list_call(container_id: str) -> Call[models.Connections]:
    """Return the request for the connections of a container (guide, "List Connections")."""
    return call_to("connections.list", container_id, parse=connections)


class ConnectionsApi:
    """Methods for connections. Every method can raise the errors that `stacks_pulumi.errors` describes."""

    def __init__(
        self,
        send: Handler,
        clock: Clock,
        containers: Feed[models.Container],
        platform: PlatformFile = UNKNOWN,
        server_now: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.send = send
        self.server_now = server_now
        self.clock = clock
        self._containers = containers
        self._platform = platform
        self._deleted = Deleted(clock, platform.connection_listed)

    def targets(self, container_id: str) -> models.Targets:
        """Return the targets that a container can be connected to (guide, "List Available Targets")."""
        return self.send(call_to("connections.targets", container_id, parse=targets))

    def list(self, container_id: str) -> models.Connections:
        """Return the connections of a container in both directions (guide, "List Connections")."""
        listed = self.send(list_call(container_id))
        return models.Connections(
            outgoing=self._deleted.without("", listed.outgoing),
            incoming=self._deleted.without("", listed.incoming),
        )

    def find(
        self,
        connection_id: str,
        source_id: str,
        target_id: str | None = None,
        *,
        ask: Callable[[str], models.Connections] | None = None,
    ) -> models.Connection | None:
        """
        Return a connection as its source or its target lists it; `None` if neither lists it.

        The target's list is requested only if the source does not list the connection.

        Args:
            connection_id: Its id.
            source_id: Its source.
            target_id: Its target, if it is known.
            ask: A function that lists the connections of a container; used instead of `list`.

        Raises:
            NotFoundError: The API does not know the source, and the target does not list the connection.
            UnreadableAnswerError: No list contains it, and one of the lists is incomplete.
        """
        ask = ask or self.list
        ends = [(source_id, "outgoing"), *([(target_id, "incoming")] if target_id else [])]
        looked: list[Listing[models.Connection]] = []
        unknown: NotFoundError | None = None
        for container, side in ends:
            try:
                rows: Listing[models.Connection] = getattr(ask(container), side)
            except NotFoundError as error:
                unknown = error if container == source_id else unknown
                continue
            row = next((row for row in rows if row.id == connection_id), None)
            if row is not None:
                return row
            looked.append(rows)
        if unknown is not None:
            raise unknown
        for rows in looked:
            rows.require_complete()
        return None

    def find_equal(self, source_id: str, target_id: str, name: str) -> models.Connection | None:
        """
        Return the connection with that name from the source to the target. `None` does not prove that no such
        connection exists.
        """
        listed = self.list(source_id).outgoing
        return next((row for row in listed if self.is_equal(row, target_id, name)), None)

    def is_equal(self, connection: models.Connection, target_id: str, name: str | None) -> bool:
        """Return whether a connection has this target and this name; the name `None` stands for any name."""
        return is_equal(connection, target_id, name, self._containers.find)

    def create(
        self,
        source_id: str,
        target_id: str,
        *,
        name: str | None = None,
        before: Sequence[models.Connection] | None = None,
        pulse: Pulse | None = None,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> models.Connection:
        """
        Connect a container to another exactly once (guide, "Create Connection").

        The source receives the target's environment variables at its next restart.

        Args:
            source_id: The container that receives the variables.
            target_id: The container that the variables describe.
            name: Name of the connection; the API chooses one if it is not given.
            before: The source's connections before the request, for `once`; if they are not given, the method requests
                them.
            pulse: Called during waits; an exception from it ends the wait.
            warn: Called with a message that tells the user what to check in the dashboard.

        Raises:
            ExistsError: The source is already connected to the target under that name (under any name, if none is
                given).
            BadRequestError: The API refuses the connection.
        """
        call = call_to(
            "connections.create",
            source_id,
            target_id,
            parse=created_connection,
            words={"as_name": f' as "{scrub(name, 80)}"' if name else ""},
            json={"connectionName": name} if name else {},
            pulse=pulse,
        )
        former = self.list(source_id).outgoing if before is None else before

        def attempt() -> models.Connection:
            request = _NewConnection(self, call, source_id, target_id, name)
            request.warn = warn
            return request.run(former)

        # A connection in `former` was not deleted, so waiting does not free its name.
        made = self._deleted.until_free(
            "", attempt, pulse, lambda: not any(self.is_equal(row, target_id, name) for row in former)
        )
        self._deleted.discard("", made.id)
        return made.merge(models.Connection(id=made.id, name=name, source_id=source_id, target_id=target_id))

    def delete(
        self, connection_id: str, *, source_id: str | None = None, target_id: str | None = None
    ) -> None:
        """
        Delete a connection (guide, "Delete Connection").

        Args:
            connection_id: Its id.
            source_id: Its source. If given, a refusal after a lost response is treated as success when the
                connection is gone.
            target_id: Its target, if it is known; the platform may show the connection only in the target's list.

        Raises:
            NotFoundError: The API does not find the connection, which does not prove that it is deleted.
        """

        def is_gone(_error: StacksError) -> bool:
            if source_id is None:
                return False
            source = source_id
            return (
                look_twice(
                    lambda: self.find(connection_id, source, target_id), self.clock, self._platform.pause
                )
                is None
            )

        settle(self.send, call_to("connections.delete", connection_id, parse=done), is_gone)
        self._deleted.add("", connection_id)


def is_equal(connection: models.Connection, target_id: str, name: str | None, find: Find) -> bool:
    """Return whether a connection in its source's list has this target and this name."""
    return (name is None or same_name(connection.name, name)) and _leads_to(connection, target_id, find)


def _leads_to(connection: models.Connection, target_id: str, find: Find) -> bool:
    if connection.target_id is not None:
        return connection.target_id == target_id
    # The list contains only the target's name. A container's id ends with its name, but the id of `other-db` also ends
    # with `db`. So the containers are requested, but only if the name may belong to the target.
    name = connection.target_name
    return name is not None and may_be_of(target_id, name) and _is_named(target_id, name, find)


def _is_named(container_id: str, name: str, find: Find) -> bool:
    container = find(container_id)
    if container is None or container.name is None:
        return container_id.casefold().endswith(name.casefold())
    return same_name(container.name, name)


def is_spelling(name: str, shown: str | None) -> bool:
    """
    Return whether `shown` may be the platform's form of a requested name; that form may differ in case, or have
    additions that make it unique.
    """
    return shown is not None and name.casefold() in shown.casefold()
