"""
What do the files of a saved plan and of a stack's export have, as the engine reads them?

A plan that the engine and this package could read in two ways is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from stacks_pulumi._identifiers import name_of, stack_and_project, type_of
from stacks_pulumi._pulumi_cli import InputError, StoredResource, readable
from stacks_pulumi.pricing.recognition import PACKAGE, PROVIDER, STACK, is_hidden, is_our_provider

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
    custom_timeouts: dict[str, float] = {}


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
    refresh_before_update: bool = False
    view_of: str = ""


class _Operation(msgspec.Struct):
    resource: Stored
    type: str = ""


class Deployment(msgspec.Struct):
    """What the state has."""

    resources: list[Stored] | None = None
    pending_operations: list[_Operation] | None = None
    snippets: Any = None
    extensions: Any = None


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


def other_setting(plan: bytes, values: Mapping[str, Any]) -> str:
    """
    Return a setting of this package whose value differs between plan and stack; empty if there is none.

    The engine does not compare them. By them a provider in the state is one that it makes by itself, and an approver is
    told of a platform file.

    Args:
        plan: The file of the plan.
        values: The stack's configuration, as the engine prints it.

    Raises:
        InputError: It cannot be read.
    """
    planned = plan_in(plan).config
    return next(
        (
            name
            for name in (*planned, *values)
            # Without a package, a name would be that of a setting of any.
            if (":" not in name or name.partition(":")[0] in _OUR_PACKAGES)
            and not _is_set(planned.get(name), values.get(name) or {})
        ),
        "",
    )


def _is_set(planned: Any, entry: Mapping[str, Any]) -> bool:
    if isinstance(planned, dict):
        # A plan has secrets encrypted. No setting of ours is a mapping.
        return entry.get("secret") is True
    value = entry.get("value")
    if isinstance(planned, str):
        return bool(value == planned)
    try:
        # The settings may have a number, or true, without quotes.
        return bool(json.loads(value or "null") == planned)
    except ValueError:
        return False


def deployment_in(export: bytes) -> Deployment:
    """
    Return what a stack has by its export.

    Raises:
        InputError: It cannot be read.
    """
    return _decoded(export, _Export, "an export of a stack").deployment or Deployment()


def _decoded(data: bytes, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.json.decode(readable(data), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"this is not {what} ({error}): {_AGAIN}") from None


def _checked(plan: bytes) -> bytes:
    """
    Return a plan that the engine reads as it is read here.

    The engine compares the names of fields without case, and joins two fields of one name. So a second
    `ResourcePlans` would be carried out and not judged.
    """
    try:
        document = json.loads(readable(plan), object_pairs_hook=_once)
    except ValueError as error:
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


PROVIDERS: Final = "pulumi:providers:"
"""How the type of a provider begins."""
_OUR_PACKAGES: Final = frozenset({"stacks", "pulumi-python"})
OUR_PROVIDERS: Final = frozenset(PROVIDERS + package for package in _OUR_PACKAGES)
"""The types of the providers that have this package's resources."""
_DYNAMIC: Final = "pulumi-python:dynamic"
_OF_A_PLUGIN: Final = frozenset(
    {"envVarMappings", "name", "parameterization", "pluginChecksums", "pluginDownloadURL"}
)
"""
The settings of a provider that say which plugin runs, or with which variables: `envVarMappings` gives it for instance
the folder of the program as PYTHONPATH.
"""


def check_plugins(allowed: Collection[str], state: bytes, plan: bytes | None = None) -> None:
    """
    Refuse a provider that names another plugin than that of its package: its address, its name or its parameters.

    The engine downloads it and runs it with the key, also for a provider that is only in the state. So it does for the
    snippets of a state, which are programs beside the program, and for the extensions of its resources.

    Args:
        allowed: The settings that the gate allows a project to have.
        state: The export of a stack.
        plan: The plan that is made against it.

    Raises:
        InputError: There is one, the URN of a resource does not show its type, or state or plan cannot be read.
    """
    deployment = deployment_in(state)
    stored = [*(deployment.resources or ()), *(one.resource for one in deployment.pending_operations or ())]
    for one in stored:
        # The engine takes what a URN says for the type, also of what is deleted.
        check_type(one.urn, one)
    if {"plugins", "packages"}.intersection(allowed):
        return
    programs = [name for name in ("snippets", "extensions") if getattr(deployment, name)]
    if programs:
        raise InputError(
            f"the state has {' and '.join(programs)}, with which the engine runs other programs and plugins with the "
            "key: remove them from the state (`pulumi stack export`, `import`), or allow it in the gate "
            "(`project_settings: [plugins]` in gate.yaml)"
        )
    bags = [(one.urn, one.type, part or {}) for one in stored for part in (one.inputs, one.outputs)]
    plans = {} if plan is None else plan_in(plan).resource_plans
    for urn, planned in plans.items():
        if planned.goal is not None:
            difference = planned.goal.input_diff
            bags.append((urn, planned.goal.type, {**difference.adds, **difference.updates}))
    found = [(urn, type_) for urn, type_, bag in bags if type_.startswith(PROVIDERS) and _names(bag)]
    if found:
        listed = ", ".join(dict.fromkeys(f"{name_of(urn)!r} ({type_})" for urn, type_ in found))
        raise InputError(
            "the stack has providers that name another plugin, or its variables, which the engine would run with the "
            f"key: {listed}; "
            "remove them from program and state, or allow it in the gate (`project_settings: [plugins]` in gate.yaml)"
        )


def platform_files(plan: bytes, state: bytes) -> list[Any]:
    """
    Return what the configuration and each of our providers, in plan and state, name as their platform file.

    Args:
        plan: The file of the plan.
        state: The export of the stack.

    Raises:
        InputError: One of them cannot be read.
    """
    planned = plan_in(plan)
    goals = [one.goal for one in planned.resource_plans.values() if one.goal is not None]
    bags = [
        planned.config,
        *(one.input_diff.adds | one.input_diff.updates for one in goals if one.type in OUR_PROVIDERS),
        *((one.inputs or {}) for one in deployment_in(state).resources or () if one.type in OUR_PROVIDERS),
    ]
    # A provider of the plugin has the name without a package.
    given = [bag.get(name) for bag in bags for name in ("stacks:platform", "platform")]
    return [one for one in given if one is not None]


def _names(inputs: Mapping[str, Any]) -> bool:
    internal = inputs.get("__internal")
    # Older engines had these settings beside those of the provider.
    settings = inputs if internal is None else internal
    return not isinstance(settings, Mapping) or is_hidden(settings) or not _OF_A_PLUGIN.isdisjoint(settings)


def code_in(export: bytes) -> str:
    """
    Return why the engine may run code that is not ours for what a state has; empty if it does not.

    It starts the provider of each resource that it only forgets or has looked up, with the key and with the settings in
    the state, and before that it reads one with `refreshBeforeUpdate`. A dynamic resource there is any code, and the
    settings of some providers are a command.

    Args:
        export: The export of a stack.

    Raises:
        InputError: It cannot be read.
    """
    deployment = deployment_in(export)
    pending = (one.resource for one in deployment.pending_operations or ())
    for one in (*(deployment.resources or ()), *pending):
        if (one.custom or one.provider) and not _is_ours(one):
            return f"the state has {name_of(one.urn)!r} ({one.type}), whose provider the engine may run"
    return ""


def _is_ours(one: Stored) -> bool:
    """Whether only code of this package is run for what a state has."""
    if one.type.startswith(PROVIDERS):
        return one.type in OUR_PROVIDERS
    if one.provider and package_of(one.provider) not in _OUR_PACKAGES:
        return False
    codes = [part[PROVIDER] for part in (one.inputs or {}, one.outputs or {}) if PROVIDER in part]
    is_dynamic = bool(codes) and all(
        isinstance(code, str) and is_our_provider(code, one.kind or "") for code in codes
    )
    return is_dynamic if one.type.startswith(_DYNAMIC) else one.type.startswith(PACKAGE)


def urn_of_provider(reference: str) -> str:
    """Return the URN in a reference to a provider, which has its id too."""
    return reference.rpartition("::")[0]


def package_of(provider: str) -> str:
    """Return the package of a reference to a provider; empty if it refers to something else."""
    urn = urn_of_provider(provider)
    type_ = "" if None in stack_and_project(urn) else type_of(urn)
    return type_.removeprefix(PROVIDERS) if type_.startswith(PROVIDERS) else ""


def longest_timeout(planned: bytes) -> float:
    """Return the longest timeout that a resource of a plan has of its own, in seconds."""
    goals = (one.goal for one in plan_in(planned).resource_plans.values())
    return max((seconds for goal in goals if goal for seconds in goal.custom_timeouts.values()), default=0.0)


def packages_of(planned: bytes) -> list[str]:
    """Return the packages whose plugins a plan uses."""
    plans = plan_in(planned).resource_plans
    types = [urn.split("::")[2].rpartition("$")[2] for urn in plans if urn.count("::") >= 3]
    return sorted(
        {one.removeprefix(PROVIDERS) if one.startswith(PROVIDERS) else one.partition(":")[0] for one in types}
    )


def check_type(urn: str, one: Stored | Goal) -> None:
    """
    Refuse a resource whose URN does not show what it is: a program that is code chooses the type.

    After `$`, a URN has the type of a child. So with `a:b:c$pulumi:pulumi:Stack` a container would be the stack itself,
    which no rule judges and no one is shown. So it would with the stack's own type, if a provider makes it. And with a
    provider of another package it may be anything, whatever its type is.

    Raises:
        InputError: It does not show it.
    """
    if "$" in one.type or None in stack_and_project(urn) or type_of(urn) != one.type:
        raise does_not_fit(
            urn, f"its type is {one.type!r}, which its URN does not show: give it a type without `$`"
        )
    if one.custom and one.type == STACK:
        raise does_not_fit(urn, "only the stack itself has its type, and no provider makes that")
    if one.custom and one.provider and package_of(one.provider) != one.type.partition(":")[0]:
        raise does_not_fit(urn, f"its provider {one.provider!r} is of another package than its type")


def does_not_fit(urn: str, why: str) -> InputError:
    """Return the error that plan and state do not fit together at a resource."""
    what = f"{name_of(urn)!r} ({type_of(urn)})" if None not in stack_and_project(urn) else repr(urn)
    return InputError(
        f"plan and state do not fit together at {what}: {why}. Make the record again with `stacks-pulumi gate plan`"
    )
