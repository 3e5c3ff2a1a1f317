"""Runs one command whose output goes to a log, and prints from time to time that it is still running."""

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
    """The command could not be started or failed; `output` is its output."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(command)
        self.output = output


def run(what: str, command: Sequence[str], *, cwd: Path, env: dict[str, str], log: Path) -> str:
    """
    Run `command`, append its output to `log`, and return the output.

    Raises:
        CommandFailedError: The command could not be started, or ended with an exit code other than 0.
    """
    with log.open("a+b") as output:
        start = output.seek(0, 2)
        try:
            process = subprocess.Popen(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise CommandFailedError(command[0], str(error)) from error
        try:
            code = wait(process, what)
        finally:
            # The process is still running only if this process is being interrupted.
            if process.poll() is None:
                process.terminate()
                process.wait()
        output.seek(start)
        text = output.read().decode("utf-8", "replace")
    if code:
        raise CommandFailedError(command[0], text)
    return text


def wait(process: subprocess.Popen[bytes], what: str) -> int:
    """Wait for the process and print progress from time to time."""
    started = time.monotonic()
    while True:
        try:
            return process.wait(HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"still {what} ({time.monotonic() - started:.0f} s).")
