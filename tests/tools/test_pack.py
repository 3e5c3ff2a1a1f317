"""The argument that names a policy pack to an engine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.tools.fake_executables import executable
from tools.engine import pack as command
from tools.engine.engine import Engine, Origin
from tools.engine.pack import argument


@pytest.mark.parametrize("origin", ["path", "installer"])
def test_an_official_engine_takes_the_folder(tmp_path: Path, origin: Origin) -> None:
    engine = Engine(tmp_path, "3.259.0", origin)

    assert argument(engine, tmp_path / "plans", tmp_path) == tmp_path / "plans"


def test_a_built_engine_takes_a_script_that_runs_in_the_folder(tmp_path: Path) -> None:
    pack = tmp_path / "it's a pack"
    pack.mkdir()
    executable(tmp_path / "bin" / "python3", '#!/bin/sh\necho "$PWD: $@"\n')

    script = argument(Engine(tmp_path, "3.259.0", "built"), pack, tmp_path)
    said = subprocess.run(
        [script, "127.0.0.1:4711"],
        env={"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert said == f"{pack.resolve()}: -u -m pulumi.policy 127.0.0.1:4711 .\n"


def test_the_command_prints_the_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")
    monkeypatch.setattr(command, "ensure", lambda: Engine(tmp_path, "3.259.0", "built"))

    command.main([str(tmp_path)])

    assert os.access(capsys.readouterr().out.strip(), os.X_OK)


def test_the_command_refuses_a_folder_without_a_pack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main([str(tmp_path)])

    assert "is not a policy pack" in capsys.readouterr().err
