"""
Reading bodies whose shape the guide leaves open, or spells in several ways.

The list spells its fields in snake_case, the status in camelCase, the answer to a create request in both: `record`
brings all of them to one spelling and then lets msgspec check the types. Answers come with or without `data`, lists
come bare, wrapped or as a mapping, and texts come bare or wrapped.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from stacks_pulumi.api.models._base import Model

__all__ = ["ShapeError", "item", "items", "mapping", "nothing", "record", "snake", "text_of", "unwrap"]

M = TypeVar("M", bound=Model)

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[-\s]+")
_WHERE: Final = re.compile(r" - at `\$?(.*)`$")
_PAGE: Final = re.compile(r"\s*<(!doctype|html)", re.IGNORECASE)
_TEXT_KEYS: Final = (
    "data",
    "logs",
    "log",
    "lines",
    "certificate",
    "private_key",
    "key",
    "config",
    "content",
    "text",
)
_LINE_KEYS: Final = ("line", "log", "message", "text")


class ShapeError(Exception):
    """
    A body is not of the shape that was looked for.

    Attributes:
        path: Where, for instance `data[2].port`.
        wanted: What should be there; never what is.
    """

    def __init__(self, path: str, wanted: str) -> None:
        super().__init__(f"{path}: {wanted}")
        self.path = path
        self.wanted = wanted


def snake(name: str) -> str:
    """`hasWebUI` -> `has_web_ui`; names that are in snake_case already stay."""
    return _HUMP.sub("_", name).lower()


def nothing(_body: Any) -> None:
    """Read an answer that says no more than that it was done."""


def mapping(value: Any, path: str = "body") -> Mapping[str, Any]:
    """
    The value, which has to be an object.

    Raises:
        ShapeError: It is not.
    """
    if not isinstance(value, Mapping):
        raise ShapeError(path, "an object was expected")
    return value


def unwrap(body: Any, *keys: str, path: str = "body") -> tuple[Any, str]:
    """
    What the answer is about, and where that is: the value under `data` or one of the keys, or else the body itself.

    Args:
        body: The decoded body.
        keys: Names in snake_case that it may be under, beside or inside `data`.
        path: Where the body is.
    """
    for key in ("data", *keys):
        if isinstance(body, Mapping):
            name = next((name for name in body if snake(name) == key and body[name] is not None), None)
            if name is not None:
                body, path = body[name], name if path == "body" else f"{path}.{name}"
    return body, path


def item(kind: type[M], body: Any, *keys: str) -> M:
    """
    One model from an answer.

    Raises:
        ShapeError: It has another shape.
    """
    return record(kind, *unwrap(body, *keys))


def items(
    kind: type[M], body: Any, *keys: str, path: str = "body", bare: Sequence[str] = ()
) -> tuple[M, ...]:
    """
    All models from an answer that is a list: bare, wrapped, or as a mapping by name.

    Args:
        kind: The model.
        body: The decoded body.
        keys: Names that the list may be under, beside or inside `data`.
        path: Where the body is.
        bare: The fields that are meant by an entry that is only a text, or by the name of an entry in a mapping.

    Raises:
        ShapeError: It has another shape, or it announces more entries than it holds.
    """
    value, path = unwrap(body, *keys, path=path)
    entries = list(_entries(value, path, bare))
    # An absence from this list may come to mean "gone, forget it", so half a list must not pass for a whole one.
    count = body.get("count") if isinstance(body, Mapping) else None
    if isinstance(count, int) and count > len(entries):
        raise ShapeError(path, f"{count} entries were announced and {len(entries)} came")
    return tuple(record(kind, entry, where) for where, entry in entries)


def _entries(value: Any, path: str, bare: Sequence[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield f"{path}[{index}]", dict.fromkeys(bare, entry) if bare and isinstance(entry, str) else entry
    elif (
        bare
        and value
        and isinstance(value, Mapping)
        and all(isinstance(entry, Mapping) for entry in value.values())
    ):
        for index, (name, entry) in enumerate(value.items()):
            yield f"{path}[{index}]", {**dict.fromkeys(bare, name), **entry}
    else:
        raise ShapeError(path, "a list was expected")


def record(kind: type[M], value: Any, path: str = "body") -> M:
    """
    One model from one object, whatever the spelling of its fields.

    Raises:
        ShapeError: A field has another type, or one that must be there is missing.
    """
    given = {snake(name): entry for name, entry in mapping(value, path).items() if entry is not None}
    fields: dict[str, Any] = {}
    for name, is_text in _fields(kind):
        for spelling in (name, *kind.ALIASES.get(name, ())):
            if spelling in given:
                found = given[spelling]
                # `"version": 22` and `"id": 178` mean the text as well; a number that is a number stays one.
                numeric = isinstance(found, (int, float)) and not isinstance(found, bool)
                fields[name] = str(found) if is_text and numeric else found
                break
    for name, words in kind.SYNONYMS.items():
        if isinstance(fields.get(name), str):
            fields[name] = words.get(fields[name], fields[name])
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        message = str(error)
        where = _WHERE.search(message)
        raise ShapeError(path + (where.group(1) if where else ""), _WHERE.sub("", message)) from None


@functools.cache
def _fields(kind: type[Model]) -> tuple[tuple[str, bool], ...]:
    """Each field of a model, and whether it holds text."""
    return tuple((field.name, _is_text(field.type)) for field in msgspec.structs.fields(kind))


def _is_text(annotation: Any) -> bool:
    # `str`, `str | None`, `Id` or `Id | None`: not a container of texts.
    if annotation is str:
        return True
    return get_origin(annotation) in {Union, UnionType, Annotated} and any(
        map(_is_text, get_args(annotation))
    )


def text_of(body: Any) -> str:
    """
    The text of an answer: as it is, or wrapped in JSON under a name that makes sense, or a list of lines.

    Raises:
        ShapeError: There is none.
    """
    found = _text(body)
    if found is None or _PAGE.match(found):
        raise ShapeError("body", "a text was expected")
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        lines = [_line(entry) for entry in value]
        return None if None in lines else "\n".join(line.rstrip("\n") for line in lines if line is not None)
    if isinstance(value, Mapping):
        texts = (_text(found) for found in _under(value, _TEXT_KEYS))
        return next((text for text in texts if text is not None), None)
    return None


def _line(entry: Any) -> str | None:
    if not isinstance(entry, Mapping):
        return _text(entry)
    line = next((found for found in _under(entry, _LINE_KEYS) if isinstance(found, str)), None)
    stamp = entry.get("timestamp")
    return f"{stamp} {line}" if line is not None and isinstance(stamp, str) else line


def _under(value: Mapping[str, Any], keys: Iterable[str]) -> Iterable[Any]:
    given = {snake(name): entry for name, entry in value.items()}
    return (given[key] for key in keys if given.get(key) is not None)
