"""
How is the text of a program of data read, with the line of each value, and which names may it have?

YAML is read by its events, so that anchors, aliases, tags, merges and directives are seen and refused: they hide what
is written, and a small text with them becomes a large program.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import yaml

Rule: TypeAlias = Literal[
    "yaml", "size", "name", "part", "type", "option", "input", "foreign", "function", "reference", "secret"
]
"""What a refusal is about."""

KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
"""
The names that a mapping of a program may have, besides those of functions.

The engine takes a mapping with the name `4dabf18193072939515e22adb298388d` for an object of its own: an asset that it
reads or fetches, a secret, or a reference to a resource.
"""
FUNCTIONS: Final = ("fn::join", "fn::select", "fn::split", "fn::toJSON", "fn::secret")
"""The functions that read nothing outside of the program."""

_MOST_DIGITS: Final = 15

_INTEGER: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_DECIMAL: Final = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that a reader cannot see, or that change what is read."""


@dataclass(frozen=True)
class ProgramFault:
    """
    Why a program is refused.

    Attributes:
        rule: What it is about.
        line: The line of the program's text; `None` if the program was not given as text.
        where: The place in the program, such as `resources.web.options`.
        text: What is not allowed there, and what is.
    """

    rule: Rule
    line: int | None
    where: str
    text: str

    def __str__(self) -> str:
        line = "" if self.line is None else f"line {self.line}, "
        return f"{line}{self.where or 'the program'}: {self.text} ({self.rule})"


class UnreadableError(Exception):
    """The text is no program, so nothing else is looked at."""

    def __init__(self, rule: Rule, line: int | None, text: str, where: str = "") -> None:
        super().__init__(text)
        self.refusal = ProgramFault(rule, line, where, text)


@dataclass(frozen=True)
class Limits:
    """
    How large a program may be.

    Attributes:
        size: Bytes.
        values: Values, with the names of mappings.
        depth: Levels of lists and mappings.
        text: Characters of one text.
    """

    size: int = 65_536
    values: int = 5_000
    depth: int = 24
    text: int = 4_096


def read(program: str | Mapping[str, Any], limits: Limits = Limits()) -> tuple[Any, Mapping[str, int]]:
    """
    Return the content of a program, and the line of each value by its place.

    Raises:
        UnreadableError: It is no program, is too large, or can be read in two ways.
    """
    budget = _Budget(limits)
    if isinstance(program, str):
        if len(program.encode(errors="surrogatepass")) > limits.size:
            raise UnreadableError("size", None, f"it has more than {limits.size} bytes")
        return _Text(program, budget).read()
    return _plain(program, budget), {}


@dataclass
class _Budget:
    """How much a program may still have, so that a small text cannot become a large program."""

    limits: Limits
    values: int = 0
    size: int = 0

    def take(self, line: int | None, depth: int, text: str = "") -> None:
        limits = self.limits
        self.values += 1
        self.size += len(text)
        if self.values > limits.values or self.size > limits.size:
            raise UnreadableError(
                "size", line, f"it has more than {limits.values} values or {limits.size} bytes"
            )
        if depth > limits.depth:
            raise UnreadableError("size", line, f"it is nested more than {limits.depth} levels deep")
        if len(text) > limits.text:
            raise UnreadableError("size", line, f"a text has more than {limits.text} characters")
        unseen = next(
            (one for one in text if unicodedata.category(one) in _UNSEEN and one not in "\n\t"), None
        )
        if unseen is not None:
            raise UnreadableError(
                "yaml", line, f"a text has the character U+{ord(unseen):04X}, which cannot be seen"
            )


def _plain(value: Any, budget: _Budget, depth: int = 0) -> Any:
    """Return a copy of a value that is JSON."""
    budget.take(None, depth, value if isinstance(value, str) else "")
    if isinstance(value, Mapping):
        copy: dict[str, Any] = {}
        for key, one in value.items():
            if not isinstance(key, str):
                raise UnreadableError("yaml", None, "a name is not a text")
            budget.take(None, depth, key)
            copy[key] = _plain(one, budget, depth + 1)
        return copy
    if isinstance(value, list):
        return [_plain(one, budget, depth + 1) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise UnreadableError("yaml", None, "a number is not finite")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_MOST_DIGITS:
        raise UnreadableError("yaml", None, f"a number has more than {_MOST_DIGITS} digits")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise UnreadableError("yaml", None, f"a value is a {type(value).__name__}, which JSON does not have")


@dataclass
class _Text:
    """Reads a YAML text by its events: without anchors, tags and other features that hide what is written."""

    text: str
    budget: _Budget
    lines: dict[str, int] = field(default_factory=dict)

    def read(self) -> tuple[Any, Mapping[str, int]]:
        try:
            # Each event is an object with a position.
            self._events: Iterator[Any] = iter(yaml.parse(self.text, yaml.SafeLoader))
            next(self._events)
            document = None
            event = next(self._events)
            if isinstance(event, yaml.DocumentStartEvent):
                if event.version or event.tags:
                    raise UnreadableError("yaml", self._line(event), "it has a directive (%)")
                document = self._value(next(self._events), "", 0)
                next(self._events)
                if not isinstance(event := next(self._events), yaml.StreamEndEvent):
                    raise UnreadableError("yaml", self._line(event), "it has more than one document")
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = getattr(error, "problem", None) or "a character is not allowed"
            line = None if mark is None else mark.line + 1
            raise UnreadableError("yaml", line, f"it is not YAML: {what}") from None
        return document, self.lines

    @staticmethod
    def _line(event: Any) -> int:
        return int(event.start_mark.line) + 1

    def _value(self, event: Any, where: str, depth: int) -> Any:
        line = self._line(event)
        self.lines.setdefault(where, line)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise UnreadableError("yaml", line, "anchors (&) and aliases (*) are not allowed", where)
        if event.tag is not None:
            raise UnreadableError("yaml", line, f"tags are not allowed: {event.tag}", where)
        self.budget.take(line, depth, event.value if isinstance(event, yaml.ScalarEvent) else "")
        if isinstance(event, yaml.ScalarEvent):
            return event.value if event.style else self._scalar(event.value, line)
        if isinstance(event, yaml.SequenceStartEvent):
            values: list[Any] = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                values.append(self._value(event, f"{where}[{len(values)}]", depth + 1))
            return values
        mapping: dict[str, Any] = {}
        names: set[str] = set()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = self._line(event)
            key = event.value if isinstance(event, yaml.ScalarEvent) else None
            if (
                key is None
                or event.anchor is not None
                or event.tag is not None
                or (key == "<<" and not event.style)
            ):
                raise UnreadableError(
                    "yaml", line, "a name is a plain text, without anchor, tag or merge (<<)", where
                )
            self.budget.take(line, depth, key)
            # The language host compares some names without case.
            if key.casefold() in names:
                raise UnreadableError("yaml", line, f"{key!r} is there twice", where)
            names.add(key.casefold())
            below = f"{where}.{key}" if where else key
            self.lines[below] = line
            mapping[key] = self._value(next(self._events), below, depth + 1)
        return mapping

    @staticmethod
    def _scalar(text: str, line: int) -> Any:
        """Return the value of a plain scalar: JSON's words and numbers; everything else is a text."""
        if text in _WORDS:
            return _WORDS[text]
        number: Callable[[str], Any] | None = (
            int if _INTEGER.fullmatch(text) else float if _DECIMAL.fullmatch(text) else None
        )
        if number is None:
            return text
        if len(text) > _MOST_DIGITS:
            raise UnreadableError("yaml", line, f"a number has more than {_MOST_DIGITS} digits")
        value = number(text)
        if not math.isfinite(value):
            raise UnreadableError("yaml", line, "a number is not finite")
        return value
