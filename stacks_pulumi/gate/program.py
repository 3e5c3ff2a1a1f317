"""
Can a program run its own code, or read what is not its own?

A program in Python, TypeScript or Go is code. One in YAML is data, if it has only what is listed here: other functions
read files and call plugins, other types and options load plugins, a compiler is any command, and a mapping with another
name may be an object of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._settings_file import text_of
from stacks_pulumi.errors import clean
from stacks_pulumi.gate.source import FUNCTIONS, KEY, Limits, UnreadableError, read

_FILE: Final = "Pulumi.yaml"
_OTHERS: Final = ("main.json", "main.yaml", "main.yml", "pulumi.yml", "pulumi.json", "pulumiplugin.yaml")
"""Files that the language host for YAML reads in place of the program, or beside it."""

_TOP: Final = ("name", "description", "runtime", "resources", "variables", "outputs")
_RESOURCE: Final = ("type", "properties", "options")
_OPTIONS: Final = ("dependsOn", "protect")
_FUNCTIONS: Final = frozenset(name.casefold() for name in FUNCTIONS)
"""The language host finds functions without case."""
_TYPE: Final = re.compile(r"stacks:(index:)?[A-Za-z]+", re.ASCII)
_IDS: Final = frozenset({"container", "source", "target"})
"""Inputs with the id of a container, which may be another stack's: a computed one is shown only in the update."""
_WRITTEN: Final = re.compile(r"[^$]+|\$\{([A-Za-z][A-Za-z0-9_-]*)\.id\}", re.ASCII)
"""A constant, or the id of what has this name."""
_LIMITS: Final = Limits(size=200_000, values=20_000, depth=50, text=50_000)

# Readers of YAML do not agree on other line breaks, or on what a tab is.
_PLAIN: Final = re.compile(
    r"[\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*"
)


class _FoundError(Exception):
    """The program has something that is not listed."""


def own_code(project: Path) -> str:
    """
    Return why a program may run its own code, or read what is not its own; empty if it can do neither.

    Args:
        project: The folder of the project.
    """
    try:
        _check(project)
    except _FoundError as found:
        return clean(str(found))
    except UnreadableError as error:
        return clean(f"{_FILE}: {error.refusal}")
    except (OSError, ValueError):
        return f"{_FILE} cannot be read"
    return ""


def _check(project: Path) -> None:
    other = next((one.name for one in sorted(project.iterdir()) if one.name.casefold() in _OTHERS), None)
    if other is not None:
        raise _FoundError(f"{other} may be a part of the program")
    text = text_of(project / _FILE, longest=_LIMITS.size)
    if not _PLAIN.fullmatch(text):
        raise _FoundError(f"{_FILE} has a tab, or a character that is not printable")
    document, _ = read(text, _LIMITS)
    top = _mapping(document, "", _TOP)
    runtime = top.get("runtime")
    if isinstance(runtime, dict):
        runtime = _mapping(runtime, "runtime", ("name",)).get("name")
    if runtime != "yaml":
        raise _FoundError(f"its runtime is {runtime or 'not known'}, so it is code")
    resources = _mapping(top.get("resources"), "resources")
    for name, resource in resources.items():
        _check_resource(name, resource, resources)
    for part in ("variables", "outputs"):
        for name, value in _mapping(top.get(part), part).items():
            _check_value(value, f"{part}.{name}")


def _check_resource(name: str, resource: Any, resources: Mapping[str, Any]) -> None:
    where = f"resources.{name}"
    fields = _mapping(resource, where, _RESOURCE)
    kind = fields.get("type")
    if not (isinstance(kind, str) and _TYPE.fullmatch(kind)):
        raise _FoundError(f"the resource {name} has the type {kind!r}, whose plugin is not this package's")
    options = _mapping(fields.get("options"), f"{where}.options", _OPTIONS)
    if options.get("protect", True) is not True:
        raise _FoundError(f"{where}.options: protect is not true")
    _check_value(options.get("dependsOn"), f"{where}.options.dependsOn")
    properties = _mapping(fields.get("properties"), f"{where}.properties")
    if any(key.casefold() == "adopt" for key in properties):
        raise _FoundError(f"the resource {name} adopts what another may own")
    for key, value in properties.items():
        if key.casefold() in _IDS and not _is_written(value, resources):
            raise _FoundError(f"the resource {name} has a computed {key}: write ${{NAME.id}}, or a constant")
        _check_value(value, f"{where}.properties.{key}")


def _is_written(value: Any, resources: Mapping[str, Any]) -> bool:
    """Return whether an id is a constant, or exactly the id of a resource; a variable may have a computed `id`."""
    written = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    return written is not None and (written[1] is None or written[1] in resources)


def _check_value(value: Any, where: str) -> None:
    """Refuse each function and each name that is not listed, anywhere in a value."""
    if isinstance(value, list):
        for number, one in enumerate(value):
            _check_value(one, f"{where}[{number}]")
    elif isinstance(value, dict):
        is_call = len(value) == 1 and _FUNCTIONS.issuperset(map(str.casefold, value))
        for key, one in (value if is_call else _mapping(value, where)).items():
            _check_value(one, f"{where}.{key}")


def _mapping(value: Any, where: str, known: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return a mapping whose names are all listed: those that are known, or those that look like a name."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _FoundError(f"{where or _FILE} is no mapping")
    other = next((key for key in value if not (key in known if known else KEY.fullmatch(key))), None)
    if other is not None:
        allowed = ", ".join(known) or f"names of letters, digits and _ . -, and {', '.join(FUNCTIONS)} alone"
        raise _FoundError(f"{where or _FILE} has {other!r}; allowed are {allowed}")
    return value
