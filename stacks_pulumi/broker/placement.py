"""
Could other code read the key or the ledger, or change the broker's program?

Root can, and so can all code that runs as the broker's user. So with `--strict`, the broker must run as a separate
user, and no other user may be able to change its files.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = 0
_PROCESSES: Final = Path("/proc")


def exposures(files: Iterable[Path]) -> Iterator[str]:
    """Yield the ways in which other code could read the key or the ledger. `files` are the files of the broker."""
    own = os.getuid()
    if own == _ROOT:
        yield "the broker runs as root, like other programs of this machine: run it as a separate user"
        return
    if not (_PROCESSES / "self").exists():
        yield "this system does not show its processes in /proc, so other processes of the same user cannot be found"
        return
    other = next(_processes_of(own), None)
    if other is not None:
        yield (
            f"the process {other} runs as the same user ({own}), and can read its memory: run the broker as a "
            "separate user"
        )
    # A user who can change the program, or a folder above one of the files, can replace the file.
    named = [*files, Path(__file__), Path(sys.executable)]
    for path in dict.fromkeys(
        part for file in named for one in (file.absolute(), file.resolve()) for part in (one, *one.parents)
    ):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        # In a folder with the sticky bit, such as /tmp, only the owner can replace a file.
        is_open = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if is_open or found.st_uid not in {_ROOT, own}:
            yield f"another user or a group can change {path}: make the broker's user or root its only writer"


def _processes_of(user: int) -> Iterator[int]:
    """Yield the other processes of a user."""
    for entry in _PROCESSES.iterdir():
        try:
            is_other = entry.name.isdecimal() and int(entry.name) != os.getpid()
            # A zombie process has no command line.
            if is_other and entry.stat().st_uid == user and (entry / "cmdline").read_bytes():
                yield int(entry.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
