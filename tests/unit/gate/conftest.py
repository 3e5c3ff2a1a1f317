"""Gates of the unit tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi.gate.settings import Gate, read_gate

MakeGate = Callable[..., Gate]


@pytest.fixture
def make_gate(tmp_path: Path) -> MakeGate:
    """Return a function that creates a gate from the text of `gate.yaml` and of other files."""

    def make(text: str = "", **files: str) -> Gate:
        folder = tmp_path / "gate"
        folder.mkdir(exist_ok=True)
        names = {"gate.yaml": f"version: 1\n{text}", "allowed_signers": ""}
        for name, content in {
            **names,
            **{key.replace("_", "."): value for key, value in files.items()},
        }.items():
            (folder / name).write_text(content, encoding="utf-8")
        return read_gate(folder)

    return make
