"""What a program declares: the SDK's dynamic resource, with a type that a subclass keeps."""

from __future__ import annotations

from typing import Any, ClassVar

from pulumi import dynamic

__all__ = ["Resource"]


class Resource(dynamic.Resource):
    """
    The root of all resource classes.

    The SDK names the type of a class by its arguments `module` and `name`, and takes a subclass that has none
    (`class Database(Container)`) for one of no type: the policies and the cost report would not see it. Here it is of
    its parent's type.
    """

    _module_and_name: ClassVar[tuple[str, str]]

    def __init_subclass__(cls, module: str = "", name: str = "", **kwargs: Any) -> None:
        if name:
            cls._module_and_name = (module, name)
        own_module, own_name = cls._module_and_name
        super().__init_subclass__(module=own_module, name=own_name, **kwargs)
