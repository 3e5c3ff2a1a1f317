"""An account on the emulator, and exports of stacks that manage parts of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stacks_pulumi.api import StacksClient
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.emulator import Emulator

__all__ = ["DYNAMIC", "Accounts", "urn"]

DYNAMIC = "pulumi-python:dynamic/stacks:"


class Accounts:
    """Exports for an account on the emulator."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.folder = folder
        self.fingerprint = AccountSettings(emulator.key, emulator.url).fingerprint

    def id(self, name: str) -> str:
        """Return the id of the container with this name, even if it does not exist."""
        return f"{self.emulator.account}-{name}"

    def created_at(self, name: str) -> str:
        """Return the creation time of a container, as the API formats it."""
        with StacksClient(self.emulator.key, base_url=self.emulator.url) as client:
            return str(client.containers.status(self.id(name)).created_at)

    def container(
        self, name: str, stack: str = "dev", project: str = "shop", **changes: Any
    ) -> dict[str, Any]:
        """Return a Container in a state. `changes` replaces its fields, and `created_at` its creation time."""
        created_at = changes.pop("created_at", None) or self.created_at(name)
        return {
            "urn": urn(stack, project, "Container", name),
            "custom": True,
            "id": self.id(name),
            "type": f"{DYNAMIC}Container",
            "inputs": {"name": name, "template": "nodejs", "plan": "basic", "stacks_kind": "Container"},
            "outputs": {"created_at": created_at, "origin": f"{self.fingerprint}-abcd"},
            **changes,
        }

    def child(
        self, kind: str, container: str, own: str, stack: str = "dev", **changes: Any
    ) -> dict[str, Any]:
        """Return a child resource in a state."""
        return {
            "urn": urn(stack, "shop", kind, own),
            "custom": True,
            "id": f"{self.id(container)}/{own}",
            "type": f"{DYNAMIC}{kind}",
            "inputs": {"stacks_kind": kind},
            "outputs": {
                "container_created_at": self.created_at(container),
                "origin": f"{self.fingerprint}-abcd",
            },
            **changes,
        }

    def export(
        self, file: str, *resources: Mapping[str, Any], pending: tuple[Any, ...] = (), saved_at: str = ""
    ) -> str:
        """Write an export and return its path."""
        path = self.folder / file
        deployment = {
            "manifest": {"time": saved_at},
            "resources": list(resources),
            "pending_operations": list(pending),
        }
        path.write_text(json.dumps({"version": 3, "deployment": deployment}), encoding="utf-8")
        return str(path)


def urn(stack: str, project: str, kind: str, name: str) -> str:
    return f"urn:pulumi:{stack}::{project}::{DYNAMIC}{kind}::{name}"
