"""
Finds the breaking changes between the schema of the last release and the current schema.

    python tools/sdk/breaking.py             fails with one line for each breaking change
    python tools/sdk/breaking.py --release   keeps the current schema as that of the last release
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMA: Final = ROOT / "stacks_pulumi" / "hosts" / "plugin" / "schema.json"
RELEASED: Final = Path(__file__).with_name("released.json")

_TYPE: Final = ("type", "$ref", "items", "additionalProperties", "oneOf")
_PACKAGES: Final = {
    "nodejs": "packageName",
    "python": "packageName",
    "go": "importBasePath",
    "csharp": "rootNamespace",
}

Schema = Mapping[str, Any]


def breaking_changes(released: Schema, current: Schema) -> Iterator[str]:
    """
    Yield one sentence for each change that a program notices.

    A program passes inputs and reads outputs. So an input breaks a program if it is removed, changes its type or
    becomes required. An output breaks a program if it is removed, changes its type, becomes optional, or is no longer a
    secret.
    """
    for language, key in _PACKAGES.items():
        was, now = (schema["language"].get(language, {}).get(key) for schema in (released, current))
        if was not in {None, now}:
            yield f"the package for {language} was {was} and is {now}"
    yield from _inputs("config", released["config"]["variables"], current["config"]["variables"])
    for part, compare in (("resources", _resource), ("functions", _function), ("types", _type)):
        for token, old in released[part].items():
            if token in current[part]:
                yield from compare(token, old, current[part][token])
            else:
                yield f"{token} was removed"


def without_descriptions(value: Any) -> Any:
    """Return a schema without descriptions, which cannot break a program."""
    if isinstance(value, list):
        return [without_descriptions(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_descriptions(item)
        for key, item in value.items()
        if not (key == "description" and isinstance(item, str))
    }


def _resource(token: str, old: Schema, new: Schema) -> Iterator[str]:
    yield from _inputs(token, old["inputProperties"], new["inputProperties"])
    yield from _required(token, old["requiredInputs"], new["requiredInputs"])
    yield from _outputs(token, old, new)
    for alias in old["aliases"]:
        if alias not in new["aliases"]:
            yield f"{token}: the alias {alias['type']} was removed"


def _function(token: str, old: Schema, new: Schema) -> Iterator[str]:
    yield from _inputs(token, old["inputs"]["properties"], new["inputs"]["properties"])
    yield from _required(token, old["inputs"]["required"], new["inputs"]["required"])
    yield from _outputs(token, old["outputs"], new["outputs"])


def _type(token: str, old: Schema, new: Schema) -> Iterator[str]:
    if ("enum" in old) != ("enum" in new):
        yield f"{token}: an enumeration became an object, or vice versa"
    elif "enum" not in old:
        yield from _outputs(token, old, new)
    for member in without_descriptions(old.get("enum", [])):
        if member not in without_descriptions(new.get("enum", [])):
            yield f"{token}: the value {member['name']} ({member['value']}) was removed"


def _inputs(token: str, old: Schema, new: Schema) -> Iterator[str]:
    for name, was in old.items():
        if name not in new:
            yield f"{token}: the input {name} was removed"
        elif _shape(was) != _shape(new[name]) and not _takes_more(was, new[name]):
            yield f"{token}: the type of the input {name} changed"


def _takes_more(was: Schema, now: Schema) -> bool:
    """Return whether an input accepts an additional type while languages without unions keep the old type."""
    return _shape({**now, "oneOf": []}) == {**_shape(was), "oneOf": []} and _shape(was) in now.get(
        "oneOf", ()
    )


def _required(token: str, old: list[str], new: list[str]) -> Iterator[str]:
    for name in new:
        if name not in old:
            yield f"{token}: the input {name} has become required"


def _outputs(token: str, old: Schema, new: Schema) -> Iterator[str]:
    for name, was in old["properties"].items():
        now = new["properties"].get(name)
        if now is None:
            yield f"{token}: the output {name} was removed"
            continue
        if _shape(was) != _shape(now):
            yield f"{token}: the type of the output {name} changed"
        if name in old["required"] and name not in new["required"]:
            yield f"{token}: the output {name} has become optional"
        if was.get("secret") and not now.get("secret"):
            yield f"{token}: the output {name} is no longer a secret"


def _shape(spec: Schema) -> dict[str, Any]:
    return {key: spec[key] for key in _TYPE if key in spec}


def main() -> int:
    """Compare the schemas, or keep the schema of a release."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument(
        "--release", action="store_true", help="keep the current schema as that of the last release"
    )
    arguments = parser.parse_args()
    current = json.loads(SCHEMA.read_text(encoding="utf-8"))
    if arguments.release:
        text = json.dumps(without_descriptions(current), indent=1) + "\n"
        RELEASED.write_text(text, encoding="utf-8")
        return 0
    found = list(breaking_changes(json.loads(RELEASED.read_text(encoding="utf-8")), current))
    for sentence in found:
        print(sentence, file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
