"""
The files of a stack in the file backend, read and written without starting the engine.

Each method has the effect of an engine command; `tests/engine/test_stack_files.py` compares them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["Saved", "StackFiles"]

Saved = Mapping[Path, bytes]
"""The files of a new stack, by their paths in the project's folder."""

_SECRET: Final = ("4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270")
"""The name and the value that mark a secret in a state."""
_SELECTED: Final = re.compile(r'"organization/[^/"]+/([^/"]+)"')


class StackFiles:
    """
    The files of a project.

    Args:
        folder: The project's folder, with the state in `state` and the engine's own files in `home`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def project(self) -> str:
        """Return the project's name."""
        name: str = yaml.safe_load((self._folder / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
        return name

    # --- stack init ---

    def save(self) -> Saved:
        """Return the files of a new stack."""
        found = [self._folder / "Pulumi.dev.yaml", self._selection, *(self._folder / "state").rglob("*")]
        return {file.relative_to(self._folder): file.read_bytes() for file in found if file.is_file()}

    def restore(self, saved: Saved) -> None:
        """Create the stack from saved files in this folder, and select it."""
        state = f"file://{self._folder / 'state'}?metadata=skip".encode()
        for name, content in saved.items():
            # The name of the selection file depends on the folder; the file contains the address of the state.
            file = self._selection if name.parent.name == "workspaces" else self._folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(re.sub(rb'file://[^"]+', state, content))

    @property
    def _selection(self) -> Path:
        """Return the file that contains the name of the selected stack of this project."""
        # Not for security: the engine names the file by this hash.
        path = hashlib.sha1(str(self._folder.resolve() / "Pulumi.yaml").encode(), usedforsecurity=False)
        return self._folder / "home" / "workspaces" / f"{self.project}-{path.hexdigest()}-workspace.json"

    @property
    def _selected(self) -> str:
        (stack,) = _SELECTED.findall(self._selection.read_text(encoding="utf-8"))
        return str(stack)

    # --- config set ---

    def configure(self, values: Mapping[str, str]) -> None:
        """Set plain values in the configuration of the selected stack."""
        file = self._folder / f"Pulumi.{self._selected}.yaml"
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        named = {key if ":" in key else f"{self.project}:{key}": value for key, value in values.items()}
        settings["config"] = {**settings.get("config", {}), **named}
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")

    # --- stack export, stack output ---

    def export(self) -> str:
        """Return the state of the selected stack, as text; secrets are encrypted."""
        state = self._folder / "state" / ".pulumi" / "stacks" / self.project / f"{self._selected}.json"
        stored = json.loads(state.read_text(encoding="utf-8"))
        return json.dumps({"version": stored["version"], "deployment": stored["checkpoint"]["latest"]})

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the selected stack; secrets are `[secret]`."""
        resources = json.loads(self.export())["deployment"].get("resources") or []
        (outputs,) = [
            item.get("outputs", {}) for item in resources if item["type"] == "pulumi:pulumi:Stack"
        ] or [{}]
        return {name: _masked(value) for name, value in outputs.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _SECRET in value.items():
        return "[secret]"
    return {name: _masked(item) for name, item in value.items()}
