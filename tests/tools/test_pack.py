"""How a policy pack is named to an engine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.tools.fakes import executable
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
