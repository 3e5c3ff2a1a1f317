"""Every way to install the package that the README names, each in a separate environment."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import stacks_pulumi
from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack
from tools.engine.ensure import ensure

ROOT = Path(__file__).parents[2]
PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
pytestmark = pytest.mark.extra


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """Run a command; has to succeed. Its standard output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    done = subprocess.run(command, cwd=cwd, env={**clean, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        folder,
        str(ROOT),
        cwd=folder,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.parametrize("form", ["{root}", "stacks-pulumi @ git+file://{root}", "{wheel}"])
def test_a_path_a_repository_and_a_wheel_can_be_installed(form: str, wheel: Path, tmp_path: Path) -> None:
    requirement = form.format(root=ROOT, wheel=wheel)

    run(sys.executable, *PIP, "--no-deps", "--target", tmp_path / "it", requirement, cwd=tmp_path)

    version = run(
        sys.executable, "-m", "stacks_pulumi", "--version", cwd=tmp_path, PYTHONPATH=str(tmp_path / "it")
    )
    assert version == f"stacks-pulumi {stacks_pulumi.__version__}\n"


def test_the_wheel_with_its_extras_satisfies_every_pack_and_example(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    run(python, *PIP, f"{wheel}[emulator,policy,cli]", cwd=tmp_path)
    needed = [
        *(ROOT / "policies").glob("*/requirements.txt"),
        *(ROOT / "examples").glob("*/requirements.txt"),
    ]

    assert len(needed) >= 4
    for file in needed:
        run(python, *PIP, "--requirement", file, cwd=tmp_path)

    # The wheel also has the data files that the code reads.
    run(python, "-c", SERVE, cwd=tmp_path)
    run(python, "-c", "import stacks_pulumi.policy, rich, shtab", cwd=tmp_path)
    assert "complete" in run(tmp_path / "venv/bin/stacks-pulumi", "completion", "bash", cwd=tmp_path)


SHOP = """\
name: tests
runtime: yaml
resources:
  app:
    type: stacks:index:Container
    properties: {template: nodejs}
outputs:
  price: ${app.monthlyPriceUsd}
"""


@pytest.mark.engine
@pytest.mark.timeout(1200)
def test_the_plugin_runs_a_program_in_yaml_where_no_python_is(tmp_path: Path) -> None:
    run(sys.executable, ROOT / "tools/plugin.py", tmp_path, cwd=tmp_path)
    (bundle,) = tmp_path.glob("pulumi-resource-stacks-*.tar.gz")
    digest, name = bundle.with_name(f"{bundle.name}.sha256").read_text(encoding="utf-8").split()
    assert (digest, name) == (hashlib.sha256(bundle.read_bytes()).hexdigest(), bundle.name)

    engine = ensure().bin
    with Emulator(boot_seconds=0.2) as emulator:
        config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
        stack = Stack(tmp_path / "stack", engine, config, passphrase=True)
        stack.yaml(SHOP, engine)
        stack.env["PATH"] = str(engine)
        del stack.env["VIRTUAL_ENV"]
        assert shutil.which("python3", path=stack.env["PATH"]) is None

        version = stacks_pulumi.__version__
        stack.cli("plugin", "install", "resource", "stacks", version, "--file", str(bundle))
        assert stack.up().changes == {"create": 2}

        assert stack.outputs() == {"price": 4}
        stack.destroy()
        assert emulator.state.containers == {}


SERVE = """
import pathlib, urllib.request
import stacks_pulumi
from stacks_pulumi.emulator import Emulator
folder = pathlib.Path(stacks_pulumi.__file__).parent
assert "site-packages" in folder.parts
assert (folder / "py.typed").exists() and (folder / "emulator/openapi.yaml").exists()
with Emulator() as emulator:
    assert b"<html" in urllib.request.urlopen(emulator.page_url).read()
"""
