"""What one run of a program has declared so far, to find two resources that would manage one container."""

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
from stacks_pulumi.resources._alone import shown_alone

__all__ = ["declare_container_name", "has_name_pattern", "provider_in_options"]

_PACKAGE: Final = "pulumi-python"

# One entry for each run: with the Automation API a process runs several programs, and each has another root.
_runs: Final[
    weakref.WeakKeyDictionary[pulumi.Resource, dict[tuple[pulumi.ProviderResource | None, str], str]]
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
    root = get_root_resource()
    # Tests with mocks declare the same names again and again under one root.
    if root is None or isinstance(get_monitor(), MockMonitor):
        return name
    declared = _runs.setdefault(root, {})

    def declare(known: str) -> str:
        key = (provider, known.lower())
        # Below different parents two resources may have one name themselves.
        if key in declared:
            msg = (
                f'two resources use the container name "{known}": {declared[key]!r} and {resource_name!r}. '
                "Give one of them another name, or remove it"
            )
            raise shown_alone(ConfigError)(msg)
        declared[key] = resource_name
        return known

    if isinstance(name, str):
        return declare(name)
    output: pulumi.Output[str] = pulumi.Output.from_input(name)
    return output.apply(declare)
