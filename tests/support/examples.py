"""An example as a stack on the real engine, and the secrets in a stack's state."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.stack import Stack

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LONGEST_NAME = 20


class Example(Stack):
    """A stack whose program is a copy of an example's folder."""

    def __init__(self, name: str, folder: Path, engine: Path, config: dict[str, str]) -> None:
        self._example = EXAMPLES / name
        super().__init__(folder, engine, config)

    def program(self, source: str, *, host: str = "dynamic") -> None:
        """Use an example as the program. The example without a project file is the checkout's quickstart."""
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(self._example, self.folder, dirs_exist_ok=True, ignore=ignore)

    def set(self, key: str, value: str, *, secret: bool = False) -> None:
        """Set a value of the configuration."""
        if secret:
            self.cli("config", "set", key, value, "--secret")
        else:
            super().set(key, value)

    def script(self, *command: str) -> str:
        """Run one of the example's scripts with the stack's account; return its standard output."""
        env = {
            **self.env,
            "STACKS_API_KEY": self.cli("config", "get", "stacks:apiKey").strip(),
            "STACKS_BASE_URL": self.cli("config", "get", "stacks:baseUrl").strip(),
        }
        done = subprocess.run(
            [sys.executable, *command], cwd=self.folder, env=env, text=True, capture_output=True, check=True
        )
        return done.stdout


def secrets_of(stack: Stack) -> set[str]:
    """Return every secret in a stack's state. They are split at line ends, as in a log."""
    found: set[str] = set()

    def walk(value: Any, *, secret: bool = False) -> None:
        if isinstance(value, dict):
            if "plaintext" in value:
                walk(json.loads(value["plaintext"]), secret=True)
            for name, item in value.items():
                # The variables together are one secret; single parts (host names, ports, masked passwords) are not
                # secret.
                walk(item, secret=secret and not name.endswith(("_HOST", "_PORT", "_USER", "_DB")))
        elif isinstance(value, list):
            for item in value:
                walk(item, secret=secret)
        elif secret and isinstance(value, str) and "****" not in value:
            found.update(_pieces(value))

    walk(json.loads(stack.cli("stack", "export", "--show-secrets")))
    return found


def _pieces(text: str) -> set[str]:
    lines = text.splitlines()
    if len(lines) == 1:
        return {text} if len(text) > LONGEST_NAME else set()
    keys = {line.partition(" = ")[2] for line in lines if line.startswith("PrivateKey")}
    return keys or {line for line in lines if not line.startswith("-----")}
