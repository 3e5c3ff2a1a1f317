"""One builder runs at a time and leaves a complete folder or none."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """
    Hold the lock file `path` during the block; `what` describes the block in messages.

    The kernel releases the lock when its holder ends in any way, so no stale lock is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process is {what}; waiting for it.", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def made(folder: Path) -> Iterator[Path]:
    """
    Yield an empty folder, which is renamed to `folder` if the block does not fail.

    The caller holds a lock, so existing files are from a killed run.
    """
    work = folder.with_name(f".making-{folder.name}")
    for leftover in (folder, work):
        shutil.rmtree(leftover, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
