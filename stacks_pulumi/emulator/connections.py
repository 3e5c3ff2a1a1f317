"""Rules of connections, with which one container reaches another (guide, "Container Connections")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator import containers
from stacks_pulumi.emulator.access import as_uuid
from stacks_pulumi.emulator.answers import bad_request, not_found
from stacks_pulumi.emulator.state import Connection, Container

if TYPE_CHECKING:
    from stacks_pulumi.emulator.platform import Platform

__all__ = [
    "create",
    "delete",
    "environment",
    "find",
    "group",
    "incoming",
    "kind",
    "outgoing",
    "targets",
    "uri",
]

MASK = "****"
_CACHES = frozenset({"redis", "redis-micro"})
_LOAD_BALANCERS = frozenset({"stacks-loadbalancer", "loadbalancer-micro"})

# assumed: every user and database except those of PostgreSQL.
_LOGINS = {
    "postgresql": ("POSTGRES", "postgres", "postgres"),
    "mysql": ("MYSQL", "root", "mysql"),
    "mongodb": ("MONGODB", "admin", "admin"),
}


def create(platform: Platform, source: Container, target: Container, name: Any) -> Connection:
    """
    Connect two containers.

    Args:
        platform: The platform.
        source: The container that gets the variables.
        target: The container that they lead to.
        name: The value of `connectionName`; `None` if it was not sent.

    Raises:
        Refusal: 400 for an invalid or taken name, for a container that does not run, or if both are the same.
    """
    # assumed: the target's name is the default, and all four refusals.
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
    number = platform.state.count("connection")
    connection = Connection(
        id=as_uuid(platform.state.derive("connection", number)),
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
    found = platform.state.connections.get(connection_id)
    if found is None or found.account != account:
        raise not_found("Connection")
    return found


def delete(platform: Platform, connection: Connection) -> None:
    """Delete a connection; the source keeps its old variables until it restarts."""
    del platform.state.connections[connection.id]
    platform.state.containers[connection.source].env_pending = True


def outgoing(platform: Platform, container: Container) -> list[Connection]:
    """Return the connections whose source is this container."""
    return [found for found in platform.state.connections.values() if found.source == container.id]


def incoming(platform: Platform, container: Container) -> list[Connection]:
    """Return the connections whose target is this container."""
    return [found for found in platform.state.connections.values() if found.target == container.id]


def targets(platform: Platform, container: Container) -> dict[str, list[Container]]:
    """Return the containers that it can be connected to, by group."""
    # assumed: every other container of the account that is not being deleted, whether it runs or not.
    others = [
        found
        for found in containers.of_account(platform, container.account)
        if found.id != container.id and found.status != "deleting"
    ]
    groups: dict[str, list[Container]] = {
        "databases": [],
        "caches": [],
        "loadBalancers": [],
        "applications": [],
    }
    for found in others:
        groups[group(found)].append(found)
    return {**groups, "all": others}


def kind(container: Container) -> str:
    """Return the type of a connection to a container."""
    # assumed: a micro service is reached like the full-size one.
    return container.template.removesuffix("-micro")


def environment(target: Container) -> dict[str, str]:
    """Return the variables that a connection adds to the source; the password is masked as by the API."""
    port = str(port_of(target))
    login = _LOGINS.get(kind(target))
    if login is not None:
        prefix, user, database = login
        return {
            f"{prefix}_HOST": target.id,
            f"{prefix}_PORT": port,
            f"{prefix}_USER": user,
            f"{prefix}_PASSWORD": MASK,
            f"{prefix}_DB": database,
        }
    # assumed: host and port for everything, and a password for Redis.
    prefix = kind(target).upper().replace("-", "_")
    variables = {f"{prefix}_HOST": target.id, f"{prefix}_PORT": port}
    return {**variables, f"{prefix}_PASSWORD": MASK} if target.template in _CACHES else variables


def uri(target: Container) -> str:
    """Return the connection string, with the password masked."""
    host = f"{target.id}:{port_of(target)}"
    login = _LOGINS.get(kind(target))
    if login is not None:
        _, user, database = login
        return f"{kind(target)}://{user}:{MASK}@{host}/{database}"
    return f"redis://:{MASK}@{host}" if target.template in _CACHES else f"http://{host}"


def port_of(container: Container) -> int:
    """Return the port of a container's service inside the network."""
    # assumed: 8080 if neither the guide nor the service has a usual port.
    return catalog.TEMPLATES[container.template].port or 8080


def group(container: Container) -> str:
    """Return the group of a container in the list of targets."""
    if container.template in _CACHES:
        return "caches"
    if container.template in _LOAD_BALANCERS:
        return "loadBalancers"
    return "databases" if catalog.is_database(container.template) else "applications"
