"""
Parses a settings file; each error message contains the line number.

Every scalar is read as literal text, so `on` and `1:30` do not have the special meaning that YAML gives them. A setting
that is misspelt, empty or of the wrong type causes an error.
"""

from __future__ import annotations

import contextlib
import errno
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    TypeAlias,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from stacks_pulumi._identifiers import nearest
from stacks_pulumi._structs import convert
from stacks_pulumi.errors import ConfigError, without_keys

if TYPE_CHECKING:
    import yaml

_LONGEST_FILE: Final = 4_000_000
"""
The maximum size in bytes. A YAML program with a thousand resources has a tenth of this size, and a larger file would
take minutes to parse.
"""
_LONGEST: Final = 40
_MOST_VALUES: Final = 10_000
"""
The maximum number of values. A normal file contains hundreds, but nested aliases in a few lines could expand to
billions.
"""
Scalars: TypeAlias = Mapping[Any, tuple[Callable[[str], Any], str]]
"""
Types that only one kind of file contains. Each has a function that converts a string, and a description of a valid
string.
"""


def text_of(file: Path, *, longest: int = _LONGEST_FILE) -> str:
    """
    Return the text of an untrusted file from a project. The file must be a regular file, because reading a pipe or a
    device may never end.

    Raises:
        OSError: The file cannot be read, is not a regular file, or is too long.
        UnicodeDecodeError: The file is not UTF-8.
    """
    mode = file.stat().st_mode
    # Opening a folder raises an `OSError` as well.
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is not a regular file")
    with file.open("rb") as opened:
        content = opened.read(longest + 1)
    if len(content) > longest:
        raise OSError(errno.EFBIG, f"it is longer than {longest} bytes")
    return content.decode("utf-8")


def why_unreadable(error: OSError | ValueError) -> str:
    """
    Return why a file cannot be read as text, for a message. A path that contains a null byte also
    raises a `ValueError`.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def positioned(
    text: str,
    wrong: Callable[[int, str], Exception],
    scalar: Callable[[yaml.ScalarNode], Any] = lambda node: node.value,
) -> tuple[Any, dict[str, int]]:
    """
    Return the content of a YAML text, and the line of each value by its path (`.a.b`).

    Args:
        text: The text.
        wrong: Returns the error to raise if the text is not YAML, contains the same name twice, or is too large.
        scalar: Returns the value of a scalar; by default its text.
    """
    import yaml  # noqa: PLC0415  (only a file in YAML needs it)

    lines: dict[str, int] = {"": 1}
    left = _MOST_VALUES

    def plain(node: yaml.Node, where: str) -> Any:
        """
        Return the node's value. By default a scalar is text, because a platform may use words such as `on` or `3`.
        """
        nonlocal left
        left -= 1
        if left < 0:
            raise wrong(node.start_mark.line + 1, f"it has more than {_MOST_VALUES} values")
        lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [plain(entry, f"{where}[{index}]") for index, entry in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            values: dict[str, Any] = {}
            names: set[str] = set()
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise wrong(line, "a name is needed before the colon")
                # YAML would use the second value, so a limit could be replaced silently.
                if name.casefold() in names:
                    raise wrong(line, f"{without_keys(name)} occurs twice")
                names.add(name.casefold())
                lines[f"{where}.{name}"] = line
                values[name] = plain(value, f"{where}.{name}")
            return values
        return scalar(cast("yaml.ScalarNode", node))

    try:
        node = yaml.compose(text, yaml.BaseLoader)
        return ({} if node is None else plain(node, "")), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise wrong(1 if mark is None else mark.line + 1, "it is not YAML") from None
    except RecursionError:
        raise wrong(1, "it is nested too deeply") from None


def _wrong(file: str, line: int, problem: str) -> ConfigError:
    return ConfigError(f"{file}, line {line}: {problem}", code="invalid-file")


@dataclass(frozen=True)
class Reader:
    """
    Converts the strings in a file to the types of its settings. An error contains the line of the first wrong value.

    Attributes:
        file: The description of the file, for messages.
        lines: The line of each value, by its path (`.a.b`).
        scalars: Types that only this kind of file contains.
    """

    file: str
    lines: Mapping[str, int]
    scalars: Scalars = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, file: str, scalars: Scalars | None = None) -> tuple[Any, Reader]:
        """
        Return the content of a YAML text, with every scalar as a string, and a reader for this content.

        Raises:
            ConfigError: The text is not YAML.
        """
        document, lines = positioned(text, lambda line, problem: _wrong(file, line, problem))
        return document, cls(file, lines, scalars or {})

    def error(self, where: str, problem: str) -> ConfigError:
        """Return the error for a place in the file."""
        return _wrong(self.file, self.lines.get(where, 1), problem)

    def read(self, value: Any, kind: Any, where: str) -> Any:
        """Convert a value to the type, or raise an error that contains the value's line."""
        name = where.rpartition(".")[2] or "the file"
        if value in ("", [], {}) and where:
            # An empty value in YAML could mean everything or nothing.
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
                return (
                    self.scalars[kind][0](value)
                    if kind in self.scalars
                    else convert(value, kind, strict=False)
                )
        shown = f" is {_short(value)!r}, and" if isinstance(value, str) else ""
        raise self.error(where, f"{name}{shown} must be {self._in_words(kind)}")

    def _one_of(self, value: Any, kinds: list[Any], where: str) -> Any:
        fits = [kind for kind in kinds if _form(kind) is type(value)]
        if len(kinds) > 1 and not fits:
            name = where.rpartition(".")[2]
            raise self.error(where, f"{name} must be {' or '.join(map(self._in_words, kinds))}")
        return self.read(value, (fits or kinds)[0], where)

    def _section(self, value: dict[str, Any], kind: type[msgspec.Struct], where: str) -> msgspec.Struct:
        hints = get_type_hints(kind, include_extras=True)
        names = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
        for key in value:
            if key not in names:
                near = nearest(key, names)
                hint = f"did you mean {near}?" if near else f"the settings are {', '.join(names)}"
                problem = f"there is no setting {without_keys(key)}; {hint}"
                raise self.error(f"{where}.{key}", problem)
        given = {
            names[key]: self.read(one, hints[names[key]], f"{where}.{key}") for key, one in value.items()
        }
        for one in msgspec.structs.fields(kind):
            if one.required and one.name not in given:
                raise self.error(
                    where, f"{one.encode_name} is missing: it must be {self._in_words(one.type)}"
                )
        return kind(**given)

    def _in_words(self, kind: Any) -> str:
        """Return the description of a valid setting of this type."""
        origin, parts = get_origin(kind), [part for part in get_args(kind) if part is not type(None)]
        if kind in self.scalars:
            return self.scalars[kind][1]
        if origin in {Union, UnionType}:
            return " or ".join(map(self._in_words, parts))
        if origin is Literal:
            return " or ".join(map(str, parts))
        if origin is list:
            return f"a list; each entry is {self._in_words(parts[0])}"
        if origin is dict:
            return f"names, each with {self._in_words(parts[1])}"
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return f"settings ({', '.join(kind.__struct_encode_fields__)})"
        if origin is Annotated:
            (limits,), kind = kind.__metadata__, parts[0]
            if limits.le is not None:
                return f"a number from {limits.ge:g} to {limits.le:g}"
        return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a text")


def _form(kind: Any) -> type:
    """Return the form of a type's values in YAML: a mapping, a list or a string."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return dict
    origin = get_origin(kind)
    return origin if origin in {dict, list} else str


def _short(text: str) -> str:
    text = without_keys(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
