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
if not __package__:
    # Run as a script: this folder would come first on the path, where its modules could hide others.
    sys.path[0] = str(ROOT)

from tools.plugin import version  # noqa: E402  (the path has to be set first)


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
    packaged = version(root)
    if tag != f"v{packaged}":
        raise ReleaseError(f"the tag {tag} is not the version of the package, v{packaged}")
    kept = json.loads((root / "tools/sdk/released.json").read_text(encoding="utf-8"))["version"]
    if kept != packaged:
        raise ReleaseError(
            f"tools/sdk/released.json is the schema of {kept}: run python tools/sdk/breaking.py --release, commit it"
        )
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(packaged)}\] - \d{{4}}-\d\d-\d\d\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ReleaseError(f"CHANGELOG.md has no part '## [{packaged}] - YYYY-MM-DD' with text in it")
    return found[1].strip() + "\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(notes(sys.argv[1]))
    except ReleaseError as error:
        sys.exit(f"release: {error}")
