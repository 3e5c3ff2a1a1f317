"""
Recognises STACKS resources and their kinds.

The type alone is not enough: a program can give a STACKS resource any type, and a policy cannot see which dynamic
provider creates it. So the provider's `check` writes the kind into the inputs. If that marker is missing (states of
0.1 and 0.2), the type decides, or the pickled provider if it can be read.
"""

from __future__ import annotations

import base64
import binascii
import pickletools
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from stacks_pulumi.hosts import spelling
from stacks_pulumi.pricing import tokens
from stacks_pulumi.pricing.values import UNKNOWN, is_unknown

__all__ = ["UNRECOGNISED", "kind_of", "snake_case"]

UNRECOGNISED: Final = "unrecognised"
"""The kind of a resource whose type or marker is of STACKS, but whose kind this version does not know."""

_PROVIDER: Final = "__provider"
_REFERENCE: Final = ("stacks_pulumi", "provider_for")


def kind_of(type_: str, properties: Mapping[str, Any]) -> str | None:
    """
    Return a resource's kind: one of `tokens.KINDS`, `UNRECOGNISED`, or `None` if it is not a STACKS resource.

    Args:
        type_: Its type token.
        properties: Its inputs or outputs, in camelCase or snake_case; `__provider` is read if it exists.
    """
    named = _by_type(type_)
    marker = snake_case(properties).get(tokens.MARKER)
    if marker is None or marker is UNKNOWN or is_unknown(marker):
        if named in tokens.KINDS:
            return named
        unmarked = None if marker is None else UNRECOGNISED
        return _by_provider(properties.get(_PROVIDER)) or named or unmarked
    # The marker and the type contradict each other, so neither can be trusted.
    return marker if marker in tokens.KINDS and named in (None, UNRECOGNISED, marker) else UNRECOGNISED


def snake_case(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the properties in snake_case. A property that has different values in both spellings is `UNKNOWN`."""
    names = {name: spelling.snake_case(name) for name in properties}
    result = {name: value for name, value in properties.items() if names[name] == name}
    if len(result) == len(properties):
        return properties
    for name, value in properties.items():
        if names[name] != name:
            result[names[name]] = value if result.get(names[name], value) == value else UNKNOWN
    return result


def _by_type(type_: str) -> str | None:
    for prefix in (tokens.DYNAMIC, tokens.NATIVE, tokens.PACKAGE):
        if type_.startswith(prefix):
            name = type_.removeprefix(prefix)
            return name if name in tokens.KINDS else UNRECOGNISED
    return None


@lru_cache(maxsize=256)
def _by_pickle(text: str) -> str | None:
    try:
        codes = pickletools.genops(base64.b64decode(text, validate=True))
        # The pickle is only parsed, never loaded: loading a pickle runs code in it.
        words = [argument for _, argument, _ in codes if isinstance(argument, str)]
    except (ValueError, binascii.Error, UnicodeDecodeError, IndexError):
        return None
    if not all(any(part in word for word in words) for part in _REFERENCE):
        return None
    return next((word for word in words if word in tokens.KINDS), UNRECOGNISED)


def _by_provider(provider: Any) -> str | None:
    return _by_pickle(provider) if isinstance(provider, str) else None
