"""
The JSON schemas (for editors) of the platform file, the gate's settings and the seed file, and the tables of the first
two.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any, Final, get_args, get_type_hints

import msgspec

from stacks_pulumi import platform_file
from stacks_pulumi.broker import settings as gate
from stacks_pulumi.emulator import drift
from tools.docs.docstrings import first_sentence, section
from tools.docs.marks import table

__all__ = [
    "gate_schema_text",
    "gate_settings",
    "schema_text",
    "seed_schema_text",
    "settings",
]

_SECTIONS: Final[dict[str, type[platform_file._Section]]] = {
    name: kind
    for name, kind in get_type_hints(platform_file.PlatformFacts).items()
    if inspect.isclass(kind) and issubclass(kind, platform_file._Section)  # noqa: SLF001  (the base of all sections)
}


def schema_text() -> str:
    """Return the JSON schema of a platform file, with a description for each setting."""
    return _text(platform_file.schema(), (platform_file.PlatformFacts, *_SECTIONS.values()))


def gate_schema_text() -> str:
    """Return the JSON schema of a gate's settings, with a description for each setting."""
    return _text(gate.schema(), _sections(gate.GateFile))


def seed_schema_text() -> str:
    """Return the JSON schema of an emulator's seed file, with a description for each field."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(drift.SeedFile),
    }
    kinds = (drift.SeedFile, drift.SeedContainer, drift.SeedConnection)
    return _text(schema, kinds, required="containers")


def _text(schema: dict[str, Any], kinds: Sequence[type[msgspec.Struct]], *, required: str = "version") -> str:
    schema["$defs"][kinds[0].__name__]["required"] = [required]
    for kind in kinds:
        defined = schema["$defs"][kind.__name__]
        defined["description"] = first_sentence(kind)
        names = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
        for field, said in section(kind, "Attributes").items():
            name = names[field]
            defined["properties"][name] = {**_without_null(defined["properties"][name]), "description": said}
    return f"{json.dumps(schema, indent=2)}\n"


def _sections(kind: type[msgspec.Struct]) -> tuple[type[msgspec.Struct], ...]:
    """Return a group of settings and all its subgroups."""
    found = [kind]
    parts: list[Any] = list(get_type_hints(kind).values())
    for part in parts:
        parts += get_args(part)
        if inspect.isclass(part) and issubclass(part, msgspec.Struct) and part not in found:
            found += [one for one in _sections(part) if one not in found]
    return tuple(found)


def _without_null(given: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a setting without `null`: an unknown setting is left out of the file."""
    if "anyOf" not in given:
        return {name: value for name, value in given.items() if name != "default"}
    kinds = [choice for choice in given["anyOf"] if choice != {"type": "null"}]
    if len(kinds) > 1:
        return {"anyOf": kinds}
    return {name: _choices(value) for name, value in kinds[0].items()}


def _choices(value: Any) -> Any:
    return [entry for entry in value if entry is not None] if isinstance(value, list) else value


def settings() -> str:
    """Return a row for each setting of a platform file."""
    rows = [
        (f"`{part}.{name}`", said)
        for part, kind in _SECTIONS.items()
        for name, said in section(kind, "Attributes").items()
    ]
    return table(("Setting", "Meaning"), rows)


def gate_settings() -> str:
    """Return a row for each setting of a gate; a group's settings follow it."""
    rows = [
        (f"`{_ROWS.get(kind, '')}{encoded}`", section(kind, "Attributes")[field])
        for kind in _sections(gate.GateFile)
        for field, encoded in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    ]
    return table(("Setting", "Meaning"), rows)


_ROWS: Final[dict[type[msgspec.Struct], str]] = {
    gate.PackFile: "packs[].",
    gate.Limits: "limits.",
    gate.Rules: "rules.",
    gate.AtMost: "rules.max-*.",
    gate.Free: "free.",
    gate.ApproverLimit: "approver_limits.NAME.",
    gate.KeySource: "key.",
    gate.Keys: "keys.",
    gate.AccountLimits: "account.",
    gate.Policy: "policies.NAME.",
}
"""The prefix of the setting names of each group."""
