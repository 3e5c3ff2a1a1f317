"""
Can a program run its own code, or read what is not its own?

A program in Python, TypeScript or Go is code. One in YAML is data, if it has only what is listed here: other functions
read files and call plugins, other types and options load plugins, and a compiler is any command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from stacks_pulumi.config import text_of
from stacks_pulumi.errors import clean

_FILE: Final = "Pulumi.yaml"
_OTHERS: Final = ("main.json", "main.yaml", "main.yml", "pulumi.yml", "pulumi.json", "pulumiplugin.yaml")
"""Files that the language host for YAML reads in place of the program, or beside it."""

_TOP: Final = ("name", "description", "runtime", "resources", "variables", "outputs")
_RESOURCE: Final = ("type", "properties", "options")
_OPTIONS: Final = ("dependsOn", "protect")
_FUNCTIONS: Final = ("join", "select", "split", "tojson", "secret")
_TYPE: Final = re.compile(r"stacks:(index:)?[A-Za-z]+", re.ASCII)
_IDS: Final = frozenset({"container", "source", "target"})
"""Inputs with the id of a container, which may be another stack's: a computed one is shown only in the update."""
_WRITTEN: Final = re.compile(r"[^$]+|\$\{[A-Za-z][A-Za-z0-9_-]*\.id\}", re.ASCII)
_MOST: Final = 200_000
_DEEPEST: Final = 50

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
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return f"{_FILE} cannot be read"
    return ""


def _check(project: Path) -> None:
    other = next((one.name for one in sorted(project.iterdir()) if one.name.casefold() in _OTHERS), None)
    if other is not None:
        raise _FoundError(f"{other} may be a part of the program")
    text = text_of(project / _FILE, longest=_MOST)
    if not _PLAIN.fullmatch(text):
        raise _FoundError(f"{_FILE} has a tab, or a character that is not printable")
    _check_syntax(text)
    top = _mapping(yaml.compose(text, yaml.BaseLoader), _TOP, "")
    runtime = top.get("runtime")
    if isinstance(runtime, yaml.MappingNode):
        runtime = _mapping(runtime, ("name",), "runtime").get("name")
    if _text(runtime) != "yaml":
        raise _FoundError(f"its runtime is {_text(runtime) or 'not known'}, so it is code")
    for name, resource in _entries(top.get("resources")):
        _check_resource(name, resource)
    for part in ("variables", "outputs"):
        for _, value in _entries(top.get(part)):
            _check_value(value)


def _check_syntax(text: str) -> None:
    """Refuse what one reader of YAML may take for something else than another."""
    documents = depth = 0
    for event in yaml.parse(text, yaml.BaseLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1 or event.explicit or event.version or event.tags:
                raise _FoundError(f"{_FILE}, line {line}: a directive, or a mark of a document")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise _FoundError(f"{_FILE}, line {line}: it is nested too deeply")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _FoundError(f"{_FILE}, line {line}: an anchor or an alias")
        if getattr(event, "tag", None) is not None:
            raise _FoundError(f"{_FILE}, line {line}: a tag")


def _check_resource(name: str, resource: yaml.Node) -> None:
    fields = _mapping(resource, _RESOURCE, f"the resource {name}")
    kind = _text(fields.get("type"))
    if not _TYPE.fullmatch(kind):
        raise _FoundError(f"the resource {name} has the type {kind!r}, whose plugin is not this package's")
    options = fields.get("options")
    if options is not None:
        given = _mapping(options, _OPTIONS, f"the options of {name}")
        if "protect" in given and _text(given["protect"]) != "true":
            raise _FoundError(f"the options of {name}: protect is not true")
        if "dependsOn" in given:
            _check_value(given["dependsOn"])
    for key, value in _entries(fields.get("properties")):
        if key.casefold() == "adopt":
            raise _FoundError(f"the resource {name} adopts what another may own")
        if key.casefold() in _IDS and not _WRITTEN.fullmatch(_text(value)):
            raise _FoundError(f"the resource {name} has a computed {key}: write ${{NAME.id}}, or a constant")
        _check_value(value)
    _check_value(fields.get("properties"))


def _check_value(node: yaml.Node | None) -> None:
    """Refuse each function that is not listed, anywhere in a value."""
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _check_value(one)
    elif isinstance(node, yaml.MappingNode):
        for key, value in _entries(node):
            function = key.strip().casefold()
            # The language host also takes one that only ends with a function's name.
            if "fn::" in function and (
                function.removeprefix("fn::") not in _FUNCTIONS or len(node.value) > 1
            ):
                raise _FoundError(f"{_FILE}, line {node.start_mark.line + 1}: the function {key}")
            _check_value(value)


def _mapping(node: yaml.Node | None, known: tuple[str, ...], where: str) -> dict[str, yaml.Node]:
    found = dict(_entries(node))
    other = next((key for key in found if key not in known), None)
    if other is not None or not isinstance(node, yaml.MappingNode):
        told = "it is no mapping" if other is None else f"{other!r}"
        raise _FoundError(f"{where or _FILE}: {told}; allowed are {', '.join(known)}")
    return found


def _entries(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the entries of a mapping; none of an empty value."""
    if node is None or (isinstance(node, yaml.ScalarNode) and node.value == ""):
        return
    if not isinstance(node, yaml.MappingNode):
        raise _FoundError(f"{_FILE}, line {node.start_mark.line + 1}: it is no mapping")
    seen: set[str] = set()
    for key, value in node.value:
        name = _text(key)
        # The language host compares some names without case, and takes what `<<` names into the mapping.
        if not isinstance(key, yaml.ScalarNode) or name.casefold() in seen or name == "<<":
            raise _FoundError(
                f"{_FILE}, line {key.start_mark.line + 1}: {name!r} is a name twice, or no name"
            )
        seen.add(name.casefold())
        yield name, value


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
