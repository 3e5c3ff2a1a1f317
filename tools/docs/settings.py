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
    "adopt": "If an object exists already: `never` or `if_matching`. A resource's own `adopt` takes precedence.",
    "requestsPerMinute": "The budget to keep to until the API's headers say otherwise.",
    "deleteChildrenWithContainer": "Leave child resources to the deletion of their container, at a risk: see below.",
    "namePattern": "Shapes the default names of containers, for instance `${name}-${stack}`; see below.",
    "requireSecretKey": "Refuse a key in the configuration that is not a secret; by default it is a warning.",
    "platform": "A file with facts about the platform that its guide does not have; see below.",
    "hideLogs": "Leave the last log lines of a failed start out of its error: they may hold a password.",
    "maxConcurrency": "How many operations one provider process runs in parallel.",
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
    return table(("Key", "Environment", "Default", "What it is"), rows)
