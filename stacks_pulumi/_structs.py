"""Converts JSON into structs; several threads may do this at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

_building: Final = threading.Lock()
_built: Final = set[Any]()


def decode(data: bytes | str, kind: type[T]) -> T:
    """
    Return the value in a JSON text.

    Raises:
        msgspec.DecodeError: The text is not JSON, or does not have the form of the type.
    """
    _prepare(kind)
    return msgspec.json.decode(data, type=kind)


def decode_lines(data: bytes, kind: type[T]) -> list[T]:
    """
    Return the values in JSON lines.

    Raises:
        msgspec.DecodeError: A line is not JSON, or does not have the form of the type.
    """
    _prepare(kind)
    return msgspec.json.Decoder(kind).decode_lines(data)


def convert(
    value: Any, kind: type[T], *, strict: bool = True, dec_hook: Callable[[type, Any], Any] | None = None
) -> T:
    """
    Convert plain data to a value of this type.

    Raises:
        msgspec.ValidationError: The value does not have the form of the type.
    """
    _prepare(kind)
    return msgspec.convert(value, kind, strict=strict, dec_hook=dec_hook)


def _prepare(kind: Any) -> None:
    """
    Make msgspec build its data about a type in one thread.

    msgspec builds the data at the first conversion. Two threads that build it at the same time crash the interpreter
    (msgspec 0.22).
    """
    if kind not in _built:
        with _building:
            msgspec.json.Decoder(kind)
            _built.add(kind)
