"""A machine with a project. Its `pulumi` command is a script that prints the output that a test sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tools.fake_executables import executable

_SCRIPT = """#!/bin/sh
cd "{answers}"
env | grep '^STACKS_' >> leaked
case "$*" in
  "config --json --show-secrets"*) if [ -f locked ]; then cat locked >&2; exit 1; fi; cat config ;;
  "config --json"*) cat public ;;
  "stack export"*) cat export ;;
  "stack ls"*) cat stacks ;;
  "stack --show-name"*) echo dev ;;
  preview*) env > environment; echo "$*" > arguments; . ./preview ;;
  *) echo "error: unexpected: $*" >&2; exit 1 ;;
esac
"""


class Machine:
    """
    A project in a folder, with the commands on PATH.

    Args:
        folder: A folder for its files.
        monkeypatch: Sets the environment.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project, self.bin, self._answers = folder / "project", folder / "bin", folder / "answers"
        for made in (self.project, self.bin, self._answers):
            made.mkdir(parents=True)
        self.project_file = self.project / "Pulumi.yaml"
        self.project_file.write_text("name: tests\nruntime: python\n", encoding="utf-8")
        self._monkeypatch = monkeypatch
        self._config: dict[str, tuple[str, bool]] = {}
        executable(self.bin / "pulumi", _SCRIPT.format(answers=self._answers))
        self.preview()
        self.running(is_running=False)
        self.state([])
        self._write_config()
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        # The user has not logged in to a backend.
        monkeypatch.setenv("PULUMI_HOME", str(folder / "home"))
        for name in ("STACKS_API_KEY", "STACKS_BASE_URL", "STACKS_ALLOW_HTTP", "PULUMI_BACKEND_URL"):
            monkeypatch.delenv(name, raising=False)

    def preview(self, *events: Mapping[str, Any], error: str = "", before: str = "") -> None:
        """
        Set the output of a preview. With `error`, the preview fails.

        Args:
            events: The engine's events.
            error: The output on standard error.
            before: Shell commands that it runs first.
        """
        lines = "".join(f"{json.dumps({'sequence': 0, **event})}\n" for event in events)
        self._answers.joinpath("events").write_text(lines, encoding="utf-8")
        self._answers.joinpath("error").write_text(error, encoding="utf-8")
        failed = bool(error) or any("policyEvent" in event or "diagnosticEvent" in event for event in events)
        script = f"{before}\ncat events; cat error >&2; exit {int(failed)}\n"
        self._answers.joinpath("preview").write_text(script, encoding="utf-8")

    def previewed(self) -> str | None:
        """Return the arguments of the last preview; `None` if there was none."""
        file = self._answers / "arguments"
        return file.read_text(encoding="utf-8").strip() if file.exists() else None

    def preview_environment(self) -> dict[str, str]:
        """Return the environment of the last preview."""
        lines = self._answers.joinpath("environment").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def leaked(self) -> str:
        """Return the variables `STACKS_*` that any `pulumi` command has received, one per line."""
        return self._answers.joinpath("leaked").read_text(encoding="utf-8")

    def set(self, key: str, value: str | None, *, secret: bool = False) -> None:
        """Set a setting of the stack, or remove it with `None`."""
        if value is None:
            self._config.pop(key, None)
        else:
            self._config[key] = (value, secret)
        self._write_config()

    def variable(self, name: str, value: str) -> None:
        """Set an environment variable."""
        self._monkeypatch.setenv(name, value)

    def lock(self, error: str) -> None:
        """Make the stack's secrets unreadable."""
        self._answers.joinpath("locked").write_text(f"error: {error}\n", encoding="utf-8")

    def deepen(self, deep: str) -> None:
        """Add a setting with this JSON to the stack."""
        text = f'{{"tests:deep": {{"objectValue": {deep}}}}}'
        for name in ("config", "public"):
            self._answers.joinpath(name).write_text(text, encoding="utf-8")

    def break_config(self) -> None:
        """Make the stack's configuration unreadable."""
        self.lock("no stack selected; please use `pulumi stack select`")
        self._answers.joinpath("public").unlink()

    def state(
        self, resources: Sequence[Mapping[str, Any]], creating: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Set the resources in the stack's state, and the pending creates."""
        pending = [{"type": "creating", "resource": one} for one in creating]
        deployment = {"resources": list(resources), "pending_operations": pending}
        text = json.dumps({"version": 3, "deployment": deployment})
        self._answers.joinpath("export").write_text(text, encoding="utf-8")

    def running(self, *, is_running: bool) -> None:
        """Set whether the backend lists an update of the stack as running."""
        row = {"name": "dev", "current": True, "updateInProgress": is_running}
        self._answers.joinpath("stacks").write_text(json.dumps([row]), encoding="utf-8")

    def _write_config(self) -> None:
        whole = {key: {"value": value, "secret": secret} for key, (value, secret) in self._config.items()}
        public = {
            key: {"secret": True} if secret else {"value": value, "secret": False}
            for key, (value, secret) in self._config.items()
        }
        self._answers.joinpath("config").write_text(json.dumps(whole), encoding="utf-8")
        self._answers.joinpath("public").write_text(json.dumps(public), encoding="utf-8")


def resource(kind: str, id_: str, *, provider: str = "default", **outputs: Any) -> dict[str, Any]:
    """Return a resource in the form of a stack's state."""
    type_ = f"pulumi-python:dynamic/stacks:{kind}"
    return {
        "urn": f"urn:pulumi:dev::tests::{type_}::{id_}",
        "type": type_,
        "id": id_,
        "inputs": {name: value for name, value in outputs.items() if name == "external_access"},
        "outputs": outputs,
        "provider": f"urn:pulumi:dev::tests::pulumi:providers:pulumi-python::{provider}::0123",
    }
