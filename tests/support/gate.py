"""
A gate for a stack of the engine tests, with its folder, its records and the keys of its approvers.

The gate runs in this process; the engine, the program and the packs run as for every stack of the tests.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest import mock

import yaml

from stacks_pulumi.gate import digests, engine, flow, history, record, settings, signatures
from stacks_pulumi.gate.flow import Planned, RefusedError
from stacks_pulumi.gate.history import LoggedUpdate
from tests.support.forked import commands
from tests.support.packs import ROOT
from tests.support.stack import Stack

FULL_NAME = "organization/tests/dev"
"""The stack of the tests; without it, the engine is asked for the selected one."""
PEOPLE = ("ann", "bob", "eve")
"""Who has a key; the gate does not know eve."""


@functools.cache
def keys() -> Path:
    """Return a folder with the keys of all people."""
    folder = Path(tempfile.mkdtemp(prefix="gate-keys-"))
    for name in PEOPLE:
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(words, check=True)
    return folder


def signer(name: str) -> str:
    """Return the line of a person in a file of signers."""
    public = (keys() / f"{name}.pub").read_text(encoding="utf-8").split()
    return f'{name} namespaces="stacks-pulumi-gate" {" ".join(public[:2])}\n'


_OUTPUT: Final = engine._output


def _said(words: Sequence[str], folder: Path, environment: Mapping[str, str], text: bytes = b"") -> bytes:
    """Return what `pulumi` prints; an engine is asked once for its version, and not in each plan and each apply."""
    if tuple(words) == ("version",):
        return _version(shutil.which("pulumi", path=environment["PATH"]))
    return _OUTPUT(words, folder, environment, text)


@functools.cache
def _version(command: str | None) -> bytes:
    assert command is not None
    return subprocess.run([command, "version"], check=True, capture_output=True).stdout


class Gated:
    """
    A stack with a gate.

    Args:
        stack: The stack.
        folder: Where the gate's folder, the records and the gate's lock are.
        more: More settings of the gate.
        packs: The configuration of each pack, by its name.
    """

    def __init__(
        self,
        stack: Stack,
        folder: Path,
        more: Mapping[str, Any] | None = None,
        packs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.stack = stack
        settings_of_stack = yaml.safe_load((stack.folder / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
        self._address = settings_of_stack["config"]["stacks:baseUrl"]
        self.folder = folder / "gate"
        self.record = folder / "record"
        self.folder.mkdir(parents=True)
        (self.folder / "allowed_signers").write_text(signer("ann") + signer("bob"), encoding="utf-8")
        for name, config in (packs or {}).items():
            shutil.copytree(
                ROOT / "policies" / name,
                self.folder / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
            (self.folder / f"{name}.json").write_text(json.dumps(config), encoding="utf-8")
        self.configure(
            {
                **({"packs": [{"path": name, "config": f"{name}.json"} for name in packs]} if packs else {}),
                **(more or {}),
            }
        )
        stack.env["XDG_STATE_HOME"] = str(folder / "machine")

    def configure(self, more: Mapping[str, Any]) -> None:
        """Write `gate.yaml`."""
        self._settings = {"version": 1, "base_url": self._address, **more}
        (self.folder / "gate.yaml").write_text(yaml.safe_dump(self._settings), encoding="utf-8")

    def add(self, **more: Any) -> None:
        """Add settings to `gate.yaml`."""
        self.configure({**self._settings, **more})

    @property
    def gate(self) -> settings.Gate:
        """The gate, as its files are now."""
        return settings.read_gate(self.folder)

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        """Let this process have the stack's environment."""
        python = str(commands.folder() / "python3")
        with (
            mock.patch.dict(os.environ, self.stack.env, clear=True),
            mock.patch.object(engine, "PYTHON", python),
            mock.patch.object(engine, "_output", _said),
        ):
            yield

    def plan(self, stack: str | None = FULL_NAME, to: Path | None = None) -> Planned:
        """Plan a change into the record."""
        with self.environment():
            return flow.plan(self.gate, to or self.record, self.stack.folder, stack)

    def approve(
        self,
        name: str = "ann",
        *,
        to: Path | None = None,
        ceiling: Decimal | None = None,
        hours: float = 4,
        accepts: tuple[str, ...] | None = None,
        stack: str | None = None,
    ) -> Path:
        """Sign the record, as `approve` does; return the file of the approval."""
        read = record.read(to or self.record)
        _, verdict = flow.judged(self.gate, read)
        now = datetime.datetime.now(datetime.timezone.utc)
        unknown = (signatures.UNKNOWN,) if verdict.unknown else ()
        statement = signatures.Statement(
            read.digest,
            stack or read.content.stack,
            ceiling,
            (*sorted(verdict.rules), *unknown) if accepts is None else accepts,
            now.replace(microsecond=0) + datetime.timedelta(hours=hours),
        )
        signers = self.folder / "allowed_signers"
        if name == "eve":
            signers = keys() / "signers-of-eve"
            signers.write_text(signer("eve"), encoding="utf-8")
        approval = signatures.sign(statement, keys() / name, signers, now)
        return signatures.save(approval, read.approvals)

    def apply(self, to: Path | None = None, stack: str | None = FULL_NAME) -> int:
        """Apply the record; return the exit code."""
        with self.environment():
            return flow.apply(self.gate, to or self.record, self.stack.folder, stack)

    def refused(self, to: Path | None = None, stack: str | None = FULL_NAME) -> str:
        """Apply the record, which must be refused; return why."""
        try:
            code = self.apply(to, stack)
        except RefusedError as error:
            return str(error)
        raise AssertionError(f"it was applied: exit code {code}")

    def state(self) -> str:
        """Return the digest of the state, as the gate compares it."""
        with self.environment():
            return digests.of_state(engine.opened(self.stack.folder, None, None).export(), b"a key")

    def copy(self, name: str) -> Path:
        """Return a copy of the record, as another machine gets it."""
        return shutil.copytree(self.record, self.record.parent / name)

    def log(self) -> tuple[LoggedUpdate, ...]:
        """Return the history of the stack."""
        with self.environment():
            return history.log(self.stack.folder, None, self.gate)
