"""
The state of a stack of any version, in a form that can be stored and loaded.

Values that differ between runs (URL, account, ids, times) and secrets are replaced by placeholders.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from typing import Any

import yaml

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

__all__ = ["play", "recorded"]

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
_PROVIDER = re.compile(r"(pulumi:providers:[^\"]*::)[0-9a-f-]{36}")
_A_MOMENT = "2026-01-02T03:04:05.678Z"
_AN_ID = "00000000-0000-4000-8000-000000000000"
_PASSING = {"created", "modified", "sourcePosition", "stackTrace"}


def recorded(stack: Stack, api: Emulator) -> dict[str, Any]:
    """Return the current state for storage."""
    text = stack.cli("stack", "export", "--show-secrets")
    for found, placeholder in _placeholders(api).items():
        text = text.replace(found, placeholder)
    text = _PROVIDER.sub(rf"\g<1>{_AN_ID}", _MOMENT.sub(_A_MOMENT, text))
    state = json.loads(text)
    resources = [_without_what_passes(resource) for resource in state["deployment"]["resources"]]
    resources.sort(key=lambda resource: "providers" not in resource["type"])
    return {
        "version": state["version"],
        "deployment": {
            "manifest": state["deployment"]["manifest"] | {"time": _A_MOMENT},
            "resources": resources,
        },
    }


def play(state: dict[str, Any], stack: Stack, api: Emulator) -> None:
    """Return a recorded state with the values of a stack on this emulator."""
    text = json.dumps(state)
    for value, placeholder in _placeholders(api).items():
        text = text.replace(placeholder, value)
    state = json.loads(text)
    # The record contains plain text; the stack encrypts it with its key.
    settings = yaml.safe_load((stack.folder / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
    state["deployment"]["secrets_providers"] = {
        "type": "cloud",
        "state": {"url": settings["secretsprovider"], "encryptedkey": settings["encryptedkey"]},
    }
    # The creation time also identifies a container and its child objects.
    moment = datetime.datetime.fromisoformat(_A_MOMENT.replace("Z", "+00:00")).timestamp()
    for container in api.state.containers.values():
        container.created_at = moment
        for entry in container.allowed_ips:
            entry.added_at = moment
        for client in container.vpn_clients:
            client.created_at = moment
    for connection in api.state.connections.values():
        connection.created_at = moment
    for backup in api.state.backups.values():
        backup.created_at = moment
    file = stack.folder / "recorded.json"
    file.write_text(json.dumps(state), encoding="utf-8")
    stack.cli("stack", "import", "--file", str(file))


def _placeholders(api: Emulator) -> dict[str, str]:
    links = [connection.id for connection in api.state.connections.values()]
    return {
        _fingerprint(api): "@FINGERPRINT@",
        api.url: "@URL@",
        api.key: "@KEY@",
        api.account: "@ACCOUNT@",
        **{id_: f"@CONNECTION-{number}@" for number, id_ in enumerate(links)},
    }


def _fingerprint(api: Emulator) -> str:
    """Return the start of the output `origin`."""
    return hashlib.sha256(f"{api.url} {api.key}".encode()).hexdigest()[:16]


def _without_what_passes(value: Any) -> Any:
    """Return a value without the engine's times and paths, and with a placeholder for a private key."""
    if isinstance(value, dict):
        if "plaintext" in value and "@KEY@" not in value["plaintext"]:
            value = value | {"plaintext": _harmless(value["plaintext"])}
        if "providers" in value.get("type", ""):
            value = value | {"id": _AN_ID}
        return {name: _without_what_passes(item) for name, item in value.items() if name not in _PASSING}
    return [_without_what_passes(item) for item in value] if isinstance(value, list) else value


def _harmless(plaintext: str) -> str:
    return json.dumps("a secret") if isinstance(json.loads(plaintext), str) else plaintext
