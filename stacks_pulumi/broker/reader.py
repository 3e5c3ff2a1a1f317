"""
How is a file of settings read, so that a mistake has its line?

A setting that is misspelt, empty or of another type is an error. So is a path that leads out of the folder.
"""

from __future__ import annotations

import contextlib
import datetime
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from stacks_pulumi.config import text_of, why_unreadable, without_keys
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.platform_file import positioned
from stacks_pulumi.pricing.money import number

_LONGEST_TIME: Final = datetime.timedelta(days=90)
_TIME: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def _wrong(file: str, line: int, problem: str) -> ConfigError:
    return ConfigError(f"{file}, line {line}: {problem}", code="invalid-file")


@dataclass(frozen=True)
class Reader:
    """
    Turns the texts of a file into its types, and names the line of the first that does not fit.

    Attributes:
        file: What the file is, for messages.
        lines: The line of each value, by its path (`.a.b`).
    """

    file: str
    lines: Mapping[str, int]

    @classmethod
    def of(cls, path: Path, file: str) -> tuple[Any, Reader]:
        """
        Return the content of a file, with every scalar as text, and its reader.

        Args:
            path: The file.
            file: What it is, for messages.

        Raises:
            ConfigError: It cannot be read, or is not YAML.
        """
        try:
            text = text_of(path)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{file} cannot be read: {why_unreadable(error)}", code="invalid-file"
            ) from None
        document, lines = positioned(text, lambda line, problem: _wrong(file, line, problem))
        return document, cls(file, lines)

    def error(self, where: str, problem: str) -> ConfigError:
        """Return the error for a place in the file."""
        return _wrong(self.file, self.lines.get(where, 1), problem)

    def read(self, value: Any, kind: Any, where: str) -> Any:
        """Return a value as the type, or raise the error with its line."""
        name = where.rpartition(".")[2] or "the file"
        if value in ("", [], {}) and where:
            # YAML has nothing there, and that could mean all or none.
            raise self.error(where, f"{name} is empty: write a value, or leave it out")
        origin, parts = get_origin(kind), get_args(kind)
        if origin in {Union, UnionType}:
            return self._one_of(value, [part for part in parts if part is not type(None)], where)
        if origin is list and isinstance(value, list):
            return [self.read(one, parts[0], f"{where}[{index}]") for index, one in enumerate(value)]
        if origin is dict and isinstance(value, dict):
            return {key: self.read(one, parts[1], f"{where}.{key}") for key, one in value.items()}
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
            return self._section(value, kind, where)
        if isinstance(value, str):
            with contextlib.suppress(ValueError, msgspec.ValidationError):
                return _scalar(value, kind)
        shown = f" is {without_keys(value)!r}, and" if isinstance(value, str) else ""
        raise self.error(where, f"{name}{shown} must be {_in_words(kind)}")

    def _one_of(self, value: Any, kinds: list[Any], where: str) -> Any:
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
        fits = sections if isinstance(value, dict) else [kind for kind in kinds if kind not in sections]
        if len(kinds) > 1 and not fits:
            name = where.rpartition(".")[2]
            raise self.error(where, f"{name} must be {' or '.join(map(_in_words, kinds))}")
        return self.read(value, (fits or kinds)[0], where)

    def _section(self, value: dict[str, Any], kind: type[msgspec.Struct], where: str) -> msgspec.Struct:
        hints = get_type_hints(kind, include_extras=True)
        names = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
        for key in value:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
                raise self.error(f"{where}.{key}", f"there is no setting {without_keys(key)}; {hint}")
        given = {
            names[key]: self.read(one, hints[names[key]], f"{where}.{key}") for key, one in value.items()
        }
        for field in msgspec.structs.fields(kind):
            if field.required and field.name not in given:
                raise self.error(where, f"{field.encode_name} is missing: it must be {_in_words(field.type)}")
        return kind(**given)


def _scalar(text: str, kind: Any) -> Any:
    if kind is Decimal:
        return number(text)
    if kind is datetime.timedelta:
        return duration(text)
    return msgspec.convert(text, kind, strict=False)


def _in_words(kind: Any) -> str:
    """Return what a setting of this type must be."""
    origin, parts = get_origin(kind), [part for part in get_args(kind) if part is not type(None)]
    if kind is Decimal:
        return "a number of US dollars"
    if kind is datetime.timedelta:
        return "a time such as 30m, 4h or 2d, 90 days at most"
    if origin in {Union, UnionType}:
        return " or ".join(map(_in_words, parts))
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin is list:
        return f"a list; each entry is {_in_words(parts[0])}"
    if origin is dict:
        return f"names, each with {_in_words(parts[1])}"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"settings ({', '.join(kind.__struct_encode_fields__)})"
    if origin is Annotated:
        kind = parts[0]
    return {bool: "true or false", int: "a whole number"}.get(kind, "a text")


@dataclass(frozen=True)
class Inside:
    """Finds what the settings name, in the gate's folder and nowhere else."""

    root: Path
    reader: Reader

    def file(self, name: str, where: str) -> Path:
        """Return a file."""
        path = self._path(name, where)
        if not path.is_file():
            raise self.reader.error(where, f"there is no file {name}")
        return path

    def folder(self, name: str, where: str) -> Path:
        """Return a folder."""
        path = self._path(name, where)
        if not path.is_dir():
            raise self.reader.error(where, f"there is no folder {name}")
        return path

    def _path(self, name: str, where: str) -> Path:
        try:
            path = (self.root / name).resolve()
        except (OSError, ValueError, RuntimeError):
            raise self.reader.error(where, f"{name!r} is no path") from None
        if not path.is_relative_to(self.root) or path == self.root:
            problem = f"{name} is outside of the gate's folder, whose digest is approved: put it inside"
            raise self.reader.error(where, problem)
        return path


def duration(text: str) -> datetime.timedelta:
    """
    Return a time such as `30m`, `4h` or `2d`.

    Raises:
        ValueError: It is not written so, or is longer than 90 days.
    """
    found = _TIME.fullmatch(text)
    time = datetime.timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if time is None or time > _LONGEST_TIME:
        raise ValueError(f"{text!r} is not a time such as 30m, 4h or 2d, 90 days at most")
    return time
