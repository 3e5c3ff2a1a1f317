"""
What do the files of a saved plan and of a stack's export have, as the engine reads them?

A plan that the engine and this package could read in two ways is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec

from stacks_pulumi._pulumi_cli import InputError, StoredResource, utf8

_AGAIN: Final = "make the record again with `stacks-pulumi gate plan`"

_T = TypeVar("_T")


class InputDiff(msgspec.Struct):
    """What becomes of the inputs of a resource, compared with those in the state."""

    adds: dict[str, Any] = {}
    deletes: list[str] = []
    updates: dict[str, Any] = {}


class _Alias(msgspec.Struct, rename="pascal"):
    urn: str = msgspec.field(default="", name="URN")
    name: str = ""
    type: str = ""
    project: str = ""
    stack: str = ""
    parent: str = ""
    no_parent: bool = False


class Goal(msgspec.Struct, rename="camel"):
    """What a resource will be, as its plan says it."""

    type: str
    name: str
    custom: bool = False
    input_diff: InputDiff = msgspec.field(default_factory=InputDiff)
    parent: str = ""
    protect: bool = False
    dependencies: list[str] = []
    provider: str = ""
    property_dependencies: dict[str, list[str] | None] = {}
    aliases: list[str] = []
    structured_aliases: list[_Alias] = []
    id: str = ""


class ResourcePlan(msgspec.Struct):
    """What becomes of a resource: without a goal, it ends or stays as it is."""

    goal: Goal | None = None
    steps: list[str] = []


class SavedPlan(msgspec.Struct, rename="camel"):
    """A saved plan."""

    # A document without it is no plan, and would otherwise be one that changes nothing.
    manifest: dict[str, Any]
    config: dict[str, Any] = {}
    resource_plans: dict[str, ResourcePlan] = {}


class Stored(StoredResource, rename="camel"):
    """A resource in the state, with what it depends on."""

    import_id: str = msgspec.field(default="", name="importID")
    parent: str = ""
    dependencies: list[str] | None = None
    property_dependencies: dict[str, list[str] | None] | None = None
    view_of: str = ""


class _Operation(msgspec.Struct):
    resource: Stored
    type: str = ""


class Deployment(msgspec.Struct):
    """What the state has."""

    resources: list[Stored] | None = None
    pending_operations: list[_Operation] | None = None


class _Export(msgspec.Struct):
    # It is null for a stack that was never updated.
    deployment: Deployment | None


def plan_in(file: bytes) -> SavedPlan:
    """
    Return the plan in a file that `pulumi preview --save-plan` wrote.

    Raises:
        InputError: It cannot be read, or the engine may read it in another way.
    """
    return _decoded(_checked(file), SavedPlan, "a saved plan")


def deployment_in(export: bytes) -> Deployment:
    """
    Return what a stack has by its export.

    Raises:
        InputError: It cannot be read.
    """
    return _decoded(export, _Export, "an export of a stack").deployment or Deployment()


def _decoded(data: bytes, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.json.decode(utf8(data), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"this is not {what} ({error}): {_AGAIN}") from None


def _checked(plan: bytes) -> bytes:
    """
    Return a plan that the engine reads as it is read here.

    The engine compares the names of fields without case, and joins two fields of one name. So a second
    `ResourcePlans` would be carried out and not judged.
    """
    try:
        document = json.loads(utf8(plan), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not a saved plan ({error}): {_AGAIN}") from None
    for part, kind in _parts(document):
        names = {name.casefold(): name for name in _fields(kind)}
        for name in part if isinstance(part, dict) else ():
            if names.get(name.casefold(), name) != name:
                raise InputError(
                    f"the plan has the field {name!r} beside {names[name.casefold()]!r}: {_AGAIN}"
                )
    return plan


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InputError(f"the plan has a name twice in one object: {_AGAIN}")
    return found


def _parts(document: Any) -> Iterator[tuple[Any, type[msgspec.Struct]]]:
    """Yield each part of a plan whose names are those of fields, with what it is."""
    yield document, SavedPlan
    for planned in _values(document, "resourcePlans"):
        yield planned, ResourcePlan
        goal = planned.get("goal") if isinstance(planned, dict) else None
        yield goal, Goal
        if isinstance(goal, dict):
            yield goal.get("inputDiff"), InputDiff
            aliases = goal.get("structuredAliases")
            yield from ((alias, _Alias) for alias in (aliases if isinstance(aliases, list) else ()))


def _values(document: Any, name: str) -> list[Any]:
    found = document.get(name) if isinstance(document, dict) else None
    return list(found.values()) if isinstance(found, dict) else []


def _fields(kind: type[msgspec.Struct]) -> list[str]:
    return [one.encode_name for one in msgspec.structs.fields(kind)]


def packages_of(planned: bytes) -> list[str]:
    """Return the packages whose plugins a plan uses."""
    plans = msgspec.json.decode(planned).get("resourcePlans")
    types = [urn.split("::")[2].rpartition("$")[2] for urn in plans or () if urn.count("::") >= 3]
    providers = "pulumi:providers:"
    return sorted(
        {one.removeprefix(providers) if one.startswith(providers) else one.partition(":")[0] for one in types}
    )
