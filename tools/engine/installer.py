"""The second way: the official installer, when it can be reached."""

from __future__ import annotations

import http.client
import os
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

from tools.engine import pins
from tools.engine.run import CommandFailedError, run
from tools.engine.say import say

ADDRESS = "https://get.pulumi.com/install.sh"
PATIENCE_SECONDS = 5


def install(root: Path, log: Path) -> bool:
    """Put the pinned engine into `root`/bin; False when the installer cannot be reached or fails."""
    script = download()
    if script is None:
        say("the official installer cannot be reached.")
        return False
    say(f"installing pulumi {pins.VERSION} with the official installer; this takes about a minute.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "install.sh"
        path.write_bytes(script)
        command = ["sh", str(path), "--version", pins.VERSION, "--install-root", str(root), "--no-edit-path"]
        try:
            run("installing", command, cwd=root, env=dict(os.environ), log=log)
        except CommandFailedError:
            say(f"the official installer failed; its output is in {log}.")
            return False
    return True


def download() -> bytes | None:
    """
    Return the installer's text, or None when it does not come quickly.

    In a thread, because a time-out given to the request does not cover the look-up of the name.
    """
    answer: list[bytes] = []

    def get() -> None:
        try:
            with urllib.request.urlopen(ADDRESS, timeout=PATIENCE_SECONDS) as response:
                answer.append(response.read())
        except (OSError, urllib.error.URLError, http.client.HTTPException):
            return

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    # A portal's login page also answers 200.
    return answer[0] if answer and answer[0].startswith(b"#!") else None
