"""The tool uses an existing engine and knows its limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tools.fake_executables import engine_in, executable, make_engine
from tools.engine import ensure, pins, search
from tools.engine.engine import Engine, EngineUnavailableError, load, record


def test_an_engine_on_path_is_used(on_path: Path) -> None:
    engine_in(on_path)
    engine = ensure.ensure()

    assert Engine(on_path, "3.270.1", "path") == engine
    # It has no limits.
    assert engine.honours_runtime_options
    assert engine.starts_policy_folders


def test_the_language_host_may_be_elsewhere_on_path(
    on_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_in(on_path, companions=())
    other = tmp_path / "other"
    for name in pins.COMPANIONS:
        executable(other / name)
    monkeypatch.setenv("PATH", f"{on_path}{os.pathsep}{other}")

    assert on_path == ensure.ensure().bin


def test_the_language_host_may_be_where_a_link_points(on_path: Path, tmp_path: Path) -> None:
    (on_path / pins.CLI).symlink_to(engine_in(tmp_path / "opt") / pins.CLI)

    assert on_path == ensure.ensure().bin


@pytest.mark.parametrize("missing", pins.COMPANIONS)
def test_an_engine_without_its_companions_is_skipped(
    on_path: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine_in(on_path, companions=tuple(name for name in pins.COMPANIONS if name != missing))

    assert search.search() is None
    assert f"has no {missing} next to it or on PATH" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "used"), [("3.258.9", False), (pins.OLDEST, True), ("4.0.0-alpha.1+x", True)]
)
def test_an_old_engine_is_skipped(
    on_path: Path, version: str, used: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    engine_in(on_path, version)

    assert used == (search.search() is not None)
    assert used != ("older than 3.259" in capsys.readouterr().err)


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 3\n", "#!/bin/sh\necho hello\n", "#!/nowhere/sh\n"])
def test_an_engine_without_a_version_is_skipped(on_path: Path, text: str) -> None:
    engine_in(on_path)
    executable(on_path / pins.CLI, text)

    assert search.search() is None


def test_a_built_engine_on_path_is_recognised(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = engine_in(cache / pins.VERSION / "bin")
    record(cache / pins.VERSION, pins.VERSION, "built")
    monkeypatch.setenv("PATH", str(folder))

    engine = search.search()

    assert Engine(folder, pins.VERSION, "built") == engine
    assert not engine.honours_runtime_options
    assert not engine.starts_policy_folders


def test_the_environment_has_the_engine_first() -> None:
    engine = Engine(Path("/engine/bin"), "3.259.0", "built")

    assert {"PATH": "/engine/bin:/usr/bin", "A": "b"} == engine.environment({"PATH": "/usr/bin", "A": "b"})
    assert {"PATH": "/engine/bin"} == engine.environment({})


def test_a_cached_engine_is_used_again(cache: Path) -> None:
    engine_in(cache / pins.VERSION / "bin")
    record(cache / pins.VERSION, pins.VERSION, "installer")

    assert Engine(cache / pins.VERSION / "bin", pins.VERSION, "installer") == ensure.ensure()


@pytest.mark.parametrize(
    "marker", [None, "", "[]", "{}", '{"version": "3.259.0", "origin": "found in the street"}']
)
def test_a_folder_without_a_valid_marker_is_ignored(cache: Path, marker: str | None) -> None:
    engine_in(cache / pins.VERSION / "bin")
    if marker is not None:
        (cache / pins.VERSION / "engine.json").write_text(marker, encoding="utf-8")

    assert load(cache / pins.VERSION) is None


def test_an_incomplete_engine_is_rebuilt(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_in(cache / pins.VERSION / "bin", companions=(pins.LANGUAGE_HOST,))
    record(cache / pins.VERSION, pins.VERSION, "built")
    monkeypatch.setattr(ensure, "build", make_engine)

    assert ensure.ensure().bin == cache / pins.VERSION / "bin"
    assert load(cache / pins.VERSION) is not None


def test_a_relative_cache_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert tmp_path / ".cache" / "stacks-pulumi" / "engine" == pins.cache()


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del cache
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(
        EngineUnavailableError, match=r"cannot be used \(Not a directory\): set XDG_CACHE_HOME"
    ):
        ensure.ensure()
