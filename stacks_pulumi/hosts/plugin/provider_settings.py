"""The provider's own inputs: an account, and how to reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stacks_pulumi import config
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.resources._property_values import is_unknown

__all__ = ["ENGINES_OWN", "SETTINGS", "as_text", "what_is_wrong"]

SETTINGS: Final = (
    "apiKey",
    "baseUrl",
    "allowHttp",
    "adopt",
    "requestsPerMinute",
    "maxConcurrency",
    "namePattern",
)
"""The provider's inputs. The others of a stack's settings are for programs in Python."""

ENGINES_OWN: Final = frozenset({"version", "pluginDownloadURL", "pluginChecksums", "__internal"})
"""What the engine itself puts among a provider's inputs."""


def as_text(value: Any) -> str:
    """A setting as `config` reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def what_is_wrong(name: str, value: Any, given: Mapping[str, Any]) -> str | None:
    """What is wrong with a setting, if anything."""
    if name in ENGINES_OWN or is_unknown(value):
        return None
    # The default provider gets all that the stack's configuration has under `stacks:`, of other hosts and of programs.
    alone = {name: as_text(value)}
    allowed = given.get("allowHttp")
    known = allowed is not None and not is_unknown(allowed)
    if name == "baseUrl" and known and what_is_wrong("allowHttp", allowed, {}) is None:
        alone["allowHttp"] = as_text(allowed)
    settings = {f"{config.NAMESPACE}:{key}": text for key, text in alone.items()}
    try:
        config.refuse_misspelt(settings.get)
        config.load(settings, {})
    except ConfigError as error:
        return str(error)
    return None
