"""
The file of the state, with which an emulator can be stopped and continued later.

The file is a snapshot. Later changes are in a journal next to it, one line for each change, which is written before the
response is sent. When the journal is large, and at the end, a new snapshot replaces it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from stacks_pulumi.emulator.state import State

__all__ = ["Journal", "StateFileError", "load", "save"]

_VERSION = 2
_READS = (1, 2)
"""The versions that can be read. Version 1 has no journal and no generation, and is otherwise the same."""

_FOLD_AFTER = 4_000_000
"""Bytes of journal after which a new snapshot is written."""

_COLLECTIONS = ("containers", "connections", "backups")
"""Fields of the state that map ids to objects; the journal contains each object that changed."""


class StateFileError(Exception):
    """The file exists but cannot be used; `str` is one line that says what to do."""


class _File(msgspec.Struct):
    version: int
    state: State = msgspec.field(name="world")
    generation: int = 0
    """The generation of the journal that belongs to this snapshot."""


class _Line(msgspec.Struct, omit_defaults=True):
    """
    One change.

    Attributes:
        generation: The generation of the snapshot that it follows.
        rest: The fields of the state that are not collections, if one of them changed.
        put: Collection -> id -> the changed object.
        gone: Collection -> ids of removed objects.
    """

    generation: int
    rest: Any = None
    put: dict[str, dict[str, Any]] = {}
    gone: dict[str, list[str]] = {}


class Journal:
    """
    Stores a state in a file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._generation: int | None = None
        self._size = 0
        self._encoder = msgspec.json.Encoder()
        self._known: dict[str, dict[str, bytes]] = {}
        self._rest = b""

    def save(self, state: State) -> None:
        """
        Write the changes since the last call.

        Raises:
            StateFileError: It cannot be written.
        """
        if self._generation is None or self._size > _FOLD_AFTER:
            self.fold(state)
            return
        line = self._changes(state, self._generation)
        if line is not None:
            # Without O_CREAT: if the journal was removed, a new one would lack the first changes.
            self._write(self._encoder.encode(line) + b"\n", os.O_APPEND)

    def fold(self, state: State) -> None:
        """
        Write a snapshot, and begin a new journal.

        Raises:
            StateFileError: It cannot be written.
        """
        generation = save(self._path, state)
        self._changes(state, generation)
        self._size = 0
        self._write(b"", os.O_CREAT | os.O_TRUNC)
        self._generation = generation

    def _write(self, content: bytes, flags: int) -> None:
        path = _beside(self._path)
        try:
            # Unbuffered and in one call, so that a line is complete unless the disk is full.
            with open(os.open(path, os.O_WRONLY | flags, 0o666), "wb", buffering=0) as file:  # noqa: PTH123  (of a descriptor)
                written = file.write(content)
        except OSError as exc:
            # The file lacks the remembered changes: write everything in the next call.
            self._generation = None
            raise StateFileError(f"the state file {path} cannot be written: {exc.strerror}") from None
        if written < len(content):
            self._generation = None
            raise StateFileError(f"the state file {path} cannot be written: {os.strerror(errno.ENOSPC)}")
        self._size += len(content)

    def _changes(self, state: State, generation: int) -> _Line | None:
        """Return the differences from the remembered state, and remember the current one."""
        line = _Line(generation)
        encode = self._encoder.encode
        for name in _COLLECTIONS:
            known = self._known.setdefault(name, {})
            now = {str(key): encode(value) for key, value in getattr(state, name).items()}
            put = {key: msgspec.Raw(value) for key, value in now.items() if known.get(key) != value}
            gone = [key for key in known if key not in now] if len(known) + len(put) > len(now) else []
            if put:
                line.put[name] = put
            if gone:
                line.gone[name] = gone
            self._known[name] = now
        rest = encode(_rest(state))
        if rest != self._rest:
            line.rest, self._rest = msgspec.Raw(rest), rest
        return line if line.put or line.gone or line.rest is not None else None


def load(path: Path) -> State | None:
    """
    Return the state from a file and its journal.

    Returns:
        `None` if the file does not exist or is empty.

    Raises:
        StateFileError: It cannot be read, or has other content.
    """
    content = _read(path)
    if not content.strip():
        return None
    try:
        snapshot = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        hint = "give another --state, or remove the file to start again"
        raise StateFileError(f"the state file {path} is not an emulator's ({exc}): {hint}") from None
    if snapshot.version not in _READS:
        raise StateFileError(
            f"the state file {path} has version {snapshot.version}, this emulator reads {_VERSION}: "
            "give another --state, or remove the file to start again"
        )
    try:
        return _replayed(snapshot, _read(_beside(path)))
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as exc:
        hint = "give another --state, or remove both files to start again"
        raise StateFileError(f"the journal {_beside(path)} is damaged ({exc}): {hint}") from None


def save(path: Path, state: State) -> int:
    """
    Write the whole state to a file atomically.

    Returns:
        The generation of the snapshot; a journal with another generation does not belong to it.

    Raises:
        StateFileError: It cannot be written.
    """
    generation = int.from_bytes(os.urandom(6), "big")
    content = msgspec.json.format(msgspec.json.encode(_File(_VERSION, state, generation)), indent=1)
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
    return generation


def _replayed(snapshot: _File, journal: bytes) -> State:
    """Return the state of a snapshot with the changes of its journal."""
    fields: dict[str, Any] = msgspec.to_builtins(snapshot.state)
    # A crash may have cut the last line; the response to that request was never sent.
    for text in journal.split(b"\n")[:-1]:
        line = msgspec.json.decode(text, type=_Line)
        if line.generation != snapshot.generation:
            continue
        if line.rest is not None:
            fields.update(line.rest)
        for name, objects in line.put.items():
            fields[name].update(objects)
        for name, keys in line.gone.items():
            for key in keys:
                fields[name].pop(key, None)
    return msgspec.json.decode(msgspec.json.encode(fields), type=State)


def _rest(state: State) -> dict[str, Any]:
    return {name: value for name, value in vars(state).items() if name not in _COLLECTIONS}


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.journal")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as exc:
        raise StateFileError(f"the state file {path} cannot be read: {exc.strerror}") from None
