"""Reads the export of a stack: the STACKS resources that it manages, and those that it may have been creating."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stacks_pulumi._identifiers import name_of
from stacks_pulumi._pulumi_output import StoredResource, read_stack
from stacks_pulumi.cost.report import Item, item
from stacks_pulumi.pricing.recognition import UNRECOGNISED, known, snake_case

__all__ = ["OWNING", "Interrupted", "Managed", "StackState", "read_export"]

OWNING: Final = frozenset({"AllowedIp", "Connection", "Container", "PinnedBackup", "VpnClient", UNRECOGNISED})
"""
The kinds whose resources are objects of the account. A resource of an unknown kind may be an object too, so an object
with its id is not reported as an orphan.
"""

_DEFAULT_ORGANIZATION: Final = "organization"
_OWN_NAME: Final = {"AllowedIp": "ip_address", "Connection": "name", "Container": "name", "VpnClient": "name"}
"""Kind -> the input that names the object in the account."""
_URL_INPUTS: Final = ("stacks:baseUrl", "baseUrl", "base_url")


@dataclass(frozen=True)
class Managed:
    """
    A resource that a stack manages.

    Attributes:
        stack: The stack's name.
        urn: Its URN.
        kind: Its kind, for instance `Container`.
        id: Its id: the container's id, or one that begins with it.
        created_at: Creation time of the container, or of a child's container; `None` if it is not recorded.
        origin: Part of a digest of the key that changed it last; `None` in old states.
        base_url: The API that its provider was configured with; `None` if the state does not say.
        item: Its kind and price according to the state; `None` if it is not a container.
        protect: Whether Pulumi refuses to delete it.
        retain: Whether it stays in the account when it leaves the stack.
        left_over: Whether it is the old half of a replacement, to be deleted by the next `up`.
        in_transit: Whether only one of two reads of the state has it: it was created or deleted between them.
    """

    stack: str
    urn: str
    kind: str
    id: str
    created_at: str | None = None
    origin: str | None = None
    base_url: str | None = None
    item: Item | None = None
    protect: bool = False
    retain: bool = False
    left_over: bool = False
    in_transit: bool = False

    @property
    def name(self) -> str:
        """Its name in the program."""
        return name_of(self.urn)


@dataclass(frozen=True)
class Interrupted:
    """
    A create that was interrupted: it is unknown whether the object exists.

    Attributes:
        stack: The stack's name.
        urn: Its URN.
        kind: Its kind, for instance `Container`.
        name: The name or the address of the object that was being created; `None` if the state does not say.
        container: The id of the container that a child belongs to; `None` if the state does not say.
        base_url: The API that its provider was configured with; `None` if the state does not say.
    """

    stack: str
    urn: str
    kind: str
    name: str | None = None
    container: str | None = None
    base_url: str | None = None

    def may_have_made(self, kind: str, container: str, name: str) -> bool:
        """
        Return whether it may have created this object of a container.

        Args:
            kind: The object's kind.
            container: The id of its container.
            name: Its name, or its address.
        """
        return (
            self.kind == kind
            and self.container in (None, container)
            and (self.name is None or self.name.casefold() == name.casefold())
        )


@dataclass(frozen=True)
class StackState:
    """
    The STACKS resources of a stack.

    Attributes:
        name: `project/stack`, with the organization before it where that is not the default one.
        project: Its project; empty for a stack without resources.
        ref: Its name for `pulumi --stack`.
        managed: The resources that it manages.
        interrupted: The creates that may have been interrupted.
        gap: Why this is incomplete; empty if it is complete.
        saved_at: When the state was saved; empty if the state does not contain it.
    """

    name: str
    project: str
    ref: str
    managed: tuple[Managed, ...] = ()
    interrupted: tuple[Interrupted, ...] = ()
    gap: str = ""
    saved_at: str = ""


def read_export(data: bytes, ref: str | None = None, project: str = "") -> StackState:
    """
    Read an export.

    Args:
        data: The output of `pulumi stack export`.
        ref: The stack's name in the backend's list; by default its resources show it.
        project: The project of the current folder, which the backend omits from the name.

    Raises:
        InputError: It is not an export, or an incomplete one.
    """
    export = read_stack(data)
    urns = [resource.urn for resource in (*export.resources, *export.creating)]
    project, name, short = _names(urns, ref, project)
    urls = _urls(export.resources)
    managed = (_managed(name, resource, urls.get(resource.provider)) for resource in export.resources)
    creating = [_interrupted(name, resource, urls.get(resource.provider)) for resource in export.creating]
    return StackState(
        name,
        project,
        ref or short,
        tuple(one for one in managed if one is not None),
        tuple(one for one in creating if one is not None),
        next((_gap(one) for one in creating if one is not None and _is_unclear(one)), ""),
        export.saved_at,
    )


def _is_unclear(operation: Interrupted) -> bool:
    """Whether it may have created any container, because its state does not name it."""
    return operation.kind == UNRECOGNISED or (operation.kind == "Container" and operation.name is None)


def _gap(operation: Interrupted) -> str:
    return (
        f"it was creating {name_of(operation.urn)!r} when it was interrupted (or is creating it now), and its state "
        "does not say under which name: finish the update with `pulumi up`, then run this again"
    )


def _names(urns: list[str], ref: str | None, project: str) -> tuple[str, str, str]:
    """Return the project, the stack's name for people, and its name within its project."""
    told = next((urn.split("::") for urn in urns if urn.count("::") >= 2), None)
    parts = (ref or "").split("/")
    if told is not None:
        stack, project = told[0].removeprefix("urn:pulumi:"), told[1]
    elif ref is None:
        return "", "an empty stack", ""
    else:
        stack, project = parts[-1], parts[1] if len(parts) == 3 else project
    # The backend omits the project of the current folder, and then also the user's default organization.
    organization = parts[0] if len(parts) > 1 and parts[0] != _DEFAULT_ORGANIZATION else ""
    return project, "/".join(part for part in (organization, project, stack) if part), stack


def _urls(resources: list[StoredResource]) -> dict[str, str]:
    found = {}
    for resource in resources:
        if resource.type.startswith("pulumi:providers:"):
            given = {**(resource.inputs or {}), **(resource.outputs or {})}
            url = next((text for name in _URL_INPUTS if (text := _text(given, name)) is not None), None)
            if url is not None:
                found[f"{resource.urn}::{resource.id}"] = url
    return found


def _managed(stack: str, resource: StoredResource, base_url: str | None) -> Managed | None:
    kind = resource.kind
    # A resource that is only read belongs to another stack. One that is pending replacement has been deleted.
    if kind not in OWNING or not resource.custom or resource.external or resource.pending_replacement:
        return None
    if not resource.id:
        return None
    outputs = snake_case(resource.outputs or {})
    created = "container_created_at" if kind not in {"Container", UNRECOGNISED} else "created_at"
    return Managed(
        stack,
        resource.urn,
        kind,
        resource.id,
        created_at=_text(outputs, created),
        origin=_text(outputs, "origin"),
        base_url=base_url,
        item=item(resource.inputs or {}) if kind == "Container" else None,
        protect=resource.protect,
        retain=resource.retain_on_delete,
        left_over=resource.delete,
    )


def _interrupted(stack: str, resource: StoredResource, base_url: str | None) -> Interrupted | None:
    inputs = snake_case(resource.inputs or {})
    kind = resource.kind
    if kind not in OWNING:
        return None
    container = _text(inputs, "source" if kind == "Connection" else "container")
    return Interrupted(stack, resource.urn, kind, _text(inputs, _OWN_NAME.get(kind, "")), container, base_url)


def _text(properties: Mapping[str, Any], name: str) -> str | None:
    value = properties.get(name)
    return value if isinstance(known(value), str) else None
