"""Reads parts of the package's docstrings: a sentence, an argument, an attribute."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from typing import Any, Final

__all__ = ["attributes", "described", "first_sentence", "optional", "section"]

_LITERALS: Final = frozenset(
    {"AdoptMode", "DesiredStatus", "OnDelete", "Plan", "ServiceType", "StorageTier", "Template"}
)
"""The types of `resources._fields` whose values a description lists."""
_OPTIONAL: Final = " | None"
_ENTRY: Final = re.compile(r"^(\w+): (.*)$")


def section(documented: Any, title: str) -> dict[str, str]:
    """Return the entries of a section of a docstring (`Args`, `Attributes`): name -> description, on one line."""
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in (inspect.getdoc(documented) or "").splitlines():
        if not line.startswith(" ") and line:
            inside = line == f"{title}:"
        elif inside and line.strip():
            entry = _ENTRY.match(line.strip()) if len(line) - len(line.lstrip()) == len("    ") else None
            if entry is not None:
                name = entry[1]
                found[name] = entry[2]
            else:
                found[name] += f" {line.strip()}"
    return found


def first_sentence(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


def attributes(cls: type) -> dict[str, tuple[str, str]]:
    """Return the outputs of a class: name -> the type as written, and the docstring below it."""
    body = _body(cls)
    found: dict[str, tuple[str, str]] = {}
    for node, below in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if ast.unparse(node.annotation).startswith("pulumi.Output"):
            said = ""
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                said = inspect.cleandoc(str(below.value.value))
            found[node.target.id] = (ast.unparse(node.annotation), " ".join(said.split()))
    return found


def described(type_text: str) -> str:
    """Return a type without Pulumi's wrapping, which every input has."""
    text = type_text.removesuffix(_OPTIONAL)
    if text in _LITERALS:
        # The description already contains the values.
        return "`int`" if text == "StorageTier" else "`str`"
    for wrapping in ("pulumi.Input", "pulumi.Output"):
        text = _unwrapped(text, wrapping)
    return f"`{text.replace('results.', '').removesuffix(_OPTIONAL)}`"


def optional(type_text: str) -> bool:
    """Return whether the value may be `None`."""
    return _OPTIONAL in type_text


@functools.cache
def _body(cls: type) -> list[ast.stmt]:
    (defined,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(defined, ast.ClassDef)
    return defined.body


def _unwrapped(text: str, wrapping: str) -> str:
    while (start := text.find(f"{wrapping}[")) >= 0:
        inner = start + len(wrapping) + 1
        depth, end = 1, inner
        while depth:
            depth += {"[": 1, "]": -1}.get(text[end], 0)
            end += 1
        text = text[:start] + text[inner : end - 1] + text[end:]
    return text
