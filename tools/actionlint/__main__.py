"""
Check workflows with actionlint: the installed one, or one that Go builds from the pinned module.

    python tools/actionlint FILE ...
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(files: list[str]) -> int:
    """Return actionlint's exit code; if it is not available, 1 in CI and 0 elsewhere, with a notice."""
    paths = [str(Path(file).resolve()) for file in files]
    if shutil.which("actionlint"):
        return subprocess.call(["actionlint", *paths])
    if shutil.which("go"):
        return subprocess.call(["go", "-C", str(HERE), "tool", "actionlint", *paths])
    sys.stderr.write("Workflows are not checked by actionlint: install it, or Go 1.21 or newer.\n")
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
