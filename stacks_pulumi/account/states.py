"""What an export of a stack says about our resources: what it owns, and what it may have been creating."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from stacks_pulumi.cost.documents import InputError, State, utf8
from stacks_pulumi.cost.report import Item, item
from stacks_pulumi.cost.steps import name_of
from stacks_pulumi.pricing.recognition import UNRECOGNISED, kind_of, snake_case
from stacks_pulumi.pricing.values import is_unknown

__all__ = ["OWNING", "Interrupted", "Managed", "StackState", "read_export"]

OWNING: Final = frozenset({"AllowedIp", "Connection", "Container", "PinnedBackup", "VpnClient", UNRECOGNISED})
"""
The kinds whose resources are an object of the account each. One of a kind that this version does not know may be one:
what it has the id of is not called an orphan.
"""

_HELP: Final = "hand in what `pulumi stack export` wrote"
_DEFAULT_ORGANIZATION: Final = "organization/"
_URL_INPUTS: Final = ("stacks:baseUrl", "baseUrl", "base_url")


class _Resource(State, rename="camel"):
    protect: bool = False
    provider: str = ""
    outputs: dict[str, Any] | None = None


class _Operation(msgspec.Struct):
    resource: _Resource
    type: str = ""


class _Deployment(msgspec.Struct):
    resources: list[_Resource] | None = None
    pending_operations: list[_Operation] | None = None


class _Export(msgspec.Struct):
    # A stack that was never updated has null here.
    deployment: _Deployment | None


@dataclass(frozen=True)
class Managed:
    """
    A resource that a stack manages.

    Attributes:
        stack: The stack's name.
        urn: Its URN.
        kind: Its kind, for instance `Container`.
        id: Its id: the container's id, or one that begins with it.
        created_at: Creation time of the container (for a child, of its container); `None` if not recorded.
        origin: Part of a digest of the key that changed it last; `None` in old states.
        base_url: The API that its provider was configured with; `None` if the state does not say.
        item: What it is and what it costs, as the state says; `None` for what is no container.
        protect: Whether Pulumi refuses to delete it.
        retain: Whether it stays in the account when it leaves the stack.
        left_over: Whether it is the old half of a replacement, to be deleted by the next `up`.
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

    @property
    def name(self) -> str:
        """Its name in the program."""
        return name_of(self.urn)


@dataclass(frozen=True)
class Interrupted:
    """
    A create that was interrupted: it is not known whether the object exists.

    Attributes:
        stack: The stack's name.
        urn: Its URN.
        name: The name of the container that was being created.
        base_url: The API that its provider was configured with; `None` if the state does not say.
    """

    stack: str
    urn: str
    name: str
    base_url: str | None = None


@dataclass(frozen=True)
class StackState:
    """
    A stack, as far as our resources go.

    Attributes:
        name: `project/stack`, with the organization before it where that is not the default one.
        project: Its project; empty for a stack without resources.
        ref: What `pulumi --stack` takes for it.
        managed: What it manages.
        interrupted: The containers that it may have been creating.
    """

    name: str
    project: str
    ref: str
    managed: tuple[Managed, ...] = ()
    interrupted: tuple[Interrupted, ...] = ()


def read_export(data: bytes, ref: str | None = None) -> StackState:
    """
    Read an export.

    Args:
        data: What `pulumi stack export` wrote.
        ref: The stack's name as the backend lists it; by default its resources say it.

    Raises:
        InputError: It is no export, or not a whole one.
    """
    try:
        export = msgspec.json.decode(utf8(data), type=_Export)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"this is not an export of a stack ({error}): {_HELP}") from None
    deployment = export.deployment or _Deployment()
    resources, pending = deployment.resources or [], deployment.pending_operations or []
    urns = [resource.urn for resource in (*resources, *(operation.resource for operation in pending))]
    project, name = _names(urns, ref)
    urls = _urls(resources)
    managed = (_managed(name, resource, urls.get(resource.provider)) for resource in resources)
    creating = (operation.resource for operation in pending if operation.type == "creating")
    interrupted = (_interrupted(name, resource, urls.get(resource.provider)) for resource in creating)
    return StackState(
        name,
        project,
        ref or name,
        tuple(one for one in managed if one is not None),
        tuple(one for one in interrupted if one is not None),
    )


def _names(urns: list[str], ref: str | None) -> tuple[str, str]:
    """The project, and the stack's name for people."""
    parts = next((urn.split("::") for urn in urns if urn.count("::") >= 2), None)
    short = (ref or "").removeprefix(_DEFAULT_ORGANIZATION)
    if parts is None:
        project, _, _ = short.rpartition("/")
        return project.rpartition("/")[2], short or "an empty stack"
    stack, project = parts[0].removeprefix("urn:pulumi:"), parts[1]
    # The backend does not name the project of the folder that it is asked in.
    return project, short if short.count("/") else f"{project}/{stack}"


def _urls(resources: list[_Resource]) -> dict[str, str]:
    found = {}
    for resource in resources:
        if resource.type.startswith("pulumi:providers:"):
            given = {**(resource.inputs or {}), **(resource.outputs or {})}
            url = next((given[name] for name in _URL_INPUTS if isinstance(given.get(name), str)), None)
            if url is not None and not is_unknown(url):
                found[f"{resource.urn}::{resource.id}"] = url
    return found


def _managed(stack: str, resource: _Resource, base_url: str | None) -> Managed | None:
    kind = kind_of(resource.type, resource.inputs or {})
    # What was only looked up belongs to another stack; what waits to be created again has been deleted.
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


def _interrupted(stack: str, resource: _Resource, base_url: str | None) -> Interrupted | None:
    inputs = resource.inputs or {}
    name = _text(inputs, "name")
    if kind_of(resource.type, inputs) != "Container" or name is None:
        return None
    return Interrupted(stack, resource.urn, name, base_url)


def _text(properties: Mapping[str, Any], name: str) -> str | None:
    value = properties.get(name)
    return value if isinstance(value, str) and not is_unknown(value) else None
