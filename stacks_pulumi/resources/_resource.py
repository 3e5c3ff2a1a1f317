"""What a program declares: the SDK's dynamic resource, with a type that a subclass keeps."""

from __future__ import annotations

from typing import Any, ClassVar

import pulumi
from pulumi import dynamic

__all__ = ["Resource"]


class Resource(dynamic.Resource):
    """
    The root of all resource classes.

    The SDK names the type of a class by its arguments `module` and `name`. Here a subclass always has its parent's
    type, so that policies, prices and a later version recognise it. One that names a type of its own
    (`class Database(Container, module="acme", name="Database")`) had that type up to version 0.2: it becomes an alias,
    so that the engine finds the resource in the state.
    """

    _module_and_name: ClassVar[tuple[str, str]]
    _former_type: ClassVar[str | None] = None

    def __init_subclass__(cls, module: str = "", name: str = "", **kwargs: Any) -> None:
        if not hasattr(cls, "_module_and_name"):
            cls._module_and_name = (module, name)
        elif name and (module, name) != cls._module_and_name:
            cls._former_type = f"pulumi-python:dynamic{module and f'/{module}'}:{name}"
        own_module, own_name = cls._module_and_name
        super().__init_subclass__(module=own_module, name=own_name, **kwargs)

    def __init__(
        self,
        provider: dynamic.ResourceProvider,
        resource_name: str,
        props: pulumi.Inputs,
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        """Declare the resource."""
        if self._former_type is not None:
            former = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=self._former_type)])
            opts = pulumi.ResourceOptions.merge(opts, former)
        super().__init__(provider, resource_name, props, opts)
