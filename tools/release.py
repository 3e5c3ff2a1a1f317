"""
Check that a tag is the version of this checkout and of its kept schema, and print that version's part of the changelog.

    python3 tools/release.py v0.3.0 > notes.md
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


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
            with the next one, or the changelog has no dated part for it.
    """
    package = (root / "stacks_pulumi/__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    if version is None or tag != f"v{version[1]}":
        raise ReleaseError(f"the tag {tag} is not the version of the package, v{version and version[1]}")
    kept = json.loads((root / "tools/sdk/released.json").read_text(encoding="utf-8"))["version"]
    if kept != version[1]:
        raise ReleaseError(
            f"tools/sdk/released.json is the schema of {kept}: run python tools/sdk/breaking.py --release, commit it"
        )
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(version[1])}\] - \d{{4}}-\d\d-\d\d\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ReleaseError(f"CHANGELOG.md has no part '## [{version[1]}] - YYYY-MM-DD' with text in it")
    return found[1].strip() + "\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(notes(sys.argv[1]))
    except ReleaseError as error:
        sys.exit(f"release: {error}")
