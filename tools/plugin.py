"""
Build the native plugin as a bundle that needs no Python: `make plugin`.

    dist/pulumi-resource-stacks-v0.3.0-linux-amd64.tar.gz
    dist/pulumi-resource-stacks-v0.3.0-linux-amd64.tar.gz.sha256

`pulumi plugin install resource stacks 0.3.0 --file <bundle>` takes it. It is built for the machine that this runs on,
in a new environment, so that it holds only what the package needs, from files with the hashes of
`tools/locks/bundle.txt`.
"""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "pulumi-resource-stacks"
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
START = "from stacks_pulumi.hosts.plugin.servicer import main\nmain()\n"


def version(root: Path = ROOT) -> str:
    """Return the version of the package, which is that of the plugin too."""
    text = (root / "stacks_pulumi/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    return found[1]


def file_name(release: str, system: str, machine: str) -> str:
    """
    Return the name under which the engine looks for a plugin.

    Args:
        release: The version.
        system: As `platform.system` says it.
        machine: As `platform.machine` says it.
    """
    architecture = ARCHITECTURES.get(machine.lower(), machine.lower())
    return f"{NAME}-v{release}-{system.lower()}-{architecture}.tar.gz"


def freeze(folder: Path) -> Path:
    """Return the folder with the executable and all that it needs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    # PyInstaller compiles what it takes.
    pip += ["--quiet", "--disable-pip-version-check", "--no-compile"]
    lock = ROOT / "tools/locks/bundle.txt"
    subprocess.run([*pip, "--require-hashes", "--requirement", str(lock)], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", str(ROOT)], check=True)
    start = folder / "start.py"
    start.write_text(START, encoding="utf-8")
    options = ["--onedir", "--noconfirm", "--log-level=WARN", "--collect-data=stacks_pulumi.hosts.plugin"]
    # Where it is built the checkout must not be found, or the bundle would hold its modules instead of the wheel's.
    command = [str(python), "-I", "-m", "PyInstaller", *options, f"--name={NAME}", str(start)]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "dist" / NAME


def pack(frozen: Path, target: Path) -> str:
    """Write the bundle and its checksum; returns the checksum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz") as bundle:
        for item in sorted(frozen.iterdir()):
            bundle.add(item, arcname=item.name)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    checksum = target.with_name(f"{target.name}.sha256")
    checksum.write_text(f"{digest}  {target.name}\n", encoding="utf-8")
    return digest


def main() -> None:
    """Build it into the folder that is the argument, else into `dist`."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    target = folder / file_name(version(), platform.system(), platform.machine())
    with tempfile.TemporaryDirectory() as work:
        digest = pack(freeze(Path(work)), target)
    print(f"{target} ({target.stat().st_size / 1e6:.0f} MB, sha256 {digest})")


if __name__ == "__main__":
    main()
