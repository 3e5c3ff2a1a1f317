"""The language hosts: their places, interrupted builds, and concurrent builds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tools.fake_executables import engine_in, executable
from tools.engine import hosts, pins
from tools.engine.engine import record

STARTED = {pins.NODEJS_HOST, pins.GO_HOST, pins.LANGUAGE_HOST}
NAMES = {*STARTED, pins.DOTNET_HOST}


@pytest.fixture
def engine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built engine in the cache."""
    folder = engine_in(cache / pins.VERSION / "bin", pins.VERSION)
    executable(folder / pins.YAML_HOST)
    record(folder.parent, pins.VERSION, "built")
    monkeypatch.setattr(hosts, "find_go", lambda: "go")
    return folder


def compile_(_go: str, _module: str, _package: str, target: Path, **_options: object) -> None:
    """Replace Go."""
    executable(target)


def test_they_are_built_next_to_the_hosts_that_they_start(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "compile_binary", compile_)

    folder = hosts.code_hosts()

    assert folder.parent == engine.parents[1]
    assert {path.name for path in folder.iterdir()} == {*NAMES, hosts.OLDER}
    assert {path.name for path in (folder / hosts.OLDER).iterdir()} == {*STARTED, pins.LAUNCHER}


def test_an_engine_with_them_needs_no_build(engine: Path) -> None:
    for name in NAMES:
        executable(engine / name)

    assert hosts.code_hosts() == engine


@pytest.mark.usefixtures("engine")
def test_changed_sources_are_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "compile_binary", compile_)
    first = hosts.code_hosts()
    shutil.copytree(pins.MODULES, tmp_path / "modules")
    (tmp_path / "modules" / "code_generation" / "more.go").write_text("package main\n", encoding="utf-8")
    monkeypatch.setattr(pins, "MODULES", tmp_path / "modules")

    assert hosts.code_hosts() != first
