"""Bodies for the request journal, without secrets."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["MASK", "masked"]

MASK = "****"

_SECRET = frozenset({"containers.credentials", "containers.certificate", "vpn_clients.config"})
"""Operations whose responses contain a secret in a form that the guide does not specify."""

_PLAIN = frozenset(
    {"client", "containerName", "error", "field", "filename", "host", "internalHost", "type", "username"}
)
"""Fields of those responses that are shown."""

_LONGEST = 16_384


def masked(operation: str | None, payload: bytes) -> str:
    """
    Return a body as text, with every secret in it replaced.

    In a response with a secret, every text is replaced except the fields that are known to be harmless. So it is hidden
    in every shape and with every fault. Long bodies are cut.
    """
    if operation in _SECRET and payload:
        try:
            return json.dumps(_mask(json.loads(payload), None))
        except ValueError:
            return MASK
    text = payload[:_LONGEST].decode(errors="replace")
    return text if len(payload) <= _LONGEST else f"{text}... ({len(payload)} bytes)"


def _mask(value: Any, key: str | None) -> Any:
    if isinstance(value, dict):
        return {name: _mask(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mask(inner, key) for inner in value]
    return MASK if isinstance(value, str) and key not in _PLAIN else value
