"""
Which outputs has a resource, and when are they created?

For each property of a declared resource, the SDK creates an output at once: a task with four futures. A container has
27 properties, and a program reads few of them. In a large program, most of the processor time is spent on outputs that
nobody reads. So here the SDK creates an output when the program reads it.

The SDK has no interface for this. Its `transfer_properties` iterates over the properties, and puts a function for each
into `resolvers`, which later gets the value. Here `resolvers` gets functions that keep the value until the output is
read. If an SDK has no such variable, it creates all outputs at once.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi.runtime import rpc

if TYPE_CHECKING:
    from _collections_abc import dict_keys

_INT: Final = re.compile(r"\bint\b")


@functools.cache
def outputs_of(resource: type) -> frozenset[str]:
    """
    Return the names of a class's outputs.

    For each resource, the SDK reads the types of the outputs, but needs them only to convert numbers to `int`. So
    after the first resource, the class has only the types of these outputs, and the SDK reads them five times as
    fast.
    """
    own = inspect.get_annotations(resource)
    names = frozenset(own).union(*map(outputs_of, resource.__bases__))
    if "_module_and_name" in vars(resource):
        resource.__annotations__ = {name: type_ for name, type_ in own.items() if _INT.search(str(type_))}
        resource.__annotations__ = inspect.get_annotations(resource, eval_str=True)
    return names


class Properties(dict[str, Any]):
    """
    The properties of one resource, for which the SDK creates an output only when the program reads it.

    Args:
        resource: The resource.
        values: The properties.
        secrets: The names of the properties that are secret.
    """

    def __init__(self, resource: pulumi.Resource, values: Mapping[str, Any], secrets: Iterable[str]) -> None:
        super().__init__(values)
        self._resource = resource
        self._secrets = frozenset(secrets)
        self._unread: set[str] = set()
        self._values: dict[str, tuple[Any, ...]] = {}
        self._resolvers: dict[str, Callable[..., None]] = {}

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names. The SDK's loop that creates an output for each name gets none."""
        frame = sys._getframe(1)  # noqa: SLF001  (the docstring of this module says why)
        resolvers = frame.f_locals.get("resolvers") if frame.f_code is _CREATES_OUTPUTS else None
        if not isinstance(resolvers, dict):
            return super().__iter__()
        self._unread.update(super().__iter__())
        resolvers.update({name: functools.partial(self._resolve, name) for name in self._unread})
        return iter(())

    def _resolve(self, name: str, *value: Any) -> None:
        if name in self._unread:
            self._values[name] = value
        else:
            self._resolvers.pop(name)(*value)

    def read(self, name: str) -> Any:
        """
        Create the output of a property as an attribute of the resource, and return it.

        Raises:
            AttributeError: There is no property of this name that nobody has read.
        """
        if name not in self._unread:
            msg = f"{type(self._resource).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg, name=name, obj=self._resource)
        self._unread.remove(name)
        resolve = rpc.transfer_properties(self._resource, {name: None}, custom=True)[name]
        if name in self._values:
            resolve(*self._values.pop(name))
        else:
            self._resolvers[name] = resolve
        self.mark_secrets()
        return vars(self._resource)[name]

    def read_all(self) -> None:
        """Create all outputs."""
        for name in tuple(self._unread):
            self.read(name)

    def mark_secrets(self) -> None:
        """
        Mark each created output of a secret property as secret.

        At preview, the engine marks only known values as secret, but an update plan treats a secret and a plain value
        as different.
        """
        created = vars(self._resource)
        for name in [name for name in self._secrets if name in created]:
            created[name] = pulumi.Output.secret(created[name])
        self._secrets = self._secrets.difference(created)


class Attributes(dict[str, Any]):
    """
    The attributes of one resource. The SDK lists them if a program exports the whole resource.

    Args:
        attributes: The attributes so far.
        properties: The properties of the resource.
    """

    def __init__(self, attributes: Mapping[str, Any], properties: Properties) -> None:
        super().__init__(attributes)
        self.properties = properties

    def keys(self) -> dict_keys[str, Any]:
        """Return the names, with those of all outputs."""
        self.properties.read_all()
        return super().keys()


_CREATES_OUTPUTS: Final = rpc.transfer_properties.__code__
