"""
Which value types are specific to `gate.yaml`, and which paths may the file contain?

A path to a place outside the folder is an error, and the message names the line.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._settings_file import Reader, Scalars, text_of, why_unreadable
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.pricing.money import number

_LONGEST_TIME: Final = datetime.timedelta(days=90)
_TIME: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def opened(path: Path, file: str) -> tuple[Any, Reader]:
    """
    Return the content of a file, with every scalar as text, and the file's reader.

    `file` describes the file in messages.

    Raises:
        ConfigError: The file cannot be read or is not YAML.
    """
    try:
        text = text_of(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {why_unreadable(error)}", code="invalid-file") from None
    return Reader.of(text, file, _SCALARS)


@dataclass(frozen=True)
class Inside:
    """Finds the files that the settings name, and refuses those outside the gate's folder."""

    root: Path
    reader: Reader

    def file(self, name: str, where: str) -> Path:
        path = self._path(name, where)
        if not path.is_file():
            raise self.reader.error(where, f"there is no file {name}")
        return path

    def folder(self, name: str, where: str) -> Path:
        path = self._path(name, where)
        if not path.is_dir():
            raise self.reader.error(where, f"there is no folder {name}")
        return path

    def _path(self, name: str, where: str) -> Path:
        try:
            path = (self.root / name).resolve()
        except (OSError, ValueError, RuntimeError):
            raise self.reader.error(where, f"{name!r} is not a path") from None
        if not path.is_relative_to(self.root) or path == self.root:
            problem = f"{name} is outside the gate's folder: put it inside"
            raise self.reader.error(where, problem)
        return path


def duration(text: str) -> datetime.timedelta:
    """
    Parse a duration such as `30m`, `4h` or `2d`.

    Raises:
        ValueError: The text has a different form, or the duration is longer than 90 days.
    """
    found = _TIME.fullmatch(text)
    time = datetime.timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if time is None or time > _LONGEST_TIME:
        raise ValueError(f"{text!r} is not a time such as 30m, 4h or 2d, at most 90 days")
    return time


_SCALARS: Final[Scalars] = {
    Decimal: (number, "a number of US dollars"),
    datetime.timedelta: (duration, "a time such as 30m, 4h or 2d, at most 90 days"),
}
