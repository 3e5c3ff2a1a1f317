"""Fixtures for the tools, without a network and a real build; the engine tests check the engine itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.engine import build, installer


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the engine folder of a machine without an engine, Go or a network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(build, "USUAL_GO", ())
    monkeypatch.setattr(installer, "download", lambda _address: None)
    return tmp_path / "a cache" / "stacks-pulumi" / "engine"


@pytest.fixture
def on_path(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is on PATH."""
    del cache
    folder = tmp_path / "usr bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder
