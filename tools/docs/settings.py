"""The tables of settings: of a stack, and of the native plugin."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from stacks_pulumi._identifiers import snake_case
from stacks_pulumi.config import NAMESPACE, OF_A_STACK, VARIABLES, AccountSettings
from stacks_pulumi.hosts.plugin.settings import SETTINGS
from tools.docs.marks import table

__all__ = ["configuration", "of_the_plugin"]

_SAID: Final = {
    "apiKey": "The API key; set it as a secret. The preview of a new stack works without a key.",
    "baseUrl": "The address of the API. `http://` is accepted only for this machine.",
    "allowHttp": "Also accept `http://` for other machines, for example for an emulator in a trusted network.",
    "adopt": "Adoption of existing objects: `never` or `if_matching`. A resource's own `adopt` takes precedence.",
    "requestsPerMinute": "The rate limit until the first response states a different one.",
    "deleteChildrenWithContainer": "Delete children with their container, at a [risk](#children-and-their-container).",
    "namePattern": "The pattern of the containers' default [names](#names-of-containers), such as `${name}-${stack}`.",
    "requireSecretKey": "Refuse a key that is not set as a secret. By default, such a key causes a warning.",
    "platform": "A [file with facts](platform-file.md) that the platform's API guide lacks.",
    "hideLogs": "Leave the last log lines out of the error of a failed start, because they may contain a password.",
    "maxConcurrency": "The number of operations that one provider process runs in parallel.",
}
_LINK: Final = re.compile(r"\[([^]]+)\]\([^)]+\)")


def configuration() -> str:
    """Return a row for every key of the configuration."""
    return table(("Key", "Environment", "Default", "Meaning"), [_row(key) for key in OF_A_STACK])


def of_the_plugin() -> str:
    """Return a row for every setting of the plugin, without links to pages that the registry does not contain."""
    rows = [[_LINK.sub(r"\1", cell) for cell in _row(key)] for key in SETTINGS]
    return table(("Setting", "Environment", "Default", "Meaning"), rows)


def _row(key: str) -> tuple[str, ...]:
    value = {it.name: it.default for it in dataclasses.fields(AccountSettings)}[snake_case(key)]
    default = "" if value is None else f"`{str(value).lower()}`"
    variable = f"`{VARIABLES[key]}`" if key in VARIABLES else ""
    return f"`{NAMESPACE}:{key}`", variable, default, _SAID[key]
