"""The provider's own inputs: the account's key and the connection to the API."""

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
"""The provider's inputs. A stack's other settings are used only by Python programs."""

ENGINES_OWN: Final = frozenset({"version", "pluginDownloadURL", "pluginChecksums", "__internal"})
"""The names that the engine itself adds to a provider's inputs."""


def as_text(value: Any) -> str:
    """Return a setting as text, which `config` parses."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def what_is_wrong(name: str, value: Any, given: Mapping[str, Any]) -> str | None:
    """Return the problem with a setting, or `None`."""
    if name in ENGINES_OWN or is_unknown(value):
        return None
    # The default provider gets every `stacks:` key of the stack's configuration, also those for other hosts.
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
