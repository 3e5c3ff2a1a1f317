"""
Pin what is installed to build, test and release, with its hashes, and list what the package needs: `make lock`.

    tools/locks/dev.txt       what `make setup` and CI install
    tools/locks/bundle.txt    what the bundles of the native plugin are frozen from
    tools/locks/package.txt   what the package with all of its extras needs
    tools/locks/stacks-pulumi.cdx.json    the same as an SBOM (CycloneDX), which the wheel contains (PEP 770)

Pins that still fit stay; `make lock ARGS=--upgrade` takes the newest. It has to run again after a change of the
version.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    # Run as a script: this folder would come first on the path, where its modules could hide others.
    sys.path[0] = str(ROOT)

from tools.plugin import version  # noqa: E402  (the path has to be set first)

FOLDER = "tools/locks"
SBOM = f"{FOLDER}/stacks-pulumi.cdx.json"
LOCKS = {
    "dev": ("--all-extras", "--group=dev"),
    "bundle": ("--group=bundle",),
    "package": ("--all-extras",),
}
"""Lock -> what of `pyproject.toml` it has. `dev` is first, because the others take its versions."""

_STATED = re.compile(
    r"^requires-python = .+?$|^dependencies = \[.+?^\]"
    r"|^\[(?:project\.optional-dependencies|dependency-groups)\]\n.+?(?=^\[)",
    re.MULTILINE | re.DOTALL,
)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def heading(root: Path = ROOT) -> str:
    """Return the first line of a lock, with the digest of what `pyproject.toml` asks for."""
    stated = "\n".join(_STATED.findall((root / "pyproject.toml").read_text(encoding="utf-8")))
    return f"# `make lock` writes this from pyproject.toml ({hashlib.sha256(stated.encode()).hexdigest()})\n"


def sbom(root: Path = ROOT) -> str:
    """Return the SBOM of the wheel: the package, and what it needs in the versions that were tested with it."""
    pins = _PIN.findall((root / FOLDER / "package.txt").read_text(encoding="utf-8"))
    release = version(root)
    root_component = {
        **_component("stacks-pulumi", release),
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root_component},
        "components": [_component(*pin) for pin in pins],
    }
    return json.dumps(document, indent=2) + "\n"


def _component(name: str, release: str) -> dict[str, object]:
    return {
        "type": "library",
        "bom-ref": f"{name}@{release}",
        "name": name,
        "version": release,
        "purl": f"pkg:pypi/{name}@{release}",
    }


def compile_lock(name: str, arguments: list[str]) -> None:
    """Write one lock with uv."""
    target = ROOT / FOLDER / f"{name}.txt"
    with tempfile.TemporaryDirectory() as folder:
        # uv keeps the versions that it finds in the output.
        made = Path(folder) / "lock.txt"
        made.write_text(target.read_text(encoding="utf-8") if target.exists() else "", encoding="utf-8")
        others = () if name == "dev" else (f"--constraints={FOLDER}/dev.txt",)
        options = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        # Where a package comes from is a matter of the machine that installs it.
        options += ["--no-emit-index-url", "--no-emit-find-links", f"--output-file={made}"]
        command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml"]
        subprocess.run([*command, *LOCKS[name], *others, *options, *arguments], cwd=ROOT, check=True)
        target.write_text(heading() + made.read_text(encoding="utf-8"), encoding="utf-8")


def main() -> None:
    """Write the locks and the SBOM; arguments go to uv."""
    (ROOT / FOLDER).mkdir(exist_ok=True)
    for name in LOCKS:
        compile_lock(name, sys.argv[1:])
    (ROOT / SBOM).write_text(sbom(), encoding="utf-8")


if __name__ == "__main__":
    main()
