"""
Property values as Pulumi's protocol writes them: secrets and values that are not known yet.

The marks are part of the resource protocol, and the same for every host and SDK.
"""

from __future__ import annotations

from typing import Any, Final

from stacks_pulumi.pricing.values import SIGNATURE

__all__ = ["UNKNOWN", "is_unknown", "plain", "secret"]

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands for a value that is known later."""

_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (the protocol's mark)


def secret(value: Any) -> Any:
    """
    A value for outputs that the engine stores encrypted and shows as `[secret]`, at any depth.

    `Output.secret` cannot be used there: a provider returns plain values only.
    """
    return {SIGNATURE: _SECRET, "value": value}


def plain(value: Any) -> Any:
    """The value without the marks of secrets, at any depth."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET:
            return plain(value.get("value"))
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def is_unknown(value: Any) -> bool:
    """Whether a value, or anything in it, is not known yet at preview."""
    if value == UNKNOWN:
        return True
    if isinstance(value, dict):
        return any(is_unknown(item) for item in value.values())
    return isinstance(value, list) and any(is_unknown(item) for item in value)
