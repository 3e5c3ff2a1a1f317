"""
Which programs of an agent may the engine run?

The engine runs programs on a machine that holds a person's passphrase and files. So a program is data and is checked
against an allow list. No program reads a file, starts a plugin, fetches an address, or receives a secret of the stack.
The checked program is written as JSON, and the engine reads only this JSON: a second YAML parser could read the
original text differently. Only the broker decides about requests to STACKS.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Literal, TypeAlias

import yaml

from stacks_pulumi._settings_file import positioned
from stacks_pulumi.errors import ErrorCode, StacksError, without_keys

Rule: TypeAlias = Literal["yaml", "size", "name", "part", "type", "option", "function", "reference", "secret"]
"""The subject of a refusal."""

_MOST_BYTES: Final = 65_536
_MOST_VALUES: Final = 5_000
"""The maximum number of values in a program, including the names in mappings."""
_DEEPEST: Final = 24
_LONGEST_TEXT: Final = 4_096
_MOST_DIGITS: Final = 15
_MOST_RESOURCES: Final = 100
_MOST_FAULTS: Final = 20
_MOST_EVALUATED: Final = 1_048_576
"""The maximum number of characters in all values of a program, after the engine has replaced all references."""
_OF_OUTPUT: Final = 256
_OF_CALL: Final = 4_096
"""The assumed lengths of an output and of a function's result, in characters: an agent cannot make them longer."""
_OF_JSON: Final = 6
"""The maximum number of characters that represent one character in JSON text, such as `\\u003c`."""

_TOP: Final = ("resources", "variables", "outputs")
_OF_RESOURCE: Final = ("type", "properties", "options")
_OPTIONS: Final = ("dependsOn", "protect")
_INVOKE: Final = "fn::invoke"
_FUNCTIONS: Final = ("fn::join", "fn::select", "fn::split", "fn::toJSON", _INVOKE)
"""The functions that do not read from the machine."""
_OF_INVOKE: Final = ("function", "arguments", "return")
_OF_PULUMI: Final = ("stack", "project", "organization")
_LOGS: Final = "stacks:index:getLogs"
"""A function whose result may contain a password, although the schema does not mark it as secret."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
"""
The names that a mapping of a program may contain, in addition to names of functions.

The engine treats a mapping with the name `4dabf18193072939515e22adb298388d` as a special object: an asset that it reads
or fetches, a secret, or a reference to a resource.
"""
_REFERENCE: Final = re.compile(
    r"\$\{(?P<name>[A-Za-z][A-Za-z0-9_-]*)"
    r"(?P<path>(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]{1,6}\]|\[\"[A-Za-z_][A-Za-z0-9_-]*\"\])*)\}",
    re.ASCII,
)
_STEP: Final = re.compile(
    r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]|\[\"([A-Za-z_][A-Za-z0-9_-]*)\"\]", re.ASCII
)
_INTEGER: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_DECIMAL: Final = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that are invisible or change the display of other text."""


@dataclass(frozen=True)
class ProgramFault:
    """
    A reason to refuse a program.

    Attributes:
        rule: The subject of the refusal.
        line: The line of the program's text; `None` if the program was not given as text.
        where: The place in the program, such as `resources.web.options`.
        text: A description of the refused part and of the allowed alternatives.
    """

    rule: Rule
    line: int | None
    where: str
    text: str

    def __str__(self) -> str:
        line = "" if self.line is None else f"line {self.line}, "
        return f"{line}{self.where or 'the program'}: {self.text} ({self.rule})"


class ProgramError(StacksError):
    """
    Raised if a program is not allowed; the engine was not started.

    Attributes:
        faults: The reasons, one for each place.
    """

    code: ErrorCode = "program-refused"
    faults: tuple[ProgramFault, ...] = ()


class UnreadableError(Exception):
    """Raised if a text is not a program, so no further check is possible."""

    def __init__(self, rule: Rule, line: int | None, text: str, where: str = "") -> None:
        super().__init__(text)
        self.fault = ProgramFault(rule, line, where, text)


@dataclass(frozen=True)
class Program:
    """
    A program that is allowed.

    Attributes:
        document: Its content, for the native plugin.
    """

    document: Mapping[str, Any]

    def text(self, settings: Mapping[str, Any]) -> bytes:
        """Return the project file that the engine reads: JSON, which every YAML parser reads in the same way."""
        document = {**settings, **self.document}
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def check(program: str | Mapping[str, Any], settings: Collection[str] = ()) -> Program:
    """
    Return a program that is allowed.

    Args:
        program: The whole program: text in YAML or JSON, or an object.
        settings: The names in the stack's configuration, such as `shop:size`. For `${size}`, the language host reads
            this setting, not a variable `size` of the program.

    Raises:
        ProgramError: The program is not allowed; the message and `faults` list each place.
    """
    try:
        document, lines = _read(program)
        taken = frozenset(name.rpartition(":")[2].casefold() for name in settings)
        checker = _Checker(document, lines, taken)
        checker.program()
        faults = tuple(checker.faults)
    except UnreadableError as error:
        faults = (error.fault,)
    except RecursionError:
        faults = (ProgramFault("size", None, "", "it is nested too deeply"),)
    if faults:
        shown = "; ".join(map(str, faults[:_MOST_FAULTS]))
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise ProgramError(
            without_keys(f"the program is refused: {shown}{more}"), faults=faults[:_MOST_FAULTS]
        )
    return Program(document)


# Reading


def _read(program: str | Mapping[str, Any]) -> tuple[Any, Mapping[str, int]]:
    """
    Return the content of a program and the line of each value by its place.

    Raises:
        UnreadableError: The text is not a program, is too large, or is ambiguous.
    """
    lines: dict[str, int] = {}
    if not isinstance(program, str):
        return _Copy(lines).of(program), lines
    if len(program.encode(errors="surrogatepass")) > _MOST_BYTES:
        raise UnreadableError("size", None, f"it has more than {_MOST_BYTES} bytes")

    def wrong(line: int, problem: str) -> UnreadableError:
        return UnreadableError("yaml", line, problem)

    def plain(node: yaml.ScalarNode) -> Any:
        """Return the value of a scalar: a JSON keyword, a JSON number, or a string."""
        return node.value if node.style else _plain(node.value, node.start_mark.line + 1)

    with contextlib.suppress(yaml.YAMLError):
        # The same parser raises this error again below, and there the message has a line.
        _check_events(program)
    document, lines = positioned(program, wrong, plain)
    return _Copy(lines).of(document), lines


def _check_events(text: str) -> None:
    """Refuse anchors, aliases, tags, directives, further documents and deep nesting, before the text is parsed."""
    documents = depth = 0
    # Each kind of event has its own attributes.
    events: Iterator[Any] = yaml.parse(text, yaml.SafeLoader)
    for event in events:
        line = event.start_mark.line + 1
        if getattr(event, "anchor", None) is not None:
            raise UnreadableError("yaml", line, "anchors (&) and aliases (*) are not allowed")
        if getattr(event, "tag", None) is not None:
            raise UnreadableError("yaml", line, f"tags are not allowed: {event.tag}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            # The parser takes minutes for a text that consists of brackets.
            raise UnreadableError("size", line, f"it is nested more than {_DEEPEST} levels deep")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1 or event.version or event.tags:
                raise UnreadableError("yaml", line, "it has a directive (%) or more than one document")


def _plain(text: str, line: int) -> Any:
    """Return the value of a plain YAML scalar: a JSON keyword, a JSON number, or a string."""
    if text in _WORDS:
        return _WORDS[text]
    is_integer = _INTEGER.fullmatch(text)
    if not is_integer and not _DECIMAL.fullmatch(text):
        return text
    if len(text) > _MOST_DIGITS:
        raise UnreadableError("yaml", line, f"a number has more than {_MOST_DIGITS} digits")
    return int(text) if is_integer else float(text)


class _Copy:
    """
    Copies a value; refuses it if it is not JSON or is too large.

    Args:
        lines: The line of each value by its place.
    """

    def __init__(self, lines: Mapping[str, int]) -> None:
        self._lines = lines
        self._values = self._size = 0

    def of(self, value: Any, where: str = "", depth: int = 0) -> Any:
        self._take(where, depth, value if isinstance(value, str) else "")
        if isinstance(value, Mapping):
            copy: dict[str, Any] = {}
            for key, one in value.items():
                if not isinstance(key, str):
                    raise self._error("yaml", where, "a name is not a string")
                below = f"{where}.{key}" if where else key
                self._take(below, depth, key)
                copy[key] = self.of(one, below, depth + 1)
            return copy
        if isinstance(value, list):
            return [self.of(one, f"{where}[{index}]", depth + 1) for index, one in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error("yaml", where, "a number is not finite")
        if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
            raise self._error("yaml", where, f"a number has more than {_MOST_DIGITS} digits")
        if value is None or isinstance(value, (str, int, float)):
            return value
        raise self._error("yaml", where, f"a value is a {type(value).__name__}, which JSON does not support")

    def _take(self, where: str, depth: int, text: str) -> None:
        self._values += 1
        self._size += len(text)
        if self._values > _MOST_VALUES or self._size > _MOST_BYTES:
            raise self._error("size", where, f"it has more than {_MOST_VALUES} values or {_MOST_BYTES} bytes")
        if depth > _DEEPEST:
            raise self._error("size", where, f"it is nested more than {_DEEPEST} levels deep")
        if len(text) > _LONGEST_TEXT:
            raise self._error("size", where, f"a text has more than {_LONGEST_TEXT} characters")
        for one in text:
            if unicodedata.category(one) in _UNSEEN and one not in "\n\t":
                words = f"a text has the character U+{ord(one):04X}, which is invisible"
                raise self._error("yaml", where, words)

    def _error(self, rule: Rule, where: str, text: str) -> UnreadableError:
        return UnreadableError(rule, self._lines.get(f".{where}"), text, _short(where, 120))


# Checking


@functools.cache
def _schema() -> tuple[Mapping[str, tuple[frozenset[str], frozenset[str]]], frozenset[str]]:
    """Return the native plugin's types with their outputs and secret outputs, and its functions without secrets."""
    text = resources.files("stacks_pulumi.hosts.plugin").joinpath("schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    types = {}
    for token, one in schema["resources"].items():
        known = {**one["inputProperties"], **one["properties"]}
        secret = {
            name
            for part in ("inputProperties", "properties")
            for name, value in one[part].items()
            if value.get("secret")
        }
        types[token] = frozenset((*known, "id", "urn")), frozenset(secret)
    functions = {
        token
        for token, one in schema["functions"].items()
        if token != _LOGS and not any(value.get("secret") for value in one["outputs"]["properties"].values())
    }
    return types, frozenset(functions)


class _Checker:
    """
    Checks the content of a program, place by place.

    Args:
        document: The program.
        lines: The line of each value by its place.
        taken: The names of settings in the stack's configuration, in lower case.
    """

    def __init__(self, document: Any, lines: Mapping[str, int], taken: frozenset[str]) -> None:
        self.document, self.lines, self.taken = document, lines, taken
        # A dictionary keeps the order and finds an entry fast: a program may have thousands of faults.
        self.faults: dict[ProgramFault, None] = {}
        self.types: dict[str, str] = {}
        self.parts: Mapping[str, Mapping[str, Any]] = {}

    def refuse(self, rule: Rule, where: str, text: str) -> None:
        """Record that a part is not allowed."""
        above = f".{where}"
        while above not in self.lines and above:
            above = re.sub(r"(\.[^.\[]*|\[[0-9]+\]|^[^.\[]*)$", "", above)
        line = self.lines.get(above)
        self.faults[ProgramFault(rule, line, _short(where, 120), _short(text, 300))] = None

    def program(self) -> None:
        if not isinstance(self.document, dict) or "resources" not in self.document:
            self.refuse("part", "", "it needs `resources` (`resources: {}` for an empty stack)")
            return
        self._keys(self.document, _TOP, "", "part")
        self.parts = {name: self._mapping(self.document.get(name), name) for name in _TOP}
        if len(self.parts["resources"]) > _MOST_RESOURCES:
            self.refuse("size", "resources", f"there are more than {_MOST_RESOURCES} resources")
            return
        self._names()
        for name, one in self.parts["resources"].items():
            self._type(name, one)
        for name, one in self.parts["resources"].items():
            self._resource(one, f"resources.{name}")
        for part in ("variables", "outputs"):
            for name, value in self.parts[part].items():
                self.expression(value, f"{part}.{name}")
        if not self.faults and _Evaluated(self.parts).size(self.document) > _MOST_EVALUATED:
            words = f"with all references replaced, it may have more than {_MOST_EVALUATED} characters"
            self.refuse("size", "", words)

    def _names(self) -> None:
        for part in _TOP:
            for name in self.parts[part]:
                where = f"{part}.{name}"
                if not _NAME.fullmatch(name) or name == "pulumi":
                    self.refuse(
                        "name", where, "a name consists of letters, digits, - and _, and begins with a letter"
                    )
                if part == "variables" and name in self.parts["resources"]:
                    self.refuse("name", where, "a resource has the same name")
                if part != "outputs" and name.casefold() in self.taken:
                    words = "a setting of the stack's configuration has this name and may be a secret"
                    self.refuse("name", where, f"{words}: choose a new name")

    def _type(self, name: str, resource: Any) -> None:
        where = f"resources.{name}"
        token = resource.get("type") if isinstance(resource, dict) else None
        known, _ = _schema()
        if not isinstance(token, str):
            self.refuse("type", where, "it needs a type, such as stacks:index:Container")
        elif _whole(token) not in known:
            self.refuse(
                "type",
                f"{where}.type",
                f"the type {token!r} is not allowed; the types are {', '.join(known)}",
            )
        else:
            self.types[name] = _whole(token)

    def _resource(self, resource: Any, where: str) -> None:
        if not isinstance(resource, dict):
            return
        self._keys(resource, _OF_RESOURCE, where, "option")
        self.expression(
            self._mapping(resource.get("properties"), f"{where}.properties"), f"{where}.properties"
        )
        options = self._mapping(resource.get("options"), f"{where}.options")
        self._keys(options, _OPTIONS, f"{where}.options", "option")
        if options.get("protect", True) is not True:
            self.refuse("option", f"{where}.options.protect", "only `protect: true` is allowed")
        needed = options.get("dependsOn", [])
        for index, one in enumerate(needed if isinstance(needed, list) else [needed]):
            found = _REFERENCE.fullmatch(one) if isinstance(one, str) else None
            if found is None or found["path"] or found["name"] not in self.types:
                place = f"{where}.options.dependsOn[{index}]"
                self.refuse(
                    "option", place, "write a reference to a resource of this program, such as ${web}"
                )

    def expression(self, value: Any, where: str) -> None:
        if isinstance(value, str):
            self._text(value, where)
        elif isinstance(value, list):
            for index, one in enumerate(value):
                self.expression(one, f"{where}[{index}]")
        elif isinstance(value, dict):
            function = next((key for key in value if key.casefold().startswith("fn::")), None)
            if function is not None:
                self._function(function, value, where)
                return
            for key, one in value.items():
                if not _KEY.fullmatch(key):
                    self.refuse(
                        "name", f"{where}.{key}", "a name may contain only letters, digits, '-', '_' and '.'"
                    )
                self.expression(one, f"{where}.{key}")

    def _function(self, name: str, value: Mapping[str, Any], where: str) -> None:
        place = f"{where}.{name}"
        if name not in _FUNCTIONS or len(value) != 1:
            words = (
                f"the function {name!r} is not allowed; the functions are {', '.join(_FUNCTIONS)}, each alone in "
                "its mapping"
            )
            self.refuse("function", place, words)
        elif name != _INVOKE:
            self.expression(value[name], place)
        else:
            call = self._mapping(value[name], place)
            self._keys(call, _OF_INVOKE, place, "function")
            token, wanted = call.get("function"), call.get("return")
            if not isinstance(token, str) or _whole(token) not in _schema()[1]:
                words = f"the function {token!r} is not allowed, or may return a secret"
                self.refuse("function", f"{place}.function", words)
            if wanted is not None and not (isinstance(wanted, str) and _KEY.fullmatch(wanted)):
                self.refuse("function", f"{place}.return", "it must be the name of an output")
            arguments = self._mapping(call.get("arguments"), f"{place}.arguments")
            self.expression(arguments, f"{place}.arguments")

    def _text(self, text: str, where: str) -> None:
        """Check the references in a text."""
        if "${" in _REFERENCE.sub("", text) or "$$" in text:
            words = "write a reference as ${NAME.OUTPUT}; $$ and other expressions are not allowed"
            self.refuse("reference", where, words)
            return
        for found in _REFERENCE.finditer(text):
            self._reference(found["name"], _steps(found["path"]), where)

    def _reference(self, name: str, steps: list[str], where: str) -> None:
        if name == "pulumi":
            if len(steps) != 1 or steps[0] not in _OF_PULUMI:
                self.refuse(
                    "reference", where, f"only these values of pulumi are allowed: {', '.join(_OF_PULUMI)}"
                )
        elif name in self.types:
            outputs, secret = _schema()[0][self.types[name]]
            if not steps or steps[0] not in outputs:
                words = (
                    f"name an output of {name!r}, such as ${{{name}.id}}; the outputs are "
                    f"{', '.join(sorted(outputs))}"
                )
                self.refuse("reference", where, words)
            elif steps[0] in secret:
                words = f"{name}.{steps[0]} is a secret, and a program cannot read secrets"
                self.refuse("secret", where, f"{words}; a Connection passes it to the container")
        elif name not in self.parts["variables"] and name not in self.parts["resources"]:
            # The name could be a setting of the stack's configuration, which may be a secret.
            self.refuse("reference", where, f"{name!r} is neither a resource nor a variable of this program")

    def _keys(self, value: Mapping[str, Any], allowed: tuple[str, ...], where: str, rule: Rule) -> None:
        for key in value:
            if key not in allowed:
                place = f"{where}.{key}" if where else key
                self.refuse(
                    rule, place, f"{key!r} is not allowed here; the allowed names are {', '.join(allowed)}"
                )

    def _mapping(self, value: Any, where: str) -> Mapping[str, Any]:
        if value is None or isinstance(value, dict):
            return value or {}
        self.refuse("part", where, "it must be a mapping")
        return {}


class _Evaluated:
    """
    Computes the maximum length of evaluated values.

    A text that refers to texts with further references can become very long.
    """

    def __init__(self, parts: Mapping[str, Mapping[str, Any]]) -> None:
        self.parts = parts
        self._sizes: dict[str, int] = {}

    def size(self, value: Any) -> int:
        """Return the maximum number of characters of a value; an entry of a list counts as at least one character."""
        if isinstance(value, str):
            found = _REFERENCE.finditer(value)
            return 1 + len(value) + sum(self._referred(one["name"], _steps(one["path"])) for one in found)
        if isinstance(value, list):
            return 1 + sum(map(self.size, value))
        if not isinstance(value, dict):
            return len(str(value))
        inside = sum(len(key) + self.size(one) for key, one in value.items())
        if _INVOKE in value:
            return _OF_CALL + inside
        if "fn::toJSON" in value:
            return _OF_JSON * inside
        if "fn::join" in value:
            # `join` puts the first text between all entries.
            given = value["fn::join"]
            between, entries = given if isinstance(given, list) and len(given) == 2 else (given, given)
            return self.size(between) * self.size(entries)
        # `split` can turn each character into an entry.
        return 2 * inside if "fn::split" in value else inside

    def _referred(self, name: str, steps: list[str]) -> int:
        if name in self.parts["variables"]:
            return self._size_of(name, self.parts["variables"][name])
        # An output may be equal to an input or contain it.
        inputs = self.parts["resources"].get(name, {}).get("properties")
        given = (inputs or {}).get(steps[0]) if steps else None
        return _OF_OUTPUT if given is None else max(_OF_OUTPUT, self._size_of(f"{name}.{steps[0]}", given))

    def _size_of(self, name: str, value: Any) -> int:
        if name not in self._sizes:
            # A greater length is refused anyway, and exact numbers could become huge. The first assignment also stops
            # the recursion for a value that refers to itself.
            self._sizes[name] = _MOST_EVALUATED + 1
            self._sizes[name] = min(self.size(value), _MOST_EVALUATED + 1)
        return self._sizes[name]


def _whole(token: str) -> str:
    """Return the full token of a type or function, as the language host completes it."""
    words = token.split(":")
    return f"stacks:index:{words[1]}" if len(words) == 2 and words[0] == "stacks" else token


def _steps(path: str) -> list[str]:
    """Return the names and numbers in the path of a reference."""
    return [next(filter(None, one)) for one in _STEP.findall(path)]


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
