"""What one run of a program has declared so far, to find two resources that would manage one object."""

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

# One entry for each run: with the Automation API a process runs several programs, and each has another root.
_runs: Final[
    weakref.WeakKeyDictionary[pulumi.Resource, dict[tuple[pulumi.ProviderResource | None, str, str], str]]
] = weakref.WeakKeyDictionary()


def provider_in_options(opts: pulumi.ResourceOptions | None, type_: str) -> pulumi.ProviderResource | None:
    """Return the explicit provider that a resource with these options has, its own or its parent's."""
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
    """Return whether default names are shaped by a pattern, so that only the provider knows them."""
    if provider is None:
        return pulumi.Config(NAMESPACE).get("namePattern") is not None
    return getattr(provider, "name_pattern", None) is not None


def declare_container_name(
    name: pulumi.Input[str], resource_name: str, provider: pulumi.ProviderResource | None
) -> pulumi.Input[str]:
    """
    Record a container's name, and refuse a second resource with the same one.

    The provider's `check` compares names too, but the engine does not call it for what `--target` leaves out.

    Args:
        name: The container's name.
        resource_name: The resource's name in the program.
        provider: Its explicit provider; `None` for the stack's own account.

    Returns:
        The name, to be used as the input.

    Raises:
        ConfigError: Another resource of this run has the name. If the name is an output, the error comes once it is
            known.
    """
    declared = _declared()
    if declared is None:
        return name

    def declare(known: str) -> str:
        key = (provider, "Container", known.lower())
        # Below different parents two resources may have one name themselves.
        if key in declared:
            msg = (
                f'two resources use the container name "{known}": {declared[key]!r} and {resource_name!r}. '
                "Give one of them another name, or remove it"
            )
            raise shown_alone(ConfigError(msg))
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
    Record what a resource is in its container, and refuse a second resource with the same.

    Args:
        kind: The resource's kind, for instance `AllowedIp`.
        container: Its container's id.
        own: What it is in the container: an address, a name, a number.
        resource_name: The resource's name in the program.
        provider: Its explicit provider; `None` for the stack's own account.

    Returns:
        The container's id, to be used as the input.

    Raises:
        ConfigError: Another resource of this run is the same. For outputs, the error comes once they are known.
    """
    declared = _declared()
    if declared is None:
        return container

    def declare(known: Any) -> pulumi.Output[str]:
        # At preview, both are unknown as long as one of them is.
        if isinstance(known, tuple) and all(isinstance(value, str | int | float) for value in known):
            unique = f"{known[0]}/{_canonical(known[1])}"
            key = (provider, kind, unique.lower())
            if key in declared:
                both = f"{declared[key]!r} and {resource_name!r}"
                msg = (
                    f"two resources declare the same {kind} ({unique}): {both}. Change or remove one of them"
                )
                raise shown_alone(ConfigError(msg))
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
    """Return what this run has declared; `None` where nothing is compared."""
    root = get_root_resource()
    # Tests with mocks declare the same names again and again under one root.
    if root is None or isinstance(get_monitor(), MockMonitor):
        return None
    return _runs.setdefault(root, {})
