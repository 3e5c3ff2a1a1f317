"""Tools from npm, installed once into the cache, and a browser."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.engine.lock import alone

__all__ = ["chromium", "needs", "node_folder", "run"]

_SOURCE = Path(__file__).parents[1] / "emulator" / "node"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stacks-pulumi"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a program; return its output, or fail and show the output."""
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "NO_COLOR": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:]
    return ended.stdout


def needs(*programs: str) -> None:
    """Skip the test if a program is missing; on CI it must be installed."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"CI has no {missing[0]}")
    if missing:
        pytest.skip(f"needs {missing[0]}")


def node_folder(source: Path = _SOURCE) -> Path:
    """Return a folder with the packages that `source` locks; skip the test without npm."""
    needs("node", "npm")
    digest = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder, done = _CACHE / f"node-{digest}", _CACHE / f"node-{digest}" / "done"
    with alone(_CACHE / f"node-{digest}.lock", "installing npm packages"):
        if not done.exists():
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, folder)
            run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
            done.touch()
    return folder


def chromium() -> str:
    """Return the path of a Chromium or Chrome; skip the test without one."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        found = shutil.which(name)
        if found is not None:
            return found
    pytest.skip("needs Chromium")
