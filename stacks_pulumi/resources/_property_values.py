"""
Secrets and unknown values in the form of Pulumi's protocol.

The signatures are part of the resource protocol, and the same for every host and SDK.
"""

from __future__ import annotations

from typing import Any, Final

from stacks_pulumi.pricing.values import SIGNATURE

__all__ = ["UNKNOWN", "is_unknown", "plain", "secret"]

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The placeholder for a value that is not known yet."""

_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (the protocol's signature)


def secret(value: Any) -> Any:
    """
    Mark a value in the outputs as a secret: the engine stores it encrypted and shows `[secret]`. Works at any depth.

    `Output.secret` cannot be used here: a provider returns plain values only.
    """
    return {SIGNATURE: _SECRET, "value": value}


def plain(value: Any) -> Any:
    """Return the value without the marks of secrets, at any depth."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET:
            return plain(value.get("value"))
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def is_unknown(value: Any) -> bool:
    """Return whether a value, or a part of it, is not known at preview."""
    if value == UNKNOWN:
        return True
    if isinstance(value, dict):
        return any(is_unknown(item) for item in value.values())
    return isinstance(value, list) and any(is_unknown(item) for item in value)
