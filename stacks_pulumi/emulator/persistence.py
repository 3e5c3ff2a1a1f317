"""The state in a file, so that an emulator can be stopped and go on later."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import msgspec

from stacks_pulumi.emulator.world import World

__all__ = ["StateFileError", "load", "save"]

_VERSION = 1


class StateFileError(Exception):
    """The file is there and cannot be used; `str` is one line that says what to do."""


class _File(msgspec.Struct):
    version: int
    world: World


def load(path: Path) -> World | None:
    """
    What a file holds.

    Returns:
        `None` if there is no such file, or an empty one.

    Raises:
        StateFileError: It cannot be read, or holds something else.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StateFileError(f"the state file {path} cannot be read: {exc.strerror}") from None
    if not content.strip():
        return None
    try:
        found = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        hint = "give another --state, or remove the file to begin anew"
        raise StateFileError(f"the state file {path} is none of the emulator's ({exc}): {hint}") from None
    if found.version != _VERSION:
        raise StateFileError(
            f"the state file {path} has version {found.version}, this emulator reads {_VERSION}: "
            "give another --state, or remove the file to begin anew"
        )
    return found.world


def save(path: Path, world: World) -> None:
    """
    Write everything to a file, whole or not at all.

    Raises:
        StateFileError: It cannot be written.
    """
    content = msgspec.json.format(msgspec.json.encode(_File(_VERSION, world)), indent=1)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError as exc:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise StateFileError(f"the state file {path} cannot be written: {exc.strerror}") from None
