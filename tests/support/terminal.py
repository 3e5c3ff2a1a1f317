"""The screen of a terminal of a given width: a program runs in a pseudo terminal, and its output is drawn."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte
import pytest

__all__ = ["UNDER_NOHUP", "Drawn", "draw"]

UNDER_NOHUP = pytest.mark.skipif(
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="the tests run under nohup"
)
"""The mark of a test that closes a terminal: its processes would ignore the signal."""
_ROWS = 50


@dataclass(frozen=True)
class Drawn:
    """
    The result of a program in a terminal.

    Attributes:
        code: Exit code of the program.
        seen: Every line that was on the screen at some time.
        left: The lines at the end, including lines that were scrolled away.
        raw: The complete output of the program, with escape codes.
    """

    code: int
    seen: frozenset[str]
    left: list[str]
    raw: bytes


def draw(command: Sequence[str], columns: int, cwd: Path, env: Mapping[str, str]) -> Drawn:
    """Run a program in a terminal until it ends."""
    screen = pyte.HistoryScreen(columns, _ROWS, history=10_000)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**env, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen: set[str] = set()
    raw = b""
    while data := _read(ours):
        raw += data
        stream.feed(data)
        seen.update(line.rstrip() for line in screen.display)
    os.close(ours)
    top = ["".join(line[column].data for column in range(columns)) for line in screen.history.top]
    left = [line.rstrip() for line in (*top, *screen.display) if line.strip()]
    return Drawn(process.wait(), frozenset(seen), left, raw)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # When the program closes the terminal, Linux reports an error.
        return b""
