"""
Which programs of an agent are allowed?

A program runs where the account's key is, so it is checked by a list of what is allowed; what is not in the list is
refused. The engine never reads the agent's text: it reads what was checked here, written again as JSON, so that two
readers of YAML cannot see two programs.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from stacks_pulumi import catalog
from stacks_pulumi.errors import ErrorCode, StacksError, without_keys
from stacks_pulumi.gate.source import FUNCTIONS, KEY, ProgramFault, Rule, UnreadableError, read

_MOST_RESOURCES: Final = 100
_MOST_REFUSALS: Final = 20
_MOST_EVALUATED: Final = 1_048_576
"""How many characters all values of a program may have together, when the engine has put in what they refer to."""
_OF_OUTPUT: Final = 256
_OF_CALL: Final = 4_096
"""How many characters an output, and the result of a function, count as: an agent cannot make them longer."""
_OF_JSON: Final = 6
"""How many characters one may become in a text of JSON, such as `\\u003c`."""

_TOP: Final = ("resources", "variables", "outputs")
_OF_RESOURCE: Final = ("type", "properties", "options")
_OPTIONS: Final = ("dependsOn", "protect")
_FUNCTIONS: Final = (*FUNCTIONS, "fn::invoke")
_OF_INVOKE: Final = ("function", "arguments", "return")
_OF_PULUMI: Final = ("stack", "project", "organization")
_PROPERTIES_OF_ALL: Final = ("id", "urn")

_NOT_ALLOWED: Final = {
    "adopt": "an agent may not take over what exists already",
    "discountCode": "a code changes the price that was judged",
}
"""Inputs of any resource that a program may not set."""

_OTHERS: Final = frozenset(
    {
        "stacks:index:listContainers",
        "stacks:index:listAvailableTargets",
        "stacks:index:getBackupStats",
    }
)
"""Functions that list containers outside of this stack."""

_MAY_HOLD_SECRETS: Final = frozenset({"stacks:index:getLogs"})
"""Functions whose results may have a password in them, although the schema does not call them secret."""

_OWN: Final = {
    "container": ("stacks:index:Container", "id"),
    "source": ("stacks:index:Container", "id"),
    "target": ("stacks:index:Container", "id"),
    "backupId": ("stacks:index:PinnedBackup", "backupId"),
    "containerId": ("stacks:index:Container", "id"),
}
"""Inputs that name what they act on: each is a reference to a resource of this program, and to this output of it."""

_OWN_CONTAINER: Final = ("stacks:index:Container", "id")
_CONTAINER: Final = "stacks:index:Container"
_PINNED: Final = "stacks:index:PinnedBackup"

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_REFERENCE: Final = re.compile(
    r"\$\{(?P<name>[A-Za-z][A-Za-z0-9_-]*)"
    r"(?P<path>(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]{1,6}\]|\[\"[A-Za-z_][A-Za-z0-9_-]*\"\])*)\}",
    re.ASCII,
)
_STEP: Final = re.compile(
    r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]|\[\"([A-Za-z_][A-Za-z0-9_-]*)\"\]", re.ASCII
)


class ProgramError(StacksError):
    """
    A program is not allowed; nothing was run.

    Attributes:
        refusals: Everything that is not allowed in it.
    """

    code: ErrorCode = "program-refused"
    refusals: tuple[ProgramFault, ...] = ()


@dataclass(frozen=True)
class Program:
    """
    A program that is allowed.

    Attributes:
        document: Its content, for the native plugin.
    """

    document: Mapping[str, Any]

    def text(self, settings: Mapping[str, Any]) -> bytes:
        """
        Return the project file that the engine reads: JSON, which every reader of YAML reads in the same way.

        Args:
            settings: The project's name, description and runtime.
        """
        document = {**settings, **self.document}
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def check(program: str | Mapping[str, Any], settings: Collection[str] = ()) -> Program:
    """
    Return a program that is allowed.

    Args:
        program: The whole program: text in YAML or JSON, or an object.
        settings: The names in the stack's configuration, such as `shop:size`. The language host takes `${size}` from
            there, and not from a variable `size` of the program.

    Raises:
        ProgramError: It is not allowed; the message and `refusals` have each place.
    """
    try:
        document, lines = read(program)
        taken = frozenset(name.rpartition(":")[2].casefold() for name in settings)
        checker = _Checker(document, lines, taken)
        checker.program()
        refusals = tuple(checker.refusals)
    except UnreadableError as error:
        refusals = (error.refusal,)
    except RecursionError:
        refusals = (ProgramFault("size", None, "", "it is nested too deeply"),)
    if refusals:
        shown = "; ".join(map(str, refusals[:_MOST_REFUSALS]))
        more = f"; and {len(refusals) - _MOST_REFUSALS} more" if len(refusals) > _MOST_REFUSALS else ""
        raise ProgramError(
            without_keys(f"the program is refused: {shown}{more}"), refusals=refusals[:_MOST_REFUSALS]
        )
    return Program(document)


@dataclass(frozen=True)
class _Type:
    """What the schema says of a resource or a function."""

    inputs: Mapping[str, str]
    required: tuple[str, ...]
    outputs: frozenset[str]
    secret: frozenset[str]


@functools.cache
def _schema() -> tuple[Mapping[str, _Type], Mapping[str, _Type]]:
    """Return the resources and the functions of the native plugin."""
    text = resources.files("stacks_pulumi.hosts.plugin").joinpath("schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    kinds = {
        token: _Type(
            {name: str(one.get("type", "")) for name, one in told["inputProperties"].items()},
            tuple(told.get("requiredInputs", ())),
            frozenset((*told["properties"], *told["inputProperties"], *_PROPERTIES_OF_ALL)),
            frozenset(
                name
                for name, one in (*told["properties"].items(), *told["inputProperties"].items())
                if one.get("secret")
            ),
        )
        for token, told in schema["resources"].items()
    }
    functions = {
        token: _Type(
            {
                name: str(one.get("type", ""))
                for name, one in told.get("inputs", {}).get("properties", {}).items()
            },
            tuple(told.get("inputs", {}).get("required", ())),
            frozenset(told["outputs"]["properties"]),
            frozenset(name for name, one in told["outputs"]["properties"].items() if one.get("secret")),
        )
        for token, told in schema["functions"].items()
    }
    return kinds, functions


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


class _Checker:
    """
    Checks the content of a program, place by place.

    Args:
        document: The program.
        lines: The line of each value by its place.
        taken: Names that are settings of the stack's configuration, in small letters.
    """

    def __init__(self, document: Any, lines: Mapping[str, int], taken: frozenset[str]) -> None:
        self.document = document
        self.lines = lines
        self.taken = taken
        # In their order, and quickly found: a program may have thousands.
        self.refusals: dict[ProgramFault, None] = {}
        self.kinds: dict[str, str] = {}
        self.variables: Mapping[str, Any] = {}
        self._secret: dict[str, bool] = {}
        self._in_progress: set[str] = set()

    def refuse(self, rule: Rule, where: str, text: str) -> None:
        """Note that something is not allowed."""
        line = self.lines.get(where)
        above = where
        while line is None and self.lines and above:
            above = re.sub(r"(\.[^.\[]*|\[[0-9]+\]|^[^.\[]*)$", "", above)
            line = self.lines.get(above)
        self.refusals[ProgramFault(rule, line, _shown(where), _shown(text, 300))] = None

    def program(self) -> None:
        """Check the whole program."""
        if not isinstance(self.document, dict) or "resources" not in self.document:
            self.refuse("part", "", "it needs `resources` (`resources: {}` for an empty stack)")
            return
        self._keys(self.document, _TOP, "", "part")
        parts = {name: self._mapping(self.document.get(name), name) for name in _TOP}
        if len(parts["resources"]) > _MOST_RESOURCES:
            self.refuse("size", "resources", f"there are more than {_MOST_RESOURCES}")
            return
        self.variables = parts["variables"]
        self._names(parts)
        self.kinds = {
            name: kind for name, one in parts["resources"].items() if (kind := self._kind(name, one))
        }
        for name, one in parts["resources"].items():
            self._resource(name, one)
        for name, value in parts["variables"].items():
            self.expression(value, f"variables.{name}")
        for name, value in parts["outputs"].items():
            if self.expression(value, f"outputs.{name}"):
                self.refuse("secret", f"outputs.{name}", "a secret may not be an output")
        evaluated = _Evaluated(self.variables, parts["resources"])
        if not self.refusals and evaluated.size(self.document) > _MOST_EVALUATED:
            self.refuse(
                "size",
                "",
                f"with what its values refer to it may have more than {_MOST_EVALUATED} characters",
            )

    def _names(self, parts: Mapping[str, Mapping[str, Any]]) -> None:
        for part in _TOP:
            for name in parts[part]:
                if not _NAME.fullmatch(name) or name == "pulumi":
                    self.refuse(
                        "name",
                        f"{part}.{name}",
                        "a name has letters, digits, - and _, and begins with a letter",
                    )
        for name in {*parts["resources"], *parts["variables"]}:
            if name in parts["resources"] and name in parts["variables"]:
                self.refuse("name", f"variables.{name}", "a resource has the same name")
            if name.casefold() in self.taken:
                part = "resources" if name in parts["resources"] else "variables"
                text = "a setting of the stack's configuration has this name, and may be a secret: choose a new name"
                self.refuse("name", f"{part}.{name}", text)

    def _kind(self, name: str, resource: Any) -> str | None:
        where = f"resources.{name}"
        kind = resource.get("type") if isinstance(resource, dict) else None
        if not isinstance(kind, str):
            self.refuse("type", where, "it needs a type, such as stacks:index:Container")
            return None
        known, _ = _schema()
        words = kind.split(":")
        token = f"stacks:index:{words[1]}" if len(words) == 2 and words[0] == "stacks" else kind
        if token not in known:
            self.refuse("type", f"{where}.type", f"the type {kind!r} is not allowed; {_instead(kind, known)}")
            return None
        return token

    def _resource(self, name: str, resource: Any) -> None:
        if not isinstance(resource, dict) or name not in self.kinds:
            return
        where, token = f"resources.{name}", self.kinds[name]
        self._keys(resource, _OF_RESOURCE, where, "option")
        told = _schema()[0][token]
        properties = self._mapping(resource.get("properties"), f"{where}.properties")
        self._inputs(properties, told, f"{where}.properties", token)
        self._options(self._mapping(resource.get("options"), f"{where}.options"), f"{where}.options")

    def _options(self, options: Mapping[str, Any], where: str) -> None:
        self._keys(options, _OPTIONS, where, "option")
        if "protect" in options and options["protect"] is not True:
            self.refuse("option", f"{where}.protect", "only `protect: true` is allowed")
        needed = options.get("dependsOn", [])
        for index, one in enumerate(needed if isinstance(needed, list) else [needed]):
            found = _REFERENCE.fullmatch(one) if isinstance(one, str) else None
            if found is None or found["path"] or found["name"] not in self.kinds:
                self.refuse(
                    "option",
                    f"{where}.dependsOn[{index}]",
                    "write a resource of this program, such as ${web}",
                )

    def _inputs(self, given: Mapping[str, Any], told: _Type, where: str, token: str) -> None:
        for name, value in given.items():
            place = f"{where}.{name}"
            if name not in told.inputs:
                self.refuse("input", place, f"{token} has no input {name!r}; {_instead(name, told.inputs)}")
                continue
            if name in _NOT_ALLOWED:
                self.refuse("input", place, f"{name} is not allowed: {_NOT_ALLOWED[name]}")
                continue
            self._input(name, value, told.inputs[name], place, token)
        for name in told.required:
            if given.get(name) is None:
                self.refuse("input", where, f"{token} needs {name}")

    def _input(self, name: str, value: Any, kind: str, where: str, token: str) -> None:
        if self.expression(value, where):
            self.refuse(
                "secret", where, "a secret may flow into secret inputs only, and this input is not secret"
            )
        if token == _PINNED and name == "backupId":
            self.refuse("foreign", where, "it may be a backup of another container: leave it out")
        elif name in _OWN:
            self._own(value, *_OWN[name], where)
        elif not _is_reference(value) and not _fits(value, kind):
            self.refuse("input", where, f"it must be of the type {kind}")
        elif (token, name) == (_CONTAINER, "name") and "${" not in str(value):
            for fault in catalog.name_faults(str(value)):
                self.refuse("name", where, f"{_shown(str(value))!r} is no name of a container: {fault}")

    def _own(self, value: Any, token: str, output: str, where: str) -> None:
        """Check that a value refers to a resource of this program: an id may be that of another stack's container."""
        found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        kind = token.rpartition(":")[2]
        if found is None or found["path"] != f".{output}" or self.kinds.get(found["name"]) != token:
            name = next((name for name, one in self.kinds.items() if one == token), "NAME")
            self.refuse(
                "foreign",
                where,
                f"write a reference to a {kind} of this program, such as ${{{name}.{output}}}",
            )

    def expression(self, value: Any, where: str) -> bool:
        """Check an expression; return whether its value may be a secret. A refused one is treated as none."""
        if isinstance(value, str):
            return self._text(value, where)
        if isinstance(value, list):
            # Every entry is checked.
            return sum(self.expression(one, f"{where}[{index}]") for index, one in enumerate(value)) > 0
        if not isinstance(value, dict):
            return False
        function = next((key for key in value if key.casefold().startswith("fn::")), None)
        if function is not None:
            return self._function(function, value, where)
        for key in value:
            if not KEY.fullmatch(key):
                self.refuse("name", f"{where}.{key}", "a name has letters, digits, and - _ . only")
        return sum(self.expression(one, f"{where}.{key}") for key, one in value.items()) > 0

    def _function(self, name: str, value: Mapping[str, Any], where: str) -> bool:
        if name not in _FUNCTIONS or len(value) != 1:
            allowed = ", ".join(_FUNCTIONS)
            self.refuse(
                "function",
                f"{where}.{name}",
                f"the function {name!r} is not allowed; there are {allowed}, alone",
            )
            return False
        argument = value[name]
        if name == "fn::invoke":
            return self._invoke(argument, f"{where}.{name}")
        secret = self.expression(argument, f"{where}.{name}")
        return secret or name == "fn::secret"

    def _invoke(self, call: Any, where: str) -> bool:
        call = self._mapping(call, where)
        self._keys(call, _OF_INVOKE, where, "function")
        _, functions = _schema()
        token = call.get("function")
        words = token.split(":") if isinstance(token, str) else []
        if len(words) == 2 and words[0] == "stacks":
            token = f"stacks:index:{words[1]}"
        told = functions.get(token) if isinstance(token, str) else None
        if told is None or not isinstance(token, str):
            self.refuse("function", f"{where}.function", f"the function {token!r} is not allowed")
            return False
        if told.secret or token in _MAY_HOLD_SECRETS:
            self.refuse(
                "secret", f"{where}.function", f"{token} may return a secret, so a program may not call it"
            )
            return False
        if token in _OTHERS:
            self.refuse("foreign", f"{where}.function", f"{token} lists containers outside of this stack")
            return False
        wanted = call.get("return")
        if wanted is not None and not (isinstance(wanted, str) and wanted in told.outputs):
            self.refuse("function", f"{where}.return", f"{token} returns {', '.join(sorted(told.outputs))}")
        arguments = self._mapping(call.get("arguments"), f"{where}.arguments")
        for name, one in arguments.items():
            if name == "id":
                self._own(one, *_OWN_CONTAINER, f"{where}.arguments.{name}")
        rest = {name: one for name, one in arguments.items() if name != "id"}
        known = _Type(
            told.inputs,
            tuple(one for one in told.required if one not in arguments),
            told.outputs,
            told.secret,
        )
        self._inputs(rest, known, f"{where}.arguments", token)
        return False

    def _text(self, text: str, where: str) -> bool:
        """Check the references in a text; return whether one of them may be a secret."""
        rest = _REFERENCE.sub("", text)
        if "${" in rest or "$$" in text:
            self.refuse(
                "reference",
                where,
                "a reference is written ${NAME.OUTPUT}; $$ and other expressions are not allowed",
            )
            return False
        # Every reference is checked.
        references = _REFERENCE.finditer(text)
        return sum(self._reference(found["name"], found["path"], where) for found in references) > 0

    def _reference(self, name: str, path: str, where: str) -> bool:
        steps = _steps(path)
        if name == "pulumi":
            if len(steps) != 1 or steps[0] not in _OF_PULUMI:
                self.refuse("reference", where, f"of pulumi there are {', '.join(_OF_PULUMI)}")
            return False
        if name in self.variables:
            return self._is_secret(name)
        if name not in self.kinds:
            resources = self.document.get("resources")
            if not (isinstance(resources, dict) and name in resources):
                # It could be a setting of the stack's configuration, and that may be a key.
                self.refuse(
                    "reference", where, f"{name!r} is neither a resource nor a variable of this program"
                )
            return False
        told = _schema()[0][self.kinds[name]]
        if not steps:
            self.refuse("reference", where, f"name an output of {name!r}, such as ${{{name}.id}}")
            return False
        if steps[0] not in told.outputs:
            what = f"{self.kinds[name]} has no output {steps[0]!r}"
            self.refuse("reference", where, f"{what}; {_instead(steps[0], told.outputs)}")
            return False
        return steps[0] in told.secret

    def _is_secret(self, name: str) -> bool:
        """Return whether a variable may be a secret."""
        if name in self._in_progress:
            self.refuse("reference", f"variables.{name}", "it refers to itself")
            return False
        if name not in self._secret:
            self._in_progress.add(name)
            self._secret[name] = self.expression(self.variables[name], f"variables.{name}")
            self._in_progress.discard(name)
        return self._secret[name]

    def _keys(self, value: Mapping[str, Any], allowed: tuple[str, ...], where: str, rule: Rule) -> None:
        for key in value:
            if key not in allowed:
                place = f"{where}.{key}" if where else key
                self.refuse(rule, place, f"{key!r} is not allowed here; there are {', '.join(allowed)}")

    def _mapping(self, value: Any, where: str) -> Mapping[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse("part", where, "it must be a mapping")
            return {}
        return value


class _Evaluated:
    """
    Counts how long values are at most when the engine has evaluated them; a text becomes very long by references to
    texts that have references.

    Args:
        variables: The program's variables; none refers to itself.
        resources: The program's resources, whose inputs may be as long as a program makes them.
    """

    def __init__(self, variables: Mapping[str, Any], resources: Mapping[str, Any]) -> None:
        self.variables = variables
        self.resources = resources
        self._sizes: dict[str, int] = {}

    def size(self, value: Any) -> int:
        """Return how many characters a value has at most; an entry of a list has at least one."""
        if isinstance(value, str):
            found = _REFERENCE.finditer(value)
            return 1 + len(value) + sum(self._referred(one["name"], one["path"]) for one in found)
        if isinstance(value, list):
            return 1 + sum(map(self.size, value))
        if not isinstance(value, dict):
            return len(str(value))
        inside = sum(len(key) + self.size(one) for key, one in value.items())
        if "fn::invoke" in value:
            return _OF_CALL + inside
        if "fn::toJSON" in value:
            return _OF_JSON * inside
        if "fn::join" in value:
            # It puts one text between all entries.
            given = value["fn::join"]
            between, entries = given if isinstance(given, list) and len(given) == 2 else (given, given)
            return self.size(between) * self.size(entries)
        # `split` makes an entry of each character.
        return 2 * inside if "fn::split" in value else inside

    def _referred(self, name: str, path: str) -> int:
        if name in self.variables:
            return self._size_of(name, self.variables[name])
        # An output may be an input, or may have it in it.
        inputs = self.resources[name].get("properties") if name in self.resources else None
        given = (inputs or {}).get(_steps(path)[0]) if path else None
        return (
            _OF_OUTPUT
            if given is None
            else max(_OF_OUTPUT, self._size_of(f"{name}.{_steps(path)[0]}", given))
        )

    def _size_of(self, name: str, value: Any) -> int:
        if name not in self._sizes:
            # More is refused anyway, and such numbers become very long themselves. So is one that has itself in it.
            self._sizes[name] = _MOST_EVALUATED + 1
            self._sizes[name] = min(self.size(value), _MOST_EVALUATED + 1)
        return self._sizes[name]


def _steps(path: str) -> list[str]:
    """Return the names and numbers in the path of a reference."""
    return [next(filter(None, one)) for one in _STEP.findall(path)]


def _is_reference(value: Any) -> bool:
    """Return whether a value is not written in the program: its type is then known at preview."""
    if isinstance(value, str):
        return _REFERENCE.fullmatch(value) is not None
    return isinstance(value, dict) and any(key in _FUNCTIONS for key in value)


def _fits(value: Any, kind: str) -> bool:
    """Return whether a value has a type of the schema; in Python `True` is an integer too."""
    return isinstance(value, _TYPES.get(kind, (object,))) and isinstance(value, bool) == (kind == "boolean")


def _shown(text: str, longest: int = 120) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def _instead(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
