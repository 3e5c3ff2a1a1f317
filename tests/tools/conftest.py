"""Fixtures for the tools, without a network and without a real build; the engine tests check the engine itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.engine import build, installer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests of this folder to `make test-extra`: a person who runs a tool by hand sees a failure."""
    for item in items:
        if item.nodeid.startswith("tests/tools/"):
            item.add_marker(pytest.mark.extra)


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
    """Return a folder on PATH."""
    del cache
    folder = tmp_path / "usr bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder
