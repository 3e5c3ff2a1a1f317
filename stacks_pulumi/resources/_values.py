"""The markers for unknown and secret values in the engine's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stacks_pulumi.pricing.recognition import SIGNATURE

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The placeholder for a value that is not known yet."""

_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (the protocol's signature)


def secret(value: Any) -> Any:
    """
    Mark a value in the outputs as a secret: the engine stores it encrypted and shows `[secret]`. Works at any depth.

    `Output.secret` cannot be used here: a provider returns plain values only.
    """
    return {SIGNATURE: _SECRET, "value": value}


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are set, because a state contains no output that is `None`."""
    return {name: value for name, value in values.items() if value is not None}


_NESTED: Final = (dict, list)


def plain(value: Any) -> Any:
    """Return the value without its secret markers, at any depth."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET:
            return plain(value.get("value"))
        return {key: plain(item) if isinstance(item, _NESTED) else item for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
