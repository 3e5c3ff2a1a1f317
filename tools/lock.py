"""
Pin all packages for builds, tests and releases with their hashes, and list the package's dependencies: `make lock`.

    tools/locks/dev.txt                   the packages that `make setup` and CI install
    tools/locks/bundle.txt                the packages in the bundles of the native plugin
    stacks_pulumi/commands/packages.lock  the dependencies with all extras, and the build tools
    tools/locks/stacks-pulumi.cdx.json    the dependencies as an SBOM (CycloneDX), which the wheel contains (PEP 770)

From `packages.lock`, the package writes the lock of a user's repository. Each pin there has its licence and the extras
that need it. Pins that still fit are kept; `make lock ARGS=--upgrade` takes the newest. Run `make lock` again after a
change of the version.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    # If Python runs this script, it puts this folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(ROOT)

from tools.plugin import version  # noqa: E402  (the path must be set first)

FOLDER = "tools/locks"
SBOM = f"{FOLDER}/stacks-pulumi.cdx.json"
DEV = f"{FOLDER}/dev.txt"
PACKAGES = "stacks_pulumi/commands/packages.lock"
LOCKS = {
    DEV: ("--all-extras", "--group=dev"),
    f"{FOLDER}/bundle.txt": ("--group=bundle",),
    PACKAGES: ("--all-extras", "--group=build"),
}
"""Lock -> the parts of `pyproject.toml` that it covers. The first lock covers all, and the others use its versions."""

_EXTRAS = ("emulator", "policy", "cli", "agents", "broker", "backends")
_BUILD = "build"
_ELSEWHERE = {"httpx2-jsfetch": "BSD-3-Clause", "pywin32": "PSF-2.0"}
"""The licences, from the metadata, of packages that only other systems install."""
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "OSI Approved :: Apache Software License": "Apache-2.0",
    "OSI Approved :: MIT License": "MIT",
    "OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""Texts that metadata contains instead of an identifier."""

_STATED = re.compile(
    r"^requires-python = .+?$|^dependencies = \[.+?^\]"
    r"|^\[(?:project\.optional-dependencies|dependency-groups)\]\n.+?(?=^\[)",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"^ *#.*\n", re.MULTILINE)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def heading(root: Path = ROOT) -> str:
    """Return the first line of a lock, with the digest of the requirements in `pyproject.toml`."""
    stated = "\n".join(_STATED.findall((root / "pyproject.toml").read_text(encoding="utf-8")))
    stated = _COMMENT.sub("", stated)
    return f"# `make lock` writes this from pyproject.toml ({hashlib.sha256(stated.encode()).hexdigest()})\n"


def sbom(root: Path = ROOT) -> str:
    """Return the SBOM of the wheel: the package and its dependencies in the tested versions."""
    pins = pins_of((root / PACKAGES).read_text(encoding="utf-8"))
    release = version(root)
    root_component = _component(Pin("stacks-pulumi", release, (), "Apache-2.0"))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root_component},
    }
    components = [_component(pin) for pin in pins if pin.extras != (_BUILD,)]
    # One line for each package, because some packages have a hundred files.
    lines = ",\n".join(map(json.dumps, components))
    return f'{json.dumps(document)[:-1]}, "components": [\n{lines}\n]}}\n'


class Pin(NamedTuple):
    """
    A package in `packages.lock`.

    Attributes:
        name: Its name.
        release: Its version.
        extras: The extras that need it, or `build`; empty if it is always needed.
        licence: Its licence, as an SPDX expression.
        hashes: The SHA-256 of each of its files.
    """

    name: str
    release: str
    extras: tuple[str, ...]
    licence: str
    hashes: tuple[str, ...] = ()


def pins_of(text: str) -> list[Pin]:
    """Return the packages of `packages.lock`."""
    found = []
    for entry in re.split(r"\n(?=[A-Za-z])", text):
        for name, release in _PIN.findall(entry):
            extras = re.search(r"^    # for (.+)$", entry, re.MULTILINE)
            licence = re.search(r"^    # licence (.+)$", entry, re.MULTILINE)
            hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
            needed = tuple(extras[1].split(", ")) if extras else ()
            found.append(Pin(name, release, needed, licence[1] if licence else "", hashes))
    return found


def _component(pin: Pin) -> dict[str, object]:
    is_expression = " " in pin.licence
    licence = {"expression": pin.licence} if is_expression else {"license": {"id": pin.licence}}
    purl = f"pkg:pypi/{pin.name}@{pin.release}"
    # Each file of a version has its own hash, so the hashes belong to the distribution, not to the component.
    files = {
        "type": "distribution",
        "url": purl,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.hashes],
    }
    return {
        "type": "library",
        "bom-ref": f"{pin.name}@{pin.release}",
        "name": pin.name,
        "version": pin.release,
        "licenses": [licence],
        "purl": purl,
        **({"externalReferences": [files]} if pin.hashes else {}),
    }


def compile_lock(name: str, arguments: list[str]) -> None:
    """Write one lock with uv."""
    target = ROOT / name
    kept = target.read_text(encoding="utf-8") if target.exists() else ""
    text = _compiled(LOCKS[name], kept, () if name == DEV else (DEV,), arguments)
    if name == PACKAGES:
        needed = {extra: _names((f"--extra={extra}",), text) for extra in _EXTRAS}
        needed[_BUILD] = _names((f"--group={_BUILD}",), text)
        always = _names((), text)
        for one, _ in _PIN.findall(text):
            # The group is compiled together with the package's dependencies.
            extras = () if one in always else tuple(extra for extra, names in needed.items() if one in names)
            notes = [f"    # for {', '.join(extras)}\n"] if extras else []
            notes.append(f"    # licence {_licence(one)}\n")
            text = re.sub(
                rf"^({re.escape(one)}==(?:.*\n    )*.*\n)", rf"\1{''.join(notes)}", text, flags=re.MULTILINE
            )
    target.write_text(heading() + text, encoding="utf-8")


def _compiled(words: tuple[str, ...], kept: str, constraints: tuple[str, ...], arguments: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        # uv keeps the versions in an existing output.
        made = Path(folder) / "lock.txt"
        made.write_text(kept, encoding="utf-8")
        options = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        # The installing machine chooses the package index, so the lock names none.
        options += ["--no-emit-index-url", "--no-emit-find-links", f"--output-file={made}"]
        options += [f"--constraints={file}" for file in constraints]
        command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml"]
        subprocess.run([*command, *words, *options, *arguments], cwd=ROOT, check=True)
        return made.read_text(encoding="utf-8")


def _names(words: tuple[str, ...], pins: str) -> set[str]:
    """Return the packages that some extras need, in the versions of a lock."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as lock:
        lock.write(pins)
        lock.flush()
        return {name for name, _ in _PIN.findall(_compiled(words, pins, (lock.name,), []))}


def _licence(name: str) -> str:
    """
    Return the SPDX expression of a package from its installed metadata.

    Raises:
        LookupError: The metadata contains no licence that this file knows.
    """
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    about = metadata.metadata(name)
    stated = [*(about.get_all("License-Expression") or []), *(about.get_all("License") or [])]
    stated += [
        one.removeprefix("License :: ") for one in about.get_all("Classifier") or [] if "License ::" in one
    ]
    for text in map(str, stated):
        licence = _SPDX.get(text, text)
        if re.fullmatch(r"[A-Za-z0-9.+-]+(?: OR [A-Za-z0-9.+-]+)*", licence):
            return licence
    raise LookupError(
        f"the licence of {name} ({stated}) is not known: add its SPDX identifier to tools/lock.py"
    )


def main() -> None:
    """Write the locks and the SBOM; arguments go to uv."""
    for name in LOCKS:
        compile_lock(name, sys.argv[1:])
    (ROOT / SBOM).write_text(sbom(), encoding="utf-8")


if __name__ == "__main__":
    main()
