"""
Conversion between property bags (protobuf's Structs) and plain values with Python's names.

Only the names of a resource's own properties change their spelling. Names inside a value (environment variables, for
instance) are the user's and stay unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf import struct_pb2

from stacks_pulumi.hosts.spelling import camel_case, snake_case
from stacks_pulumi.pricing.values import SIGNATURE
from stacks_pulumi.resources._property_values import UNKNOWN, plain

__all__ = ["from_struct", "settings_of", "to_struct"]

_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
"""The protocol's signature of an output: its value if known, whether it is secret, and its dependencies."""


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return the properties, without those that are null."""
    found = {snake_case(name): _from_value(value) for name, value in struct.fields.items()}
    return {name: value for name, value in found.items() if value is not None}


def settings_of(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return the settings of a provider with their original spelling, so that a misspelt one can be reported."""
    found = {name: plain(_from_value(value)) for name, value in struct.fields.items()}
    return {name: value for name, value in found.items() if value is not None}


def to_struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return the properties as a Struct, without those that are `None`."""
    fields = {camel_case(name): _to_value(value) for name, value in values.items() if value is not None}
    return struct_pb2.Struct(fields=fields)


def _from_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind != "struct_value":
        return getattr(value, kind)
    fields = value.struct_value.fields
    if SIGNATURE in fields and fields[SIGNATURE].string_value == _OUTPUT:
        return _from_value(fields["value"]) if "value" in fields else UNKNOWN
    return {name: _from_value(item) for name, item in fields.items()}


def _to_value(value: Any) -> struct_pb2.Value:
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Mapping):
        fields = {str(name): _to_value(item) for name, item in value.items()}
        return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
    if isinstance(value, Iterable):
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=map(_to_value, value)))
    msg = f"{type(value).__name__} is not a property value"
    raise TypeError(msg)
