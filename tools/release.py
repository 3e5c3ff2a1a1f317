"""
Check that a tag can be released, and print its version's section of the changelog.

    python3 tools/release.py --check
    python3 tools/release.py v0.4.0 > notes.md
    python3 tools/release.py v0.4.0 --files dist plugin --attestation attestation.json

The first form prints everything that is missing for a release and for Pulumi's registry. The second form checks the
checkout: the version, the kept schema, the locks and the SBOM. The third form also checks the built files: the wheel
contains the SBOM, each bundle has a checksum, and each file has an attestation.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    # If Python runs this script, it puts this folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(ROOT)

from tools import lock  # noqa: E402  (the path must be set first)
from tools.plugin import repository, version  # noqa: E402  (as above)

PAGES = ("docs/_index.md", "docs/installation-configuration.md")
"""The pages that Pulumi's registry reads from the tag of a release, in addition to the schema."""


class ReleaseError(Exception):
    """Raised if the tag cannot be released; the text is one sentence."""


def notes(tag: str, root: Path = ROOT) -> str:
    """
    Return the changelog section of a version; `tag` is `v` and the version.

    Raises:
        ReleaseError: The checkout cannot be released.
    """
    for problem in problems(tag, root):
        raise ReleaseError(problem)
    return _changes(root)


def problems(tag: str, root: Path = ROOT) -> Iterator[str]:
    """
    Yield a sentence for each reason why a checkout cannot be released.

    The reasons: the tag is not the package's version, the schema of this version is not kept for later comparisons, a
    lock or the SBOM is out of date, or the changelog contains no dated section for the version.
    """
    packaged = version(root)
    if tag != f"v{packaged}":
        yield f"the tag {tag} is not the version of the package, v{packaged}"
    kept = json.loads((root / "tools/sdk/released.json").read_text(encoding="utf-8"))["version"]
    if kept != packaged:
        yield (
            f"tools/sdk/released.json is the schema of {kept}: run python tools/sdk/breaking.py --release and commit it"
        )
    for name in lock.LOCKS:
        try:
            locked(root, name)
        except ReleaseError as error:
            yield str(error)
    if _read(root / lock.SBOM) != lock.sbom(root):
        yield f"{lock.SBOM} is not for the version {packaged}: run make lock and commit it"
    if not _changes(root):
        yield f"CHANGELOG.md has no section '## [{packaged}] - YYYY-MM-DD' with text"


def missing(root: Path = ROOT) -> Iterator[str]:
    """Yield what the release and its entry in Pulumi's registry still need; accounts are not checked."""
    tag = f"v{version(root)}"
    yield from problems(tag, root)
    where = repository(root)
    if not where:
        yield (
            "pyproject.toml has no Repository, so the schema has no repository, logo and plugin address: make the "
            "repository public, write its address under [project.urls], and run make docs"
        )
    elif where.rpartition("/")[2].replace("pulumi-", "") != "stacks":
        yield f"Pulumi's registry uses the repository's name as the package's name: rename {where} to pulumi-stacks"
    for page in PAGES:
        if not (root / page).is_file():
            yield f"{page} is missing: Pulumi's registry reads it"
    command = ["git", "tag", "--list", tag]
    if not subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip():
        yield f"there is no tag {tag}: run git tag {tag} and git push origin {tag}"
    if 'INDEX: Final = ""' in _read(root / "stacks_pulumi/commands/_package.py"):
        yield (
            "no version is on a package index: after the first publication, write INDEX in "
            "stacks_pulumi/commands/_package.py"
        )


def _changes(root: Path) -> str:
    """Return the changelog section of the package's version; empty if it has no date or no text."""
    heading = rf"^## \[{re.escape(version(root))}\] - \d{{4}}-\d\d-\d\d\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", _read(root / "CHANGELOG.md"), re.MULTILINE | re.DOTALL)
    return "" if found is None or not found[1].strip() else found[1].strip() + "\n"


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def locked(root: Path, name: str) -> None:
    """
    Check that a lock belongs to this `pyproject.toml` and pins each package with hashes.

    Raises:
        ReleaseError: The lock belongs to a different `pyproject.toml`, or a package has no pinned version or no hash.
    """
    first, _, pins = _read(root / name).partition("\n")
    if first + "\n" != lock.heading(root):
        raise ReleaseError(f"{name} does not belong to this pyproject.toml: run make lock and commit it")
    for pin in re.split(r"\n(?=\S)", pins.strip("\n")):
        if not re.match(r"[\w.-]+==\S+", pin) or not re.search(r"--hash=sha256:[0-9a-f]{64}\b", pin):
            raise ReleaseError(
                f"{name} has no version and hash for {pin.split()[0]}: run make lock and commit it"
            )


def built(folders: list[Path], attestation: Path, root: Path = ROOT) -> None:
    """
    Check the built files.

    Args:
        folders: The folders with the wheel, the bundles and their checksums.
        attestation: The output of the attesting action: one Sigstore bundle in JSON per line.
        root: The checkout.

    Raises:
        ReleaseError: There is no wheel or no bundle, the wheel has no SBOM, a bundle has no checksum, or a file has no
            attestation.
    """
    files = [file for folder in folders for file in sorted(folder.iterdir())]
    wheels = [file for file in files if file.suffix == ".whl"]
    bundles = [file for file in files if file.name.endswith(".tar.gz")]
    if len(wheels) != 1 or not bundles:
        raise ReleaseError(
            f"one wheel and at least one bundle are needed, but there are {len(wheels)} and {len(bundles)}"
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
            raise ReleaseError(f"{file.name} has no checksum next to it, or a different one: run make plugin")
        if digest not in attested.get(file.name, ()):
            raise ReleaseError(
                f"{file.name} has no attestation in {attestation.name}: its content was not attested"
            )


def _attested(file: Path) -> dict[str, set[str]]:
    """Return the digests of the subjects by name. `gh attestation verify` checks the signatures."""
    found: dict[str, set[str]] = {}
    for line in _read(file).splitlines():
        statement = json.loads(base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"]))
        for subject in statement["subject"]:
            found.setdefault(subject["name"], set()).add(subject["digest"]["sha256"])
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="release.py", description="Check that a tag can be released.")
    parser.add_argument("tag", nargs="?")
    parser.add_argument(
        "--check",
        action="store_true",
        help="print everything that is missing; exit code 1 if something is missing",
    )
    parser.add_argument("--files", nargs="+", type=Path, metavar="FOLDER", help="what was built")
    parser.add_argument("--attestation", type=Path, metavar="FILE", help="their attestation")
    options = parser.parse_args()
    if (options.files is None) != (options.attestation is None):
        parser.error("--files and --attestation belong together")
    if options.check == (options.tag is not None):
        parser.error("name a tag, or --check")
    if options.check:
        found = list(missing())
        print(*found, sep="\n")
        sys.exit(bool(found))
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
