"""The comparison of two schemas finds breaking changes and accepts other changes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tools.sdk.breaking import RELEASED, SCHEMA, breaking_changes, without_descriptions

CONTAINER = "stacks:index:Container"
Schema = dict[str, Any]


def current() -> Schema:
    """The schema of this checkout."""
    schema: Schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return schema


def container(schema: Schema) -> Schema:
    """The schema of a container."""
    resource: Schema = schema["resources"][CONTAINER]
    return resource


def logs(schema: Schema) -> Schema:
    """The schema of a function with an optional input."""
    function: Schema = schema["functions"]["stacks:index:getLogs"]
    return function


def set_(bag: Schema, key: str, value: Any) -> None:
    bag[key] = value


def test_nothing_breaks_programs_since_the_last_release() -> None:
    released = json.loads(RELEASED.read_text(encoding="utf-8"))

    # After a release: `python tools/sdk/breaking.py --release`.
    assert list(breaking_changes(released, current())) == []


BREAKING: dict[str, Callable[[Schema], Any]] = {
    "stacks:index:VpnClient was removed": lambda it: it["resources"].pop("stacks:index:VpnClient"),
    "stacks:index:getLogs was removed": lambda it: it["functions"].pop("stacks:index:getLogs"),
    "stacks:index:Plan was removed": lambda it: it["types"].pop("stacks:index:Plan"),
    f"{CONTAINER}: the input plan was removed": lambda it: container(it)["inputProperties"].pop("plan"),
    f"{CONTAINER}: the output url was removed": lambda it: container(it)["properties"].pop("url"),
    f"{CONTAINER}: the input plan has become required": lambda it: container(it)["requiredInputs"].append(
        "plan"
    ),
    f"{CONTAINER}: the output name has become optional": lambda it: container(it)["required"].remove("name"),
    f"{CONTAINER}: the type of the input name changed": lambda it: set_(
        container(it)["inputProperties"]["name"], "type", "integer"
    ),
    f"{CONTAINER}: the type of the input restartTriggers changed": lambda it: set_(
        container(it)["inputProperties"]["restartTriggers"], "items", {"type": "string"}
    ),
    f"{CONTAINER}: the type of the output port changed": lambda it: set_(
        container(it)["properties"]["port"], "type", "string"
    ),
    f"{CONTAINER}: the alias pulumi-python:dynamic/stacks:Container was removed": lambda it: container(it)[
        "aliases"
    ].clear(),
    "stacks:index:VpnClient: the output config is no longer a secret": lambda it: it["resources"][
        "stacks:index:VpnClient"
    ]["properties"]["config"].pop("secret"),
    "stacks:index:getLogs: the input lines was removed": lambda it: logs(it)["inputs"]["properties"].pop(
        "lines"
    ),
    "stacks:index:getLogs: the input lines has become required": lambda it: logs(it)["inputs"][
        "required"
    ].append("lines"),
    "stacks:index:getLogs: the output result was removed": lambda it: logs(it)["outputs"]["properties"].pop(
        "result"
    ),
    "stacks:index:Plan: the value Micro (micro) was removed": lambda it: it["types"]["stacks:index:Plan"][
        "enum"
    ].pop(0),
    "stacks:index:BackupDetails: the output pinned was removed": lambda it: it["types"][
        "stacks:index:BackupDetails"
    ]["properties"].pop("pinned"),
    "stacks:index:BackupDetails: an enumeration became an object, or vice versa": lambda it: set_(
        it["types"]["stacks:index:BackupDetails"], "enum", []
    ),
    "config: the input apiKey was removed": lambda it: it["config"]["variables"].pop("apiKey"),
    "the package for nodejs was stacks-pulumi and is other": lambda it: set_(
        it["language"]["nodejs"], "packageName", "other"
    ),
}


@pytest.mark.parametrize("sentence", BREAKING)
def test_each_breaking_change_is_one_sentence(sentence: str) -> None:
    released = without_descriptions(current())
    changed = current()
    BREAKING[sentence](changed)

    assert list(breaking_changes(released, changed)) == [sentence]


def test_additions_and_descriptions_break_nothing() -> None:
    released = current()
    changed = copy.deepcopy(released)
    resource = container(changed)
    resource["inputProperties"]["more"] = {"type": "string"}
    resource["properties"]["more"] = {"type": "string"}
    resource["requiredInputs"].clear()
    resource["required"].append("url")
    resource["description"] = "Another text."
    resource["inputProperties"]["plan"]["description"] = "Another text."
    changed["resources"]["stacks:index:Volume"] = copy.deepcopy(resource)
    changed["types"]["stacks:index:Plan"]["enum"].append({"name": "Huge", "value": "huge"})
    changed["types"]["stacks:index:Plan"]["enum"][0]["description"] = "The smallest."
    resource["properties"]["url"]["secret"] = True

    assert list(breaking_changes(released, changed)) == []


def test_an_input_may_take_another_type_beside_its_own() -> None:
    released = without_descriptions(current())
    name = container(released)["inputProperties"]["name"]

    for types, sentences in (
        (["string", "integer"], []),
        (["integer"], [f"{CONTAINER}: the type of the input name changed"]),
    ):
        changed = current()
        set_(container(changed)["inputProperties"]["name"], "oneOf", [{"type": type_} for type_ in types])
        assert list(breaking_changes(released, changed)) == sentences
    assert name == {"type": "string"}


def test_a_property_that_is_called_description_is_compared() -> None:
    released = without_descriptions(current())
    changed = current()
    del changed["resources"]["stacks:index:AllowedIp"]["inputProperties"]["description"]

    assert list(breaking_changes(released, changed)) == [
        "stacks:index:AllowedIp: the input description was removed"
    ]
