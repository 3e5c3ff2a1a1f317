"""
Which container of the stack is meant, and which passwords does it have?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stacks_pulumi._identifiers import compare_instants, name_of, same_name
from stacks_pulumi._pulumi_cli import InputError, StoredResource
from stacks_pulumi.api import StacksClient


def container_id(client: StacksClient, stack: Sequence[StoredResource], name: str) -> str:
    """Return the id of a container of a stack. Another one of its name has its id, and may be another stack's."""
    for one in stack:
        if one.kind == "Container" and name_of(one.urn) == name and not one.delete:
            there = client.containers.status(one.id)
            if compare_instants((one.outputs or {}).get("createdAt"), there.created_at) is False:
                raise InputError(
                    f"{one.id} is not the stack's container any more, but one that was created at "
                    f"{there.created_at}: a person runs `pulumi refresh`",
                    code="identity-unclear",
                )
            return one.id
    raise InputError("the stack has no container with this name: see list_resources", code="not-found")


def credentials(client: StacksClient, stack: Sequence[StoredResource], source: str) -> list[Any]:
    """
    Return the passwords that a container has: its own, and those that connections bring into it.

    The state has the target of each of the stack's connections, and the API only its name; another stack or a person
    may have made more.

    Raises:
        StacksError: They cannot be read, or the target of a connection is not known.
    """
    given = {one.id: one.inputs or {} for one in stack if one.kind == "Connection"}
    targets = {
        id_: str(x["target"]) for id_, x in given.items() if x.get("source") == source and "target" in x
    }
    connections = client.connections.list(source).outgoing
    connections.require_complete()
    found = [*targets.values()]
    if foreign := [one for one in connections if one.id not in targets]:
        containers = client.containers.list()
        containers.require_complete()
        for one in foreign:
            named = [other.id for other in containers if same_name(other.name, one.target_name or "")]
            if not named:
                raise InputError(
                    f"no container of the account is the target of its connection {one.id}, {one.target_name!r}",
                    code="not-found",
                )
            found += named
    return [client.containers.credentials(one).raw for one in dict.fromkeys((source, *found))]
