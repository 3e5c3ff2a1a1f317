"""The oldest SDK that we support, beside the newest one that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST = "3.259.0"


def oldest_sdk() -> Path:
    """
    A folder with the oldest SDK, to be put first on a module path.

    Only the SDK itself is in it; what it depends on is taken from the environment, where newer versions are. It is
    kept outside of the checkout, and moved into place whole, so that an interrupted download leaves nothing behind.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stacks-pulumi" / "sdk"
    folder = cache / f"pulumi-{OLDEST}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            fetched = Path(work) / "sdk"
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--no-deps",
                    "--target",
                    fetched,
                    f"pulumi=={OLDEST}",
                ],
                check=True,
            )
            try:
                fetched.rename(folder)
            except OSError:
                # Another run was faster; its folder is as good.
                assert folder.exists()
    return folder
