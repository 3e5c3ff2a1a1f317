"""The platform file: its JSON schema, with which editors complete, and the table of its settings."""

from __future__ import annotations

import inspect
import json
from typing import Any, Final, get_type_hints

from stacks_pulumi import platform_file
from tools.docs.docstrings import first_sentence, section
from tools.docs.marks import table

__all__ = ["schema_text", "settings"]

_SECTIONS: Final[dict[str, type[platform_file._Section]]] = {
    name: kind
    for name, kind in get_type_hints(platform_file.PlatformFacts).items()
    if inspect.isclass(kind) and issubclass(kind, platform_file._Section)  # noqa: SLF001  (what all sections are)
}


def schema_text() -> str:
    """Return the JSON schema of a platform file, with a description for each setting."""
    schema = platform_file.schema()
    schema["$defs"]["PlatformFacts"]["required"] = ["version"]
    kinds: list[type[platform_file._Section]] = [platform_file.PlatformFacts, *_SECTIONS.values()]
    for kind in kinds:
        defined = schema["$defs"][kind.__name__]
        defined["description"] = first_sentence(kind)
        for name, said in section(kind, "Attributes").items():
            defined["properties"][name] = {**_without_null(defined["properties"][name]), "description": said}
    return f"{json.dumps(schema, indent=2)}\n"


def _without_null(given: dict[str, Any]) -> dict[str, Any]:
    """Return what a setting can be. A setting that is not known is left out, so none is `null`."""
    if "anyOf" not in given:
        return {name: value for name, value in given.items() if name != "default"}
    (kind,) = [choice for choice in given["anyOf"] if choice != {"type": "null"}]
    return {name: _choices(value) for name, value in kind.items()}


def _choices(value: Any) -> Any:
    return [entry for entry in value if entry is not None] if isinstance(value, list) else value


def settings() -> str:
    """Return a row for each setting of a platform file."""
    rows = [
        (f"`{part}.{name}`", said)
        for part, kind in _SECTIONS.items()
        for name, said in section(kind, "Attributes").items()
    ]
    return table(("Setting", "What it says"), rows)
