"""The tools, without a network and without a real build; the engine itself is proven by the tests that run on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.engine import build, installer


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where engines are kept on a machine with nothing on it: no engine, no Go, no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(build, "USUAL_GO", ())
    monkeypatch.setattr(installer, "download", lambda: None)
    return tmp_path / "a cache" / "stacks-pulumi" / "engine"


@pytest.fixture
def on_path(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is on PATH."""
    del cache
    folder = tmp_path / "usr bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder
