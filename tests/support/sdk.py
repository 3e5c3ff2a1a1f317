"""The oldest supported SDK, in addition to the newest one, which is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.engine import pins

OLDEST = pins.OLDEST


def oldest_sdk() -> Path:
    """
    Return a folder with the oldest SDK, to put first on a module path.

    It contains only the SDK; its dependencies come from the environment, which has newer versions. The folder is
    outside the checkout. Only a complete download is moved there, so an interruption leaves nothing behind.
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
                # Another run was faster: use its folder.
                assert folder.exists()
    return folder
