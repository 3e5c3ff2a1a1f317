"""The four operations on connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator import connections
from stacks_pulumi.emulator.clock import iso
from stacks_pulumi.emulator.routes._ask import Ask, Reply
from stacks_pulumi.emulator.shapes import Open
from stacks_pulumi.emulator.validation import refuse_null

if TYPE_CHECKING:
    from stacks_pulumi.emulator.world import Connection, Container


def targets(ask: Ask) -> Reply:
    """`GET /containers/{container_id}/available-targets`."""
    groups = connections.targets(ask.state, ask.container())
    return Reply(
        {
            "success": True,
            "data": {name: [_target(found) for found in group] for name, group in groups.items()},
        }
    )


def create(ask: Ask) -> Reply:
    """`POST /containers/{source_id}/connect/{target_id}`."""
    if ask.state.strict:
        refuse_null(ask.body, "connectionName")
    source, target = ask.container("source_id"), ask.container("target_id")
    made = connections.create(ask.state, source, target, ask.body.get("connectionName"))
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


def list_(ask: Ask) -> Reply:
    """`GET /containers/{container_id}/connections`."""
    container = ask.container()
    held = ask.state.world.containers
    return Reply(
        {
            "success": True,
            "data": {
                "outgoing": [
                    _entry(made, "target", held[made.target], held[made.target])
                    for made in connections.outgoing(ask.state, container)
                ],
                # assumed: an incoming one has the same fields, about the source.
                "incoming": [
                    _entry(made, "source", held[made.source], container)
                    for made in connections.incoming(ask.state, container)
                ],
            },
        }
    )


def delete(ask: Ask) -> Open:
    """`DELETE /containers/connections/{connection_id}`."""
    found = connections.find(ask.state, ask.key.account, ask.args["connection_id"])
    connections.delete(ask.state, found)
    return Open("result", message="Connection deleted")


def _target(container: Container) -> dict[str, Any]:
    # assumed: what is suggested; the guide suggests a database and a cache.
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
