"""What do the tools look up: pages of the documentation, the code of an error, a container and its passwords?"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._identifiers import compare_instants, name_of, same_name
from stacks_pulumi._pulumi_cli import InputError, StoredResource
from stacks_pulumi.api import StacksClient

_PAGES: Final = ("for-agents", "errors", "limits", "cost", "gate", "troubleshooting")


def pages() -> Mapping[str, Path]:
    """Return the files of the documentation pages that an agent may read, by name: from the checkout or the wheel."""
    checkout = Path(__file__).parents[2] / "docs"
    if (checkout / f"{_PAGES[0]}.md").is_file():
        return {name: checkout / f"{name}.md" for name in _PAGES}
    installed = [Path(str(one.locate())) for one in metadata.files("stacks-pulumi") or ()]
    return {
        one.stem: one for one in installed if one.parts[-3:-1] == ("stacks-pulumi", "docs") and one.is_file()
    }


def explanation(code: str) -> str | None:
    """Return the section about a code on the errors page; `None` if there is none."""
    page = pages().get("errors")
    if page is None or not re.fullmatch(r"[a-z-]{1,60}", code):
        return None
    _, heading, rest = page.read_text(encoding="utf-8").partition(f"\n### `{code}`\n")
    lines = itertools.takewhile(lambda line: not line.startswith("##"), rest.splitlines())
    return "\n".join(lines).strip() if heading else None


def container_id(client: StacksClient, stack: Sequence[StoredResource], name: str) -> str:
    """
    Return the id of a stack's container.

    A new container can have the name and id of a deleted one, so the creation time is checked.
    """
    for one in stack:
        if one.kind == "Container" and name_of(one.urn) == name and not one.delete:
            there = client.containers.status(one.id)
            if compare_instants((one.outputs or {}).get("createdAt"), there.created_at) is False:
                raise InputError(
                    f"{one.id} is no longer the stack's container, but a container that was created at "
                    f"{there.created_at}: ask a person to run `pulumi refresh`",
                    code="identity-unclear",
                )
            return one.id
    raise InputError("the stack has no container with this name: see list_resources", code="not-found")


def credentials(client: StacksClient, stack: Sequence[StoredResource], source: str) -> list[Any]:
    """
    Return the passwords in a container: its own, and those of its connections' targets.

    The state contains the target's id for each of the stack's connections. The API lists only the target's name, but
    also for connections that another stack or a person created.

    Raises:
        StacksError: The passwords cannot be read, or the target of a connection is not known.
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
                    f"the target of the connection {one.id} is {one.target_name!r}, but the account has no container "
                    "with that name",
                    code="not-found",
                )
            found += named
    return [client.containers.credentials(one).raw for one in dict.fromkeys((source, *found))]
