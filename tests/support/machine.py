"""A machine with a project, whose `pulumi` command is a script with the output that the test sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tools.fake_executables import executable

_SCRIPT = """#!/bin/sh
cd "{answers}"
case "$*" in
  version*) cat version ;;
  "config --json --show-secrets"*) if [ -f locked ]; then cat locked >&2; exit 1; fi; cat config ;;
  "config --json"*) cat public ;;
  "stack export"*) cat export ;;
  *) echo "error: unexpected: $*" >&2; exit 1 ;;
esac
"""


class Machine:
    """
    A project in a folder, and the commands on PATH.

    Args:
        folder: A folder for its files.
        monkeypatch: Sets the environment.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project, self.bin, self._answers = folder / "project", folder / "bin", folder / "answers"
        self.home = folder / "home"
        for made in (self.project, self.bin, self._answers, self.home):
            made.mkdir(parents=True)
        self.project_file = self.project / "Pulumi.yaml"
        self.project_file.write_text("name: tests\nruntime: python\n", encoding="utf-8")
        self._monkeypatch = monkeypatch
        self._config: dict[str, tuple[str, bool]] = {}
        for name in ("pulumi-language-python", "pulumi-resource-pulumi-python"):
            executable(self.bin / name)
        executable(self.bin / "pulumi", _SCRIPT.format(answers=self._answers))
        self.engine("3.259.0")
        self.state([])
        self._write_config()
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        monkeypatch.setenv("PULUMI_HOME", str(self.home))
        for name in ("STACKS_API_KEY", "STACKS_BASE_URL", "STACKS_ALLOW_HTTP"):
            monkeypatch.delenv(name, raising=False)

    def engine(self, version: str) -> None:
        """Install this version of the engine."""
        self._answers.joinpath("version").write_text(f"v{version}\n", encoding="utf-8")

    def set(self, key: str, value: str | None, *, secret: bool = False) -> None:
        """Set a setting of the stack, or remove it with `None`."""
        if value is None:
            self._config.pop(key, None)
        else:
            self._config[key] = (value, secret)
        self._write_config()

    def variable(self, name: str, value: str) -> None:
        """Set a variable of the environment."""
        self._monkeypatch.setenv(name, value)

    def lock(self, error: str) -> None:
        """Make the stack's secrets unreadable."""
        self._answers.joinpath("locked").write_text(f"error: {error}\n", encoding="utf-8")

    def break_config(self) -> None:
        """Make the stack's configuration unreadable."""
        self.lock("no stack selected; please use `pulumi stack select`")
        self._answers.joinpath("public").unlink()

    def state(self, resources: Sequence[Mapping[str, Any]]) -> None:
        """Set the resources in the stack's state."""
        text = json.dumps({"version": 3, "deployment": {"resources": list(resources)}})
        self._answers.joinpath("export").write_text(text, encoding="utf-8")

    def pack(self, name: str, source: str) -> Path:
        """Add a policy pack to the project's folder."""
        folder = self.project / "policies" / name
        folder.mkdir(parents=True)
        (folder / "PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")
        (folder / "__main__.py").write_text(source, encoding="utf-8")
        return folder

    def _write_config(self) -> None:
        whole = {key: {"value": value, "secret": secret} for key, (value, secret) in self._config.items()}
        public = {
            key: {"secret": True} if secret else {"value": value, "secret": False}
            for key, (value, secret) in self._config.items()
        }
        self._answers.joinpath("config").write_text(json.dumps(whole), encoding="utf-8")
        self._answers.joinpath("public").write_text(json.dumps(public), encoding="utf-8")


def resource(kind: str, id_: str, *, provider: str = "default", **outputs: Any) -> dict[str, Any]:
    """Return a resource as a stack's state has it."""
    type_ = f"pulumi-python:dynamic/stacks:{kind}"
    return {
        "urn": f"urn:pulumi:dev::tests::{type_}::{id_}",
        "type": type_,
        "id": id_,
        "inputs": {name: value for name, value in outputs.items() if name == "external_access"},
        "outputs": outputs,
        "provider": f"urn:pulumi:dev::tests::pulumi:providers:pulumi-python::{provider}::0123",
    }
