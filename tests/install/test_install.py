"""Every way to install the package that the README names, each in a separate environment."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import stacks_pulumi
from stacks_pulumi.emulator import Emulator
from tests.support.snippets import commands
from tests.support.stack import Stack
from tools.engine.ensure import ensure

ROOT = Path(__file__).parents[2]
QUIET = ["--quiet", "--disable-pip-version-check", "--no-compile"]
pytestmark = pytest.mark.extra


def install(target: Path, *words: str | Path, cwd: Path) -> None:
    """Install into an environment with the pip of the current environment."""
    run(sys.executable, "-m", "pip", "--python", target, "install", *QUIET, *words, cwd=cwd)


def environment(folder: Path) -> Path:
    """Return the folder of a new environment without pip."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    return folder


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """Run a command, which must succeed; return its standard output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    done = subprocess.run(command, cwd=cwd, env={**clean, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    words = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", *words, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def lines() -> dict[str, str]:
    """Return a command in the pages that installs this package, for each kind of its place."""
    found = [shlex.join(words) for _, words in commands("pip") if "stacks" in " ".join(words)]
    return {re.sub(r"\[.*?\]|stacks.pulumi|[\d'.]", "", line): line for line in found if "sdks/" not in line}


@pytest.mark.parametrize("line", lines().values())
def test_a_line_of_the_pages_installs_the_package_in_an_empty_folder(
    line: str, wheel: Path, tmp_path: Path
) -> None:
    # The reader has a wheel, a checkout, or the address of a repository.
    (tmp_path / "empty").mkdir()
    shutil.copy(wheel, tmp_path / "empty")
    (tmp_path / "empty/stacks-pulumi").symlink_to(ROOT)
    commit = run("git", "rev-parse", "HEAD", cwd=ROOT).strip()
    known = line.replace("<URL>@<COMMIT>", f"file://{ROOT}@{commit}")
    program, install, *words = shlex.split(known.replace("0.4.0", stacks_pulumi.__version__))
    assert [program, install] == ["pip", "install"]

    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        *QUIET,
        "--no-deps",
        "--target",
        tmp_path / "it",
        *words,
        cwd=tmp_path / "empty",
    )

    version = run(
        sys.executable, "-m", "stacks_pulumi", "--version", cwd=tmp_path, PYTHONPATH=str(tmp_path / "it")
    )
    assert version == f"stacks-pulumi {stacks_pulumi.__version__}\n"


def test_the_pages_have_a_line_of_each_kind() -> None:
    assert lines().keys() == {
        "pip install /",
        "pip install /--py-none-anywhl",
        "pip install  @ git+<URL>@<COMMIT>",
    }


def test_a_checkout_that_was_installed_is_built_into_the_same_files(tmp_path: Path) -> None:
    def files(target: Path) -> dict[Path, bytes]:
        found = [*target.glob("lib/*/site-packages/stacks_pulumi/**/*"), *target.glob("share/**/*")]
        kept = [one for one in found if one.is_file() and one.suffix != ".pyc"]
        return {one.relative_to(target): one.read_bytes() for one in kept}

    for name in ("it", "again"):
        (folder,) = environment(tmp_path / name).glob("lib/*/site-packages")
        # The dependencies of this package.
        (folder / "more.pth").write_text(f"{Path(yaml.__file__).parents[1]}\n", encoding="utf-8")
    install(tmp_path / "it", "--no-deps", "--force-reinstall", "--no-build-isolation", ROOT, cwd=tmp_path)
    run(tmp_path / "it/bin/stacks-pulumi", "policies", "--out", "packs", cwd=tmp_path)
    (built,) = (tmp_path / "packs").glob("*.whl")
    install(tmp_path / "again", "--no-deps", "--force-reinstall", built, cwd=tmp_path)

    assert len(files(tmp_path / "it")) > 150
    assert files(tmp_path / "again") == files(tmp_path / "it")
    version = run(tmp_path / "again/bin/stacks-pulumi", "--version", cwd=tmp_path)
    assert version == f"stacks-pulumi {stacks_pulumi.__version__}\n"


def test_the_wheel_with_its_extras_satisfies_every_pack_and_example(wheel: Path, tmp_path: Path) -> None:
    it = environment(tmp_path / "venv")
    python = it / "bin/python"
    install(it, f"{wheel}[emulator,policy,cli]", cwd=tmp_path)
    needed = [
        *(ROOT / "policies").glob("*/requirements.txt"),
        *(ROOT / "examples").glob("*/requirements.txt"),
    ]

    assert len(needed) >= 4
    for file in needed:
        # As in `pulumi install`: in the folder, in which the requirement of this package is a path.
        install(it, "--no-deps", "--requirement", file, cwd=file.parent)

    # The written packs also install the package, at any place and without the original wheel.
    copy = Path(shutil.copy(wheel, tmp_path))
    install(it, "--force-reinstall", "--no-deps", f"{copy}[emulator,policy,cli]", cwd=tmp_path)
    run(tmp_path / "venv/bin/stacks-pulumi", "policies", "--out", "packs", cwd=tmp_path)
    copy.unlink()
    (tmp_path / "packs").rename(tmp_path / "elsewhere")
    run("sha256sum", "--check", f"{wheel.name}.sha256", cwd=tmp_path / "elsewhere")
    written = sorted((tmp_path / "elsewhere").glob("*/requirements.txt"))
    assert len(written) == 3
    install(it, "--no-deps", "--requirement", written[0], cwd=written[0].parent)

    # The wheel also contains the data files that the code reads.
    run(python, "-c", SERVE, cwd=tmp_path)
    run(python, "-c", "import stacks_pulumi.policy, rich, shtab", cwd=tmp_path)
    assert "complete" in run(tmp_path / "venv/bin/stacks-pulumi", "completion", "bash", cwd=tmp_path)


def test_the_client_passes_its_tests_with_the_oldest_versions_that_it_accepts(tmp_path: Path) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = re.findall(r'^    "(requests|urllib3|msgspec)>=([\d.]+)",$', project, re.MULTILINE)
    assert len(oldest) == 3
    pins = [f"{name}=={version}" for name, version in oldest]
    run(
        sys.executable, "-m", "pip", "install", *QUIET, "--no-deps", "--target", tmp_path, *pins, cwd=tmp_path
    )

    done = run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/unit/api"),
        cwd=ROOT,
        PYTHONPATH=str(tmp_path),
    )

    assert "passed" in done


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
    """The bundle of the plugin for this machine, with its checksum file."""
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
    for old, new in {"0.4.0": stacks_pulumi.__version__, **instead}.items():
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
        # Another machine has the project, but no plugin.
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


@pytest.fixture(scope="session")
def pipelines(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the pipelines of both services, with the packages in its folder `shop` installed as in them."""
    top = tmp_path_factory.mktemp("repository")
    run("git", "init", "-q", cwd=top)
    (top / "shop").mkdir()
    (top / "shop/Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    for kind in ("github", "gitlab"):
        words = ("gate", "init", "gate", "--workflow", kind, "-C", "shop")
        run(sys.executable, "-m", "stacks_pulumi", *words, cwd=top)
    document = yaml.safe_load((top / ".gitlab/gate.yml").read_text(encoding="utf-8"))
    script = [*document[".gate"]["before_script"], *document["packages"]["script"]]
    run("bash", "-ec", "\n".join(script), cwd=top)
    return top


def pipeline_step(top: Path) -> str:
    """Return the step of the workflow that installs."""
    document = yaml.safe_load((top / ".github/workflows/gate.yml").read_text(encoding="utf-8"))
    return next(
        str(step["run"])
        for step in document["jobs"]["plan"]["steps"]
        if step.get("run", "").startswith("pip ")
    )


def test_a_pipeline_installs_from_an_empty_environment_with_hashes(pipelines: Path) -> None:
    scripts = pipelines / "shop/.venv/bin"

    assert run(scripts / "stacks-pulumi", "--version", cwd=pipelines).startswith("stacks-pulumi ")
    run(scripts / "python", "-c", "import stacks_pulumi.policy, rich, shtab", cwd=pipelines)
    # The step of the other service does the same and finds everything installed.
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    run("bash", "-ec", pipeline_step(pipelines), cwd=pipelines / "shop", PATH=path)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("*.whl", "DO NOT MATCH THE HASHES"),
        ("requirements.txt", "No matching distribution found for not-in-the-lock"),
    ],
)
def test_a_pipeline_refuses_what_has_no_hash_or_another_one(
    file: str, why: str, pipelines: Path, tmp_path: Path
) -> None:
    shop = shutil.copytree(pipelines / "shop", tmp_path / "shop", ignore=shutil.ignore_patterns(".venv"))
    (changed,) = shop.glob(file)
    with changed.open("ab") as content:
        content.write(b"not-in-the-lock\n")
    path = f"{pipelines / 'shop/.venv/bin'}{os.pathsep}{os.environ['PATH']}"

    command = ["bash", "-ec", pipeline_step(pipelines)]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=shop, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert why in done.stdout + done.stderr


def test_a_bundle_has_the_licences_of_what_is_in_it_and_no_readline(bundle: Path) -> None:
    with tarfile.open(bundle) as packed:
        names = packed.getnames()
        texts = {
            one.name.split("/")[1]: one.size
            for one in packed.getmembers()
            if one.isfile() and one.name.startswith("licenses/")
        }

    assert not [name for name in names if "readline" in name or "gdbm" in name]
    assert all(texts.values())
    inside = {one.rpartition("-")[0] for one in texts}
    assert {"Python", "pulumi", "requests", "grpcio", "stacks-pulumi", "pyinstaller"} <= inside
