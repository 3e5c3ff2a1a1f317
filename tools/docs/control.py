"""The calls of the emulator's control API, and the kinds of faults that the API accepts."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from typing import Any, Final

from stacks_pulumi.emulator import KINDS, Emulator, faults
from stacks_pulumi.emulator.control_api import calls, describe
from tools.docs.marks import table

__all__ = ["control_calls", "control_faults"]

_FAULT_OPTIONS: Final = {option for options in KINDS.values() for option in options}
"""Fields of `faults.add` that only some kinds have; the table of the kinds contains them."""


def control_calls() -> str:
    """Return a row for each call, from the description that a running emulator serves."""
    with Emulator() as emulator:
        found = calls(emulator)
        paths = describe(found, secured=False)["paths"]
    rows = []
    for call in found:
        described = paths[f"/{call.name}"][call.method.lower()]
        fields = [
            f"`{name}{'' if name in required else '?'}`{_said(schema)}"
            for name, schema, required in _fields(described)
            if call.name != "faults/add" or name not in _FAULT_OPTIONS
        ]
        effect = call.summary.removeprefix("Return ")
        rows.append((f"`{call.method} {call.name}`", f"{effect[0].upper()}{effect[1:]}", "<br>".join(fields)))
    return table(("Call", "What it does or returns", "Fields"), rows)


def control_faults() -> str:
    """Return a row for each kind of fault, with its options and their defaults."""
    said = _kinds_said()
    rows = [
        (
            f"`{kind}`",
            said[kind],
            "<br>".join(f"`{name}`: {_default(value)}" for name, value in options.items()),
        )
        for kind, options in KINDS.items()
    ]
    return table(("Kind", "What happens", "Options and defaults"), rows)


def _fields(described: dict[str, Any]) -> list[tuple[str, dict[str, Any], list[str]]]:
    if "parameters" in described:
        asked = described["parameters"]
        return [(it["name"], it["schema"], [it["name"]] if it["required"] else []) for it in asked]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    return [(name, it, schema["required"]) for name, it in schema["properties"].items()]


def _said(schema: dict[str, Any]) -> str:
    return f": {schema['description']}" if "description" in schema else ""


def _default(value: Any) -> str:
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _kinds_said() -> dict[str, str]:
    """Return the description of each kind from the docstring below `KINDS`."""
    body = ast.parse(inspect.getsource(faults)).body
    after = next(
        below
        for node, below in itertools.pairwise(body)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "KINDS"
    )
    assert isinstance(after, ast.Expr)
    assert isinstance(after.value, ast.Constant)
    entries = re.findall(r"^`(\w+)`: ((?:.+\n?)(?: {4}.+\n?)*)", str(after.value.value), re.MULTILINE)
    return {kind: " ".join(text.split()) for kind, text in entries}
