"""
Converts property bags (protobuf's Structs), names and messages for other languages, and reads the schema.

Only the names of a resource's own properties are respelt. Names inside a value, such as environment variables, belong
to the user and stay unchanged. The checks use Python's spelling of inputs and options; this module converts every
message of the plugin.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from google.protobuf import struct_pb2

from stacks_pulumi._identifiers import camel_case, nearest, snake_case
from stacks_pulumi.pricing.recognition import NATIVE, SIGNATURE, is_unknown
from stacks_pulumi.resources._values import UNKNOWN, plain, secret


@functools.cache
def schema() -> str:
    return (importlib.resources.files(__package__) / "schema.json").read_text(encoding="utf-8")


@functools.cache
def parsed() -> dict[str, Any]:
    """Return the schema as a mapping. Callers must not change it."""
    found: dict[str, Any] = json.loads(schema())
    return found


def unknown_names(
    given: Iterable[str],
    known: Collection[str],
    what: str,
    *,
    outputs: Collection[str] = (),
    prefix: str = "",
) -> dict[str, str]:
    """
    Return the error for each name that has no effect. Without a type checker, only the plugin can detect such a name.
    """
    return {
        name: _unknown(name, known, what, prefix)
        if name not in outputs
        else f"{name} is an output: it cannot be set"
        for name in given
        if name not in known
    }


def _unknown(name: str, known: Collection[str], what: str, prefix: str) -> str:
    near = nearest(name, known)
    all_ = ", ".join(prefix + it for it in sorted(known))
    hint = f"did you mean {prefix}{near}?" if near else f"the {what}s are {all_ or 'none'}"
    return f"unknown {what} {prefix}{name}; {hint}"


def hint(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the remedy for an unknown name."""
    near = nearest(name, known)
    return f"did you mean {prefix}{near}?" if near else "check the name, or install a newer plugin"


_VALUE: Final = r"""True|False|"[^"]*"|'[^']*'|\[\.\.\.\]|[\d.]*\d"""
_RESOURCE: Final = re.compile(rf"""stacks\.(\w+)\(("[^"]*"), \.\.\., (\w+=(?:{_VALUE}))\)""")
_OPTIONS: Final = re.compile(r"(?:opts=)?pulumi\.ResourceOptions\(([^()]*)\)")
_TIMEOUTS: Final = re.compile(r"custom_timeouts=pulumi\.CustomTimeouts\(([^()]*)\)")
_OF_PULUMI: Final = frozenset(
    {"aliases", "custom_timeouts", "delete_before_replace", "protect", "retain_on_delete"}
)
_OF_TIMEOUTS: Final = frozenset({"create", "update", "delete"})


def in_camel_case(message: str) -> str:
    """
    Return the message with inputs, options and functions in the spelling of other languages: `replaceOnChange: true`.
    """
    message = _RESOURCE.sub(r"\3 on the \1 \2", message)
    message = _OPTIONS.sub(r"the option \1", message)
    message = _TIMEOUTS.sub(r"custom_timeouts: {\1}", message)
    message = _assignments().sub(_assigned, message)
    return _names().sub(lambda found: camel_case(found[0]), message)


def _assigned(match: re.Match[str]) -> str:
    name, value = match.groups()
    return f"{name}: {value.lower() if value in {'True', 'False'} else value}"


@functools.cache
def _known() -> frozenset[str]:
    package = parsed()
    described = [package["provider"], *package["resources"].values()]
    properties = {name for it in described for name in (*it.get("properties", ()), *it["inputProperties"])}
    functions = (token.removeprefix(NATIVE) for token in package["functions"])
    return frozenset({*map(snake_case, (*properties, *functions)), *_OF_PULUMI, *_OF_TIMEOUTS})


@functools.cache
def _assignments() -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(sorted(_known()))})=({_VALUE})")


@functools.cache
def _names() -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(sorted(name for name in _known() if '_' in name))})\b")


_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
"""
The signature that marks an output in the protocol. An output contains its value if known, whether the value is secret,
and the dependencies.
"""


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return the properties, without null values and without the engine's own properties."""
    values = {
        snake_case(name): from_value(value) for name, value in struct.fields.items() if name[:2] != "__"
    }
    return {name: value for name, value in values.items() if value is not None}


def marked_as(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the values. A value is marked as a secret if the given property with the same name is a secret. The engine
    does this itself only for a provider that does not use secret markers.
    """
    return {
        name: secret(plain(value))
        if name in given and value is not None and given[name] != plain(given[name])
        else value
        for name, value in values.items()
    }


def secret_texts(given: Mapping[str, Any]) -> frozenset[str]:
    """Of the values that the engine has marked as secrets, return those that are strings."""
    found = (plain(value) for value in given.values() if isinstance(value, Mapping) and SIGNATURE in value)
    return frozenset(text for text in found if isinstance(text, str) and text and not is_unknown(text))


def to_struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return the properties as a Struct, without those that are `None`."""
    struct = struct_pb2.Struct()
    struct.update({camel_case(name): value for name, value in values.items() if value is not None})
    return struct


def from_value(value: struct_pb2.Value) -> Any:
    """
    Return a value of the protocol as plain data. Secrets keep their markers, and an output is replaced by its value.
    """
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "list_value":
        return [from_value(item) for item in value.list_value.values]
    if kind != "struct_value":
        return getattr(value, kind)
    fields = value.struct_value.fields
    if SIGNATURE in fields and fields[SIGNATURE].string_value == _OUTPUT:
        return from_value(fields["value"]) if "value" in fields else UNKNOWN
    return {name: from_value(item) for name, item in fields.items()}
