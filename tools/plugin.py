"""
Build the native plugin as a bundle that needs no Python: `make plugin`.

    dist/pulumi-resource-stacks-v0.4.0-linux-amd64.tar.gz
    dist/pulumi-resource-stacks-v0.4.0-linux-amd64.tar.gz.sha256

`pulumi plugin install resource stacks 0.4.0 --file <bundle>` installs it. It is built for the current machine in a new
environment, so that it contains only the package's dependencies, with the hashes in `tools/locks/bundle.txt`. Its
folder `licenses` contains the licence of each package, of Python, and of each included system library. The build fails
if one of these licences is missing.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "pulumi-resource-stacks"
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
LICENSES = "licenses"
EXCLUDED = ("readline", "_gdbm", "_dbm", "dbm", "_curses", "_sqlite3", "_tkinter")
"""Modules that the plugin does not need. The first use libraries under the GPL; the others need more libraries."""
_LICENCE = re.compile(r"(?:licen[cs]e|copying|notice|copyright)", re.IGNORECASE)
_APACHE = "Apache-2.0"
START = "from stacks_pulumi.hosts.plugin.__main__ import main\nmain()\n"


def version(root: Path = ROOT) -> str:
    """Return the version of the package, which is also the plugin's version."""
    text = (root / "stacks_pulumi/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    return found[1]


def repository(root: Path = ROOT) -> str:
    """Return the public address of the repository, such as `github.com/OWNER/NAME`; empty if it has none."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^Repository = "https://(.+)"$', text, re.MULTILINE)
    return "" if found is None else found[1]


def file_name(release: str, system: str, machine: str) -> str:
    """Return the file name that the engine expects for a plugin; `system` and `machine` are results of `platform`."""
    architecture = ARCHITECTURES.get(machine.lower(), machine.lower())
    return f"{NAME}-v{release}-{system.lower()}-{architecture}.tar.gz"


def freeze(folder: Path) -> Path:
    """Return the folder with the executable and all its dependencies."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    # PyInstaller compiles the modules that it includes.
    pip += ["--quiet", "--disable-pip-version-check", "--no-compile"]
    lock = ROOT / "tools/locks/bundle.txt"
    subprocess.run([*pip, "--require-hashes", "--requirement", str(lock)], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", str(ROOT)], check=True)
    start = folder / "start.py"
    start.write_text(START, encoding="utf-8")
    options = ["--onedir", "--noconfirm", "--log-level=WARN", "--collect-data=stacks_pulumi.hosts.plugin"]
    # The build must not find the checkout, or the bundle would contain its modules instead of the wheel's.
    options += [f"--exclude-module={module}" for module in EXCLUDED]
    command = [str(python), "-I", "-m", "PyInstaller", *options, f"--name={NAME}", str(start)]
    subprocess.run(command, cwd=folder, check=True)
    frozen = folder / "dist" / NAME
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    for name, texts in licences(_taken(folder / "build" / NAME), packages).items():
        copy_texts(texts, frozen / LICENSES / name)
    return frozen


def copy_texts(texts: list[Path], folder: Path) -> None:
    """Copy licence texts. Texts of bundled dependencies keep their subfolders, because file names can be equal."""
    shared = Path(os.path.commonpath([text.parent for text in texts]))
    for text in texts:
        target = folder / text.relative_to(shared)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(text, target)


def _taken(build: Path) -> set[Path]:
    """Return the files that PyInstaller has included, from its logs."""
    noted = "".join(file.read_text(encoding="utf-8") for file in build.glob("*.toc"))
    found = {Path(path) for path in re.findall(r"'(/[^'\n]+)'", noted)}
    return {file for file in found if file.is_file() and not file.is_relative_to(build)}


def licences(taken: set[Path], packages: Path) -> dict[str, list[Path]]:
    """
    Return the licence texts of a bundle, keyed by the names of packages and libraries.

    Args:
        taken: The files in the bundle.
        packages: The folder that packages were installed into.

    Raises:
        LookupError: A package or library has no licence text.
    """
    owners: dict[Path, metadata.Distribution] = {}
    for one in metadata.distributions(path=[str(packages)]):
        owners |= {Path(str(file.locate())).resolve(): one for file in one.files or ()}
    found: dict[str, list[Path]] = {}
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(taken):
        owner = owners.get(file.resolve())
        if owner is not None:
            name, texts = f"{owner.name}-{owner.version}", _of_package(owner)
        elif file.is_relative_to(packages.parents[3]):
            # The virtual environment created this file.
            continue
        elif file.is_relative_to(library) or (file.is_relative_to(sys.base_prefix) and "python" in file.name):
            name, texts = f"Python-{platform.python_version()}", _of_python(library)
        else:
            name, texts = _of_library(file)
        if not texts:
            raise LookupError(f"{name} has no licence text, but the bundle would contain its file {file}")
        found[name] = texts
    return found


def _of_package(one: metadata.Distribution) -> list[Path]:
    files = [Path(str(file.locate())) for file in one.files or () if ".dist-info" in str(file)]
    texts = [file for file in files if _LICENCE.match(file.name)]
    stated = (one.metadata.get_all("License-Expression") or []) + (one.metadata.get_all("License") or [])
    if not texts and {_APACHE, "Apache 2.0"} & {*map(str, stated)}:
        # The package ships no licence text, and the text of this licence is always the same.
        return [ROOT / "LICENSE"]
    return texts


def _of_python(library: Path) -> list[Path]:
    names = [
        library / "LICENSE.txt",
        Path(f"/usr/share/doc/python{sysconfig.get_python_version()}/copyright"),
    ]
    return [file for file in names if file.is_file()][:1]


def _of_library(file: Path) -> tuple[str, list[Path]]:
    """Return the name of a system library, and its licence texts from Debian or from a folder near the file."""
    if shutil.which("dpkg"):
        for path in (file, file.resolve(), Path("/usr", *file.parts[1:])):
            command = ["dpkg", "--search", str(path)]
            said = subprocess.run(command, check=False, capture_output=True, text=True).stdout
            if said:
                package = said.partition(":")[0]
                return package, [Path("/usr/share/doc", package, "copyright")]
    return file.name, next((texts for one in file.resolve().parents[:4] if (texts := [*_beside(one)])), [])


def _beside(folder: Path) -> Iterator[Path]:
    yield from (one for one in folder.iterdir() if one.is_file() and _LICENCE.match(one.name))


def pack(frozen: Path, target: Path) -> str:
    """Write the bundle and its checksum; return the checksum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz") as bundle:
        for item in sorted(frozen.iterdir()):
            bundle.add(item, arcname=item.name)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    checksum = target.with_name(f"{target.name}.sha256")
    checksum.write_text(f"{digest}  {target.name}\n", encoding="utf-8")
    return digest


def main() -> None:
    """Build the bundle into the folder in the argument, by default `dist`."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    target = folder / file_name(version(), platform.system(), platform.machine())
    with tempfile.TemporaryDirectory() as work:
        digest = pack(freeze(Path(work)), target)
    print(f"{target} ({target.stat().st_size / 1e6:.0f} MB, sha256 {digest})")


if __name__ == "__main__":
    main()
