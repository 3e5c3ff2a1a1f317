"""The table of settings."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from stacks_pulumi.config import KEYS, NAMESPACE, AccountSettings
from tools.docs.marks import table

__all__ = ["configuration"]

_ENVIRONMENT: Final = {
    "apiKey": "`STACKS_API_KEY`",
    "baseUrl": "`STACKS_BASE_URL`",
    "allowHttp": "`STACKS_ALLOW_HTTP`",
    "platform": "`STACKS_PLATFORM`",
}
_SAID: Final = {
    "apiKey": "The API key; set it as a secret. The preview of a new stack works without one.",
    "baseUrl": "Where the API is. `http://` is accepted only for this machine.",
    "allowHttp": "Accept `http://` to other machines too: for an emulator in a trusted network.",
    "adopt": "For an object that exists: `never` or `if_matching`. A resource's own `adopt` takes precedence.",
    "requestsPerMinute": "Rate limit until the first response header sets it.",
    "deleteChildrenWithContainer": "Delete children with their container, at a [risk](#children-and-their-container).",
    "namePattern": "Shapes the default [names](#names-of-containers) of containers, for example `${name}-${stack}`.",
    "requireSecretKey": "Refuse a key that is not a secret. The default is a warning.",
    "platform": "A [file with facts](platform-file.md) about the platform that its guide does not have.",
    "hideLogs": "Leave the last log lines of a failed start out of its error: they may contain a password.",
    "maxConcurrency": "Operations that one provider process runs in parallel.",
}
_SET_ELSEWHERE: Final = {"account"}
"""Settings that only an explicit provider has."""


def configuration() -> str:
    """Return a row for every key of the configuration."""
    defaults = {it.name: it.default for it in dataclasses.fields(AccountSettings)}
    rows = []
    for key in KEYS:
        if key not in _SET_ELSEWHERE:
            name = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key)
            default = "" if defaults[name] is None else f"`{str(defaults[name]).lower()}`"
            rows.append((f"`{NAMESPACE}:{key}`", _ENVIRONMENT.get(key, ""), default, _SAID[key]))
    return table(("Key", "Environment", "Default", "Meaning"), rows)
