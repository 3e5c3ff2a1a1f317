"""Connections from one container to another: rules and endpoints (guide, "Container Connections")."""

from __future__ import annotations

from typing import Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator import containers
from stacks_pulumi.emulator.answers import (
    Open,
    Reply,
    Request,
    bad_request,
    not_found,
    reject_null,
    route,
)
from stacks_pulumi.emulator.keys import MANAGE, READ
from stacks_pulumi.emulator.platform import Platform, iso
from stacks_pulumi.emulator.state import Connection, Container

_MASK = "****"
_CACHES = frozenset({"redis", "redis-micro"})
_LOAD_BALANCERS = frozenset({"stacks-loadbalancer", "loadbalancer-micro"})

# assumed: every user and database except those of PostgreSQL.
_LOGINS = {
    "postgresql": ("POSTGRES", "postgres", "postgres"),
    "mysql": ("MYSQL", "root", "mysql"),
    "mongodb": ("MONGODB", "admin", "admin"),
}


@route("connections.targets", "GET", "/containers/<container_id>/available-targets", READ)
def _get_targets(request: Request) -> Reply:
    groups = targets(request.platform, containers.in_path(request))
    return Reply(
        {
            "success": True,
            "data": {name: [_target(target) for target in group] for name, group in groups.items()},
        }
    )


@route("connections.create", "POST", "/containers/<source_id>/connect/<target_id>", MANAGE, "connectionName")
def _post_connection(request: Request) -> Reply:
    if request.platform.strict:
        reject_null(request.body, "connectionName")
    source, target = containers.in_path(request, "source_id"), containers.in_path(request, "target_id")
    connection = create(request.platform, source, target, request.body.get("connectionName"))
    return Reply(
        {
            "success": True,
            "data": {
                "id": connection.id,
                "sourceContainer": source.id,
                "targetContainer": target.id,
                "connectionName": connection.name,
                "connectionType": kind(target),
                "environmentVariables": environment(target),
                "connectionString": uri(target),
                "message": "Connection created. Container will be updated with new environment variables.",
                "note": "You may need to restart the source container for changes to take effect.",
            },
        }
    )


@route("connections.list", "GET", "/containers/<container_id>/connections", READ)
def _get_connections(request: Request) -> Reply:
    container = containers.in_path(request)
    by_id = request.platform.state.containers
    return Reply(
        {
            "success": True,
            "data": {
                "outgoing": [
                    _entry(connection, "target", by_id[connection.target], by_id[connection.target])
                    for connection in outgoing(request.platform, container)
                ],
                # assumed: an incoming connection has the same fields, with the source's values.
                "incoming": [
                    _entry(connection, "source", by_id[connection.source], container)
                    for connection in incoming(request.platform, container)
                ],
            },
        }
    )


@route("connections.delete", "DELETE", "/containers/connections/<connection_id>", MANAGE)
def _delete_connection(request: Request) -> Open:
    delete(request.platform, find(request.platform, request.key.account, request.args["connection_id"]))
    return Open("result", message="Connection deleted")


def _target(container: Container) -> dict[str, Any]:
    # assumed: the suggested targets; the guide suggests a database and a cache.
    suggested = _group(container) in {"databases", "caches"}
    return {"id": container.id, "name": container.name, "type": container.template, "suggested": suggested}


def _entry(connection: Connection, role: str, other: Container, target: Container) -> dict[str, Any]:
    return {
        "id": connection.id,
        "connection_name": connection.name,
        "connection_type": kind(target),
        "connection_string": uri(target),
        "created_at": iso(connection.created_at),
        f"{role}_name": other.name,
        f"{role}_type": other.template,
        f"{role}_status": other.status,
    }


def create(platform: Platform, source: Container, target: Container, name: Any) -> Connection:
    """
    Connect two containers.

    Raises:
        Refusal: 400 for an invalid or taken name, for a container that is not running, or if both containers are the
            same.
    """
    # assumed: the default, which is the target's name, and all four refusals.
    name = target.name if name is None else name
    if not isinstance(name, str) or not 1 <= len(name) <= 64:
        raise bad_request("Connection name must be 1 to 64 characters of text", "connectionName")
    if source.id == target.id:
        raise bad_request("A container cannot be connected to itself")
    for container in (source, target):
        if container.status != "running":
            raise bad_request(f"Container {container.name} must be running to be connected")
    if any(connection.name == name for connection in outgoing(platform, source)):
        raise bad_request(f"A connection named {name} already exists", "connectionName")
    connection = Connection(
        id=platform.state.derive_uuid("connection", platform.state.count("connection")),
        account=source.account,
        source=source.id,
        target=target.id,
        name=name,
        created_at=platform.clock.now(),
    )
    platform.state.connections[connection.id] = connection
    source.env_pending = True
    return connection


def find(platform: Platform, account: str, connection_id: str) -> Connection:
    """
    Return a connection of an account.

    Raises:
        Refusal: 404 if it does not exist.
    """
    connection = platform.state.connections.get(connection_id)
    if connection is None or connection.account != account:
        raise not_found("Connection")
    return connection


def delete(platform: Platform, connection: Connection) -> None:
    """Delete a connection; the source keeps its old variables until it restarts."""
    del platform.state.connections[connection.id]
    platform.state.containers[connection.source].env_pending = True


def outgoing(platform: Platform, container: Container) -> list[Connection]:
    """Return the connections whose source is this container."""
    connections = platform.state.connections.values()
    return [connection for connection in connections if connection.source == container.id]


def incoming(platform: Platform, container: Container) -> list[Connection]:
    """Return the connections whose target is this container."""
    connections = platform.state.connections.values()
    return [connection for connection in connections if connection.target == container.id]


def targets(platform: Platform, container: Container) -> dict[str, list[Container]]:
    """Return the containers that a container can be connected to, by group."""
    # assumed: the targets are all other containers of the account, running or not, except those that are being deleted.
    others = [
        other
        for other in containers.of_account(platform, container.account)
        if other.id != container.id and other.status != "deleting"
    ]
    groups: dict[str, list[Container]] = {
        "databases": [],
        "caches": [],
        "loadBalancers": [],
        "applications": [],
    }
    for other in others:
        groups[_group(other)].append(other)
    return {**groups, "all": others}


def _group(container: Container) -> str:
    if container.template in _CACHES:
        return "caches"
    if container.template in _LOAD_BALANCERS:
        return "loadBalancers"
    return "databases" if catalog.is_database(container.template) else "applications"


def kind(container: Container) -> str:
    """Return the type of a connection to a container."""
    # assumed: a micro service is reached like the full-size service.
    return container.template.removesuffix("-micro")


def environment(target: Container) -> dict[str, str]:
    """Return the variables that a connection adds to the source; the password is masked, as in the API's answers."""
    port = str(port_of(target))
    login = _LOGINS.get(kind(target))
    if login is not None:
        prefix, user, database = login
        return {
            f"{prefix}_HOST": target.id,
            f"{prefix}_PORT": port,
            f"{prefix}_USER": user,
            f"{prefix}_PASSWORD": _MASK,
            f"{prefix}_DB": database,
        }
    # assumed: every type has host and port, and Redis has a password.
    prefix = kind(target).upper().replace("-", "_")
    variables = {f"{prefix}_HOST": target.id, f"{prefix}_PORT": port}
    return {**variables, f"{prefix}_PASSWORD": _MASK} if target.template in _CACHES else variables


def uri(target: Container) -> str:
    """Return the connection string, with the password masked."""
    host = f"{target.id}:{port_of(target)}"
    login = _LOGINS.get(kind(target))
    if login is not None:
        _, user, database = login
        return f"{kind(target)}://{user}:{_MASK}@{host}/{database}"
    return f"redis://:{_MASK}@{host}" if target.template in _CACHES else f"http://{host}"


def port_of(container: Container) -> int:
    """Return the port of a container's service inside the network."""
    # assumed: 8080 if the guide states no port and the service has no usual port.
    return catalog.TEMPLATES[container.template].port or 8080
