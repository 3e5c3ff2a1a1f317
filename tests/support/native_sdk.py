"""
The native types under the names of this package's classes, so that one program runs on either host.

Tests copy this file next to a program, which imports it as `stacks`. It registers the same resources as a generated
SDK.
"""

from __future__ import annotations

from typing import Any

import pulumi

from stacks_pulumi._identifiers import camel_case, snake_case
from stacks_pulumi.hosts.plugin.wire import parsed

_RESOURCES: dict[str, Any] = parsed()["resources"]


class _Native(pulumi.CustomResource):
    token: str

    def __init__(self, resource_name: str, opts: pulumi.ResourceOptions | None = None, **inputs: Any) -> None:
        resource = _RESOURCES[self.token]
        aliases = [pulumi.Alias(type_=alias["type"]) for alias in resource["aliases"]]
        ids = {name: it.id if isinstance(it, _Native) else it for name, it in inputs.items()}
        super().__init__(
            self.token,
            resource_name,
            {**dict.fromkeys(map(snake_case, resource["properties"])), **ids},
            pulumi.ResourceOptions.merge(pulumi.ResourceOptions(aliases=aliases), opts),
        )

    def translate_input_property(self, prop: str) -> str:
        return camel_case(prop)

    def translate_output_property(self, prop: str) -> str:
        return snake_case(prop)


class Provider(pulumi.ProviderResource):
    """The provider of an account."""

    def __init__(self, resource_name: str, **settings: Any) -> None:
        super().__init__("stacks", resource_name, {camel_case(name): it for name, it in settings.items()})


def __getattr__(kind: str) -> type[_Native]:
    token = f"stacks:index:{kind}"
    if token not in _RESOURCES:
        raise AttributeError(kind)
    return type(kind, (_Native,), {"token": token})
