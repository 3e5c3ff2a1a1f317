"""Read-only access to stacks through the `pulumi` command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._pulumi_output import InputError, StoredResource, read_stack
from stacks_pulumi.errors import ErrorCode, StacksError

__all__ = ["Pulumi", "PulumiError", "StackConfiguration", "find_project", "read_project", "run"]

_SECONDS: Final = 120.0
"""The timeout of a command: a backend with a large state on a slow network takes a minute."""

_PROJECT_FILES: Final = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_VERSION: Final = re.compile(r"^v?(\d+\.\d+\.\d+\S*)", re.MULTILINE)


@dataclass(eq=False, repr=False, kw_only=True)
class PulumiError(StacksError):
    """The command failed; the message is the command's own error, in one line."""

    code: ErrorCode = "pulumi-failed"


def run(arguments: Sequence[str], *, folder: Path | None = None, seconds: float = _SECONDS) -> bytes:
    """
    Run `pulumi` and return its standard output.

    Args:
        arguments: The words after `pulumi`.
        folder: The working directory; by default that of this process.
        seconds: The timeout.

    Raises:
        PulumiError: The command is not installed, fails, or times out.
    """
    try:
        done = subprocess.run(  # noqa: S603  (the user's own command, without a shell)
            ["pulumi", *arguments, "--non-interactive"],  # noqa: S607  (found on PATH, as the user finds it)
            cwd=folder,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1", "NO_COLOR": "1"},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise PulumiError(
            "the command `pulumi` is not on PATH: install Pulumi, or add its folder to PATH"
        ) from None
    except OSError as error:
        raise PulumiError(
            f"the command `pulumi` does not start ({error.strerror}): install Pulumi again"
        ) from None
    except subprocess.TimeoutExpired:
        msg = f"`pulumi {arguments[0]}` did not end within {seconds:.0f} s: run it by hand to see what it waits for"
        raise PulumiError(msg) from None
    if done.returncode != 0:
        raise PulumiError(_reason(_text(done.stderr) or _text(done.stdout)))
    return done.stdout


@dataclass(frozen=True)
class StackConfiguration:
    """
    A stack's configuration, as the engine passes it to a provider.

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
    The `pulumi` command for one stack.

    Args:
        folder: The working directory: the project's folder, or one below it.
        stack: The stack's name; by default the selected stack.
    """

    folder: Path
    stack: str | None = None

    def path(self) -> str | None:
        """Return the path of the executable, or `None` if it is not on PATH."""
        return shutil.which("pulumi")

    def version(self) -> str:
        """
        Return the command's version, for instance `3.259.0`.

        Raises:
            PulumiError: The command fails, or prints no version.
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
                # The other values can be read without the passphrase.
                found = _configuration(self._run("config", "--json"))
            except PulumiError:
                raise error from None
            return StackConfiguration(found.values, found.secrets, error.message)

    def resources(self) -> list[StoredResource]:
        """
        Return the resources in the stack's state.

        Raises:
            PulumiError: It cannot be read.
        """
        try:
            return read_stack(self._run("stack", "export").encode()).resources
        except InputError as error:
            raise PulumiError(error.message) from None

    def _run(self, *arguments: str, stack: bool = True) -> str:
        chosen = ["--stack", self.stack] if stack and self.stack is not None else []
        return _text(run([*arguments, *chosen], folder=self.folder))


def find_project(folder: Path) -> Path | None:
    """Return the project file in this folder or in the nearest parent that has one, as the engine finds it."""
    here = folder.resolve()
    for place in (here, *here.parents):
        for name in _PROJECT_FILES:
            if (place / name).is_file():
                return place / name
    return None


def read_project(file: Path) -> dict[str, Any]:
    """Return the content of a project file; empty if it cannot be read."""
    import yaml  # noqa: PLC0415  (installed with the Pulumi SDK; not needed when this module is only imported)

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


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


def _text(output: bytes) -> str:
    return output.decode(errors="replace")


def _reason(said: str) -> str:
    """Return the error from the command's output, in one line and without the warnings before it."""
    return _one_line(said[said.find("error: ") :] if "error: " in said else said).removeprefix("error: ")


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "it failed without a message"
