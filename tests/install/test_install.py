"""Every way to install the package that the README names, each in a separate environment."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

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
        # As `pulumi install` does it: in the folder, whose requirement of this package is a path.
        run(python, *PIP, "--no-deps", "--requirement", file, cwd=file.parent)

    # A program that is written for it takes it from the same wheel.
    (tmp_path / "shop").mkdir()
    run(python, *PIP, "--force-reinstall", "--no-deps", f"{wheel}[emulator,policy,cli]", cwd=tmp_path)
    requirements = run(python, "-c", WRITE, cwd=tmp_path)
    (tmp_path / "shop/requirements.txt").write_text(requirements, encoding="utf-8")
    assert wheel.name in requirements
    run(python, *PIP, "--no-deps", "--requirement", "requirements.txt", cwd=tmp_path / "shop")

    # The wheel also has the data files that the code reads.
    run(python, "-c", SERVE, cwd=tmp_path)
    run(python, "-c", "import stacks_pulumi.policy, rich, shtab", cwd=tmp_path)
    assert "complete" in run(tmp_path / "venv/bin/stacks-pulumi", "completion", "bash", cwd=tmp_path)


WRITE = """
from pathlib import Path
from stacks_pulumi.commands._shared import requirements_file
print(requirements_file(Path("shop")))
"""

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


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the plugin for this machine, with its checksum beside it."""
    folder = tmp_path_factory.mktemp("bundle")
    run(sys.executable, ROOT / "tools/plugin.py", folder, cwd=folder)
    (built,) = folder.glob("pulumi-resource-stacks-*.tar.gz")
    return built


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[tuple[Stack, Emulator]]:
    """A stack on a machine without Python and without this package."""
    engine = ensure().bin
    with Emulator(boot_seconds=0.2) as emulator:
        config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
        stack = Stack(tmp_path / "stack", engine, config, passphrase=True)
        stack.yaml(SHOP, engine)
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("bash", "sha256sum"):
            (tools / name).symlink_to(shutil.which(name) or pytest.skip(f"needs {name}"))
        stack.env["PATH"] = f"{engine}{os.pathsep}{tools}"
        del stack.env["VIRTUAL_ENV"]
        assert shutil.which("python3", path=stack.env["PATH"]) is None
        yield stack, emulator


def documented(mark: str, **instead: str) -> str:
    """Return the commands of the page about the plugin below a mark, for this version and machine."""
    text = (ROOT / "docs/native.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^<!-- {mark} -->\n```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for old, new in {"0.3.0": stacks_pulumi.__version__, **instead}.items():
        assert old in found
        found = found.replace(old, new)
    return str(found)


def lives(stack: Stack, emulator: Emulator) -> None:
    """Apply the program and destroy it."""
    assert stack.up().changes == {"create": 2}
    assert stack.outputs() == {"price": 4}
    stack.destroy()
    assert emulator.state.containers == {}


@pytest.mark.engine
@pytest.mark.timeout(2400)
def test_a_bundle_is_checked_and_installed_and_runs_a_program_where_no_python_is(
    bare: tuple[Stack, Emulator], bundle: Path
) -> None:
    stack, emulator = bare
    platform = bundle.name.partition(f"v{stacks_pulumi.__version__}-")[2].removesuffix(".tar.gz")
    commands = documented("file", **{"linux-amd64": platform})

    run("bash", "-ec", commands, cwd=bundle.parent, **stack.env)

    lives(stack, emulator)


@pytest.mark.engine
@pytest.mark.timeout(2400)
def test_one_command_adds_the_plugin_from_a_server_and_another_machine_installs_it_by_itself(
    bare: tuple[Stack, Emulator], bundle: Path
) -> None:
    stack, emulator = bare
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(bundle.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        command = documented("bundle", **{"https://plugins.example.com/stacks": url})

        run("bash", "-ec", command, cwd=stack.folder, **stack.env)

        project = yaml.safe_load((stack.folder / "Pulumi.yaml").read_text(encoding="utf-8"))
        assert project["packages"]["stacks"]["pluginDownloadURL"] == url
        # Another machine has the project and no plugin.
        shutil.rmtree(Path(stack.env["PULUMI_HOME"]) / "plugins")
        lives(stack, emulator)
        server.shutdown()


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
