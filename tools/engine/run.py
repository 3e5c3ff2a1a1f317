"""Runs one command whose output goes to a log, and says from time to time that it still runs."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from tools.engine.say import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEARTBEAT_SECONDS = 30


class CommandFailedError(Exception):
    """The command ended badly; `output` is what it wrote."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(command)
        self.output = output


def run(what: str, command: Sequence[str], *, cwd: Path, env: dict[str, str], log: Path) -> None:
    """
    Run `command`, appending its output to `log`.

    Raises:
        CommandFailedError: It ended with another code than 0.
    """
    started = time.monotonic()
    with log.open("a+b") as output:
        start = output.tell()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while True:
                try:
                    code = process.wait(HEARTBEAT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"still {what} ({time.monotonic() - started:.0f} s).")
        finally:
            # Reached with a live process only when this one is being interrupted.
            if process.poll() is None:
                process.terminate()
                process.wait()
        if code:
            output.seek(start)
            raise CommandFailedError(command[0], output.read().decode("utf-8", "replace"))
