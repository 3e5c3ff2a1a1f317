"""The four operations on connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator import connections
from stacks_pulumi.emulator.answers import Open
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.emulator.routes.handler_types import Reply, Request
from stacks_pulumi.emulator.validation import refuse_null

if TYPE_CHECKING:
    from stacks_pulumi.emulator.state import Connection, Container


def targets(request: Request) -> Reply:
    """`GET /containers/{container_id}/available-targets`."""
    groups = connections.targets(request.platform, request.container())
    return Reply(
        {
            "success": True,
            "data": {name: [_target(found) for found in group] for name, group in groups.items()},
        }
    )


def create(request: Request) -> Reply:
    """`POST /containers/{source_id}/connect/{target_id}`."""
    if request.platform.strict:
        refuse_null(request.body, "connectionName")
    source, target = request.container("source_id"), request.container("target_id")
    made = connections.create(request.platform, source, target, request.body.get("connectionName"))
    return Reply(
        {
            "success": True,
            "data": {
                "id": made.id,
                "sourceContainer": source.id,
                "targetContainer": target.id,
                "connectionName": made.name,
                "connectionType": connections.kind(target),
                "environmentVariables": connections.environment(target),
                "connectionString": connections.uri(target),
                "message": "Connection created. Container will be updated with new environment variables.",
                "note": "You may need to restart the source container for changes to take effect.",
            },
        }
    )


def list_(request: Request) -> Reply:
    """`GET /containers/{container_id}/connections`."""
    container = request.container()
    held = request.platform.state.containers
    return Reply(
        {
            "success": True,
            "data": {
                "outgoing": [
                    _entry(made, "target", held[made.target], held[made.target])
                    for made in connections.outgoing(request.platform, container)
                ],
                # assumed: an incoming connection has the same fields, with the source's values.
                "incoming": [
                    _entry(made, "source", held[made.source], container)
                    for made in connections.incoming(request.platform, container)
                ],
            },
        }
    )


def delete(request: Request) -> Open:
    """`DELETE /containers/connections/{connection_id}`."""
    found = connections.find(request.platform, request.key.account, request.args["connection_id"])
    connections.delete(request.platform, found)
    return Open("result", message="Connection deleted")


def _target(container: Container) -> dict[str, Any]:
    # assumed: which targets are suggested; the guide suggests a database and a cache.
    suggested = connections.group(container) in {"databases", "caches"}
    return {"id": container.id, "name": container.name, "type": container.template, "suggested": suggested}


def _entry(made: Connection, role: str, other: Container, target: Container) -> dict[str, Any]:
    return {
        "id": made.id,
        "connection_name": made.name,
        "connection_type": connections.kind(target),
        "connection_string": connections.uri(target),
        "created_at": iso(made.created_at),
        f"{role}_name": other.name,
        f"{role}_type": other.template,
        f"{role}_status": other.status,
    }


HANDLERS: dict[str, Any] = {
    "connections.targets": targets,
    "connections.create": create,
    "connections.list": list_,
    "connections.delete": delete,
}
