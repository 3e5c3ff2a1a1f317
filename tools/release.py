"""
Check that a tag can be released, and print its version's part of the changelog.

    python3 tools/release.py v0.4.0 > notes.md
    python3 tools/release.py v0.4.0 --files dist plugin --attestation attestation.json

The first form is for the checkout: the version, its kept schema, its locks and its SBOM. The second is for what was
built from it too: the wheel has the SBOM, each bundle its checksum, and each of them an attestation.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    # Run as a script: this folder would come first on the path, where its modules could hide others.
    sys.path[0] = str(ROOT)

from tools import lock  # noqa: E402  (the path has to be set first)
from tools.plugin import version  # noqa: E402  (as above)


class ReleaseError(Exception):
    """The tag cannot be released; the text is one sentence."""


def notes(tag: str, root: Path = ROOT) -> str:
    """
    Return the changelog of a version.

    Args:
        tag: `v` and the version.
        root: The checkout.

    Raises:
        ReleaseError: It is not the version of the package, the schema of this version is not kept for the comparison
            with the next one, a lock or the SBOM is out of date, or the changelog has no dated part for it.
    """
    packaged = version(root)
    if tag != f"v{packaged}":
        raise ReleaseError(f"the tag {tag} is not the version of the package, v{packaged}")
    kept = json.loads((root / "tools/sdk/released.json").read_text(encoding="utf-8"))["version"]
    if kept != packaged:
        raise ReleaseError(
            f"tools/sdk/released.json is the schema of {kept}: run python tools/sdk/breaking.py --release, commit it"
        )
    for name in lock.LOCKS:
        locked(root, name)
    if _read(root / lock.SBOM) != lock.sbom(root):
        raise ReleaseError(f"{lock.SBOM} is not that of {packaged}: run make lock, commit it")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(packaged)}\] - \d{{4}}-\d\d-\d\d\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ReleaseError(f"CHANGELOG.md has no part '## [{packaged}] - YYYY-MM-DD' with text in it")
    return found[1].strip() + "\n"


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def locked(root: Path, name: str) -> None:
    """
    Check that a lock is of this `pyproject.toml`, and pins each package with hashes.

    Raises:
        ReleaseError: It is not, or it does not.
    """
    first, _, pins = _read(root / name).partition("\n")
    if first + "\n" != lock.heading(root):
        raise ReleaseError(f"{name} is not of this pyproject.toml: run make lock, commit it")
    for pin in re.split(r"\n(?=\S)", pins.strip("\n")):
        if not re.match(r"[\w.-]+==\S+", pin) or not re.search(r"--hash=sha256:[0-9a-f]{64}\b", pin):
            raise ReleaseError(
                f"{name} has no version and hash for {pin.split()[0]}: run make lock, commit it"
            )


def built(folders: list[Path], attestation: Path, root: Path = ROOT) -> None:
    """
    Check what was built.

    Args:
        folders: The folders with the wheel, the bundles and their checksums.
        attestation: What the attesting action wrote: one bundle of Sigstore in JSON a line.
        root: The checkout.

    Raises:
        ReleaseError: There is no wheel or no bundle, the wheel lacks the SBOM, a bundle its checksum, or one of them
            its attestation.
    """
    files = [file for folder in folders for file in sorted(folder.iterdir())]
    wheels = [file for file in files if file.suffix == ".whl"]
    bundles = [file for file in files if file.name.endswith(".tar.gz")]
    if len(wheels) != 1 or not bundles:
        raise ReleaseError(
            f"one wheel and the bundles are needed, and there are {len(wheels)} and {len(bundles)}"
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = [name for name in wheel.namelist() if re.match(r"[^/]+\.dist-info/sboms/", name)]
        if lock.sbom(root) not in [wheel.read(name).decode() for name in names]:
            raise ReleaseError(
                f"{wheels[0].name} has no SBOM of this version in .dist-info/sboms: run make wheel"
            )
    attested = _attested(attestation)
    for file in wheels + bundles:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if file in bundles and _read(file.with_name(f"{file.name}.sha256")).split() != [digest, file.name]:
            raise ReleaseError(f"{file.name} has no checksum beside it, or another one: run make plugin")
        if digest not in attested.get(file.name, ()):
            raise ReleaseError(
                f"{file.name} has no attestation in {attestation.name}: it is not what was attested"
            )


def _attested(file: Path) -> dict[str, set[str]]:
    """Return the digests of the subjects by name. The signatures are checked by `gh attestation verify`."""
    found: dict[str, set[str]] = {}
    for line in _read(file).splitlines():
        statement = json.loads(base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"]))
        for subject in statement["subject"]:
            found.setdefault(subject["name"], set()).add(subject["digest"]["sha256"])
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="release.py", description="Check that a tag can be released.")
    parser.add_argument("tag")
    parser.add_argument("--files", nargs="+", type=Path, metavar="FOLDER", help="what was built")
    parser.add_argument("--attestation", type=Path, metavar="FILE", help="their attestation")
    options = parser.parse_args()
    if (options.files is None) != (options.attestation is None):
        parser.error("--files and --attestation belong together")
    text = notes(options.tag)
    if options.files is None:
        sys.stdout.write(text)
    else:
        built(options.files, options.attestation)


if __name__ == "__main__":
    try:
        main()
    except ReleaseError as error:
        sys.exit(f"release: {error}")
