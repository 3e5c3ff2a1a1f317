"""The `pulumi` command: what it says about a project's stack. Nothing here changes anything."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["Pulumi", "PulumiError", "StackConfiguration", "find_project"]

_SECONDS: Final = 60.0
_PROJECT_FILES: Final = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_VERSION: Final = re.compile(r"^v?(\d+\.\d+\.\d+\S*)", re.MULTILINE)


class PulumiError(Exception):
    """The command failed; `str` is its own error, in one line."""


@dataclass(frozen=True)
class StackConfiguration:
    """
    A stack's configuration, as the engine hands it to a provider.

    Attributes:
        values: Every key with its namespace; `None` for a secret that could not be decrypted.
        secrets: The keys that are stored encrypted.
        error: Why the secrets could not be decrypted; empty if they were.
    """

    values: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = frozenset()
    error: str = ""


@dataclass(frozen=True)
class Pulumi:
    """
    The command, run in one folder for one stack.

    Args:
        folder: Where it is run: the project's folder, or one below it.
        stack: Which stack; the selected one unless given.
    """

    folder: Path
    stack: str | None = None

    def path(self) -> str | None:
        """Return the file that is run, or `None` if it is not on PATH."""
        return shutil.which("pulumi")

    def version(self) -> str:
        """
        Return its version, for instance `3.259.0`.

        Raises:
            PulumiError: It does not run, or does not say.
        """
        said = self._run("version", stack=False)
        found = _VERSION.search(said)
        if found is None:
            raise PulumiError(f"`pulumi version` prints no version: {_one_line(said)!r}")
        return found[1]

    def configuration(self) -> StackConfiguration:
        """
        Return the stack's configuration, with its secrets if they can be decrypted.

        Raises:
            PulumiError: It cannot be read.
        """
        try:
            return _configuration(self._run("config", "--json", "--show-secrets"))
        except PulumiError as error:
            try:
                # What is not secret can be read without the passphrase.
                found = _configuration(self._run("config", "--json"))
            except PulumiError:
                raise error from None
            return StackConfiguration(found.values, found.secrets, str(error))

    def resources(self) -> list[dict[str, Any]]:
        """
        Return the resources in the stack's state.

        Raises:
            PulumiError: It cannot be read.
        """
        deployment = _document(self._run("stack", "export")).get("deployment")
        listed = deployment.get("resources") if isinstance(deployment, dict) else None
        return [one for one in listed or () if isinstance(one, dict)]

    def _run(self, *arguments: str, stack: bool = True) -> str:
        command = ["pulumi", *arguments, "--non-interactive"]
        if stack and self.stack is not None:
            command += ["--stack", self.stack]
        try:
            done = subprocess.run(  # noqa: S603  (the user's own command)
                command,
                cwd=self.folder,
                env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1", "NO_COLOR": "1"},
                text=True,
                encoding="utf-8",
                errors="replace",
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise PulumiError("the command `pulumi` is not on PATH") from None
        except OSError as error:
            raise PulumiError(f"the command `pulumi` does not start: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise PulumiError(f"`pulumi {arguments[0]}` did not end within {_SECONDS:.0f} s") from None
        if done.returncode != 0:
            raise PulumiError(_one_line(done.stderr or done.stdout).removeprefix("error: "))
        return done.stdout


def find_project(folder: Path) -> Path | None:
    """Return the project file in a folder or the nearest one above it, as the engine finds it."""
    here = folder.resolve()
    for place in (here, *here.parents):
        for name in _PROJECT_FILES:
            if (place / name).is_file():
                return place / name
    return None


def _configuration(text: str) -> StackConfiguration:
    values: dict[str, str | None] = {}
    secrets = set()
    for key, entry in _document(text).items():
        if isinstance(entry, dict):
            value = entry.get("value")
            values[key] = value if isinstance(value, str) else None
            if entry.get("secret"):
                secrets.add(key)
    return StackConfiguration(values, frozenset(secrets))


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise PulumiError(f"`pulumi` printed no JSON object: {_one_line(text)[:120]!r}")
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "it failed without a message"
