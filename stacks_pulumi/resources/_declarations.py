"""The objects that one run of a program has declared, to find two resources that would manage the same object."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Final, cast

import pulumi
from pulumi.runtime import get_root_resource
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

from stacks_pulumi.config import NAMESPACE
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.resources import _checks
from stacks_pulumi.resources._run_errors import shown_alone

__all__ = ["declare_child", "declare_container_name", "has_name_pattern", "provider_in_options"]

_PACKAGE: Final = "pulumi-python"

# One entry for each run: with the Automation API one process runs several programs, each with its own root.
_runs: Final[
    weakref.WeakKeyDictionary[pulumi.Resource, dict[tuple[pulumi.ProviderResource | None, str, str], str]]
] = weakref.WeakKeyDictionary()


def provider_in_options(opts: pulumi.ResourceOptions | None, type_: str) -> pulumi.ProviderResource | None:
    """Return the explicit provider of a resource with these options: from the options or from the parent."""
    if opts is None:
        return None
    if isinstance(opts.provider, pulumi.ProviderResource):
        return opts.provider
    given: Any = opts.providers or {}
    providers = given.values() if isinstance(given, Mapping) else given
    for provider in providers:
        if provider.package == _PACKAGE:
            return cast("pulumi.ProviderResource", provider)
    return None if opts.parent is None else opts.parent.get_provider(type_)


def has_name_pattern(provider: pulumi.ProviderResource | None) -> bool:
    """Return whether a pattern applies to default names; then only the provider knows them."""
    if provider is None:
        return pulumi.Config(NAMESPACE).get("namePattern") is not None
    return getattr(provider, "name_pattern", None) is not None


def declare_container_name(
    name: pulumi.Input[str], resource_name: str, provider: pulumi.ProviderResource | None
) -> pulumi.Input[str]:
    """
    Record a container's name, and refuse a second resource with the same one.

    The provider's `check` compares names too, but the engine does not call it for resources outside of `--target`.

    Args:
        name: The container's name.
        resource_name: The resource's name in the program.
        provider: Its explicit provider; `None` for the stack's own account.

    Returns:
        The name, to be used as the input.

    Raises:
        ConfigError: Another resource of this run has the name. If the name is an output, the error is raised when its
            value is known.
    """
    declared = _declared()
    if declared is None:
        return name

    def declare(known: str) -> str:
        key = (provider, "Container", known.lower())
        # Two resources may have the same resource name if their parents differ.
        if key in declared:
            msg = (
                f'two resources use the container name "{known}": {declared[key]!r} and {resource_name!r}. '
                "Give one of them another name, or remove it"
            )
            raise shown_alone(ConfigError(msg, code="declared-twice"))
        declared[key] = resource_name
        return known

    if isinstance(name, str):
        return declare(name)
    output: pulumi.Output[str] = pulumi.Output.from_input(name)
    return output.apply(declare)


def declare_child(
    kind: str,
    container: pulumi.Input[str],
    own: pulumi.Input[Any],
    resource_name: str,
    provider: pulumi.ProviderResource | None,
) -> pulumi.Input[str]:
    """
    Record which object of a container a resource manages, and refuse a second resource for the same object.

    Args:
        kind: The resource's kind, for instance `AllowedIp`.
        container: Its container's id.
        own: The object's identity in the container: an address, a name or a number.
        resource_name: The resource's name in the program.
        provider: Its explicit provider; `None` for the stack's own account.

    Returns:
        The container's id, to be used as the input.

    Raises:
        ConfigError: Another resource of this run manages the object. For outputs, the error is raised when their values
            are known.
    """
    declared = _declared()
    if declared is None:
        return container

    def declare(known: Any) -> pulumi.Output[str]:
        # At preview, the combined output is unknown if one of the two is.
        if isinstance(known, tuple) and all(isinstance(value, str | int | float) for value in known):
            unique = f"{known[0]}/{_canonical(known[1])}"
            key = (provider, kind, unique.lower())
            if key in declared:
                both = f"{declared[key]!r} and {resource_name!r}"
                msg = (
                    f"two resources declare the same {kind} ({unique}): {both}. Change or remove one of them"
                )
                raise shown_alone(ConfigError(msg, code="declared-twice"))
            declared[key] = resource_name
        # An unknown name must not make the container unknown.
        return pulumi.Output.from_input(container)

    both: pulumi.Output[tuple[Any, Any]] = pulumi.Output.from_input((container, own))
    return both.apply(declare, run_with_unknowns=True)


def _canonical(own: Any) -> str:
    try:
        return _checks.ip_network(own)
    except ValueError:
        return f"{own:g}" if isinstance(own, float) else str(own)


def _declared() -> dict[tuple[pulumi.ProviderResource | None, str, str], str] | None:
    """Return the declarations of this run; `None` if declarations are not compared in it."""
    root = get_root_resource()
    # Tests with mocks declare the same names repeatedly under one root.
    if root is None or isinstance(get_monitor(), MockMonitor):
        return None
    return _runs.setdefault(root, {})
