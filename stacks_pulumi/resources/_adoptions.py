"""
The objects that one operation of the engine has adopted, shared by all of its provider processes.

Each explicit provider has a separate process with a separate register of owners. If a program moves a container to
another provider and resource in one `up`, without an alias, one process adopts the container and the other one would
delete it. So each adoption is written to a file that all processes of one engine read; the engine's address identifies
it.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

from stacks_pulumi._home import pulumi_home

__all__ = ["adopted_elsewhere", "record_adoption"]

_KEPT: Final = 3 * 3600.0
"""Seconds for which a file is valid: a later engine may have the same port."""


def record_adoption(engine: str, kind: str, id_: str, token: str | None) -> None:
    """Record that the object was adopted. No-op without an engine, because then no other process exists."""
    file = _file(engine)
    if file is None:
        return
    # If the folder cannot be written, only the protection between processes is lost; the adoption goes on.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for other in file.parent.iterdir():
            if _is_old(other):
                other.unlink(missing_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{kind} {token} {id_}\n")


def adopted_elsewhere(engine: str, kind: str, id_: str, token: str | None) -> bool:
    """Return whether a resource with another token has adopted the object in this operation."""
    file = _file(engine)
    if file is None:
        return False
    try:
        if _is_old(file):
            return False
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    entries = [line.split(" ", maxsplit=2) for line in lines]
    tokens = [entry[1] for entry in entries if len(entry) == 3 and (entry[0], entry[2]) == (kind, id_)]
    return bool(tokens) and tokens[-1] != str(token)


def _is_old(file: Path) -> bool:
    return time.time() - file.stat().st_mtime > _KEPT


def _file(engine: str) -> Path | None:
    if not engine:
        return None
    return pulumi_home() / "stacks-adoptions" / engine.rpartition(":")[2]
