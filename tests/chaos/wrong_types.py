"""
Answers with another value in one field, for every field that the emulator's contract names.

The request is carried out, and the rest of the answer is right.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.answers import Response
from stacks_pulumi.emulator.app import BASE_PATH, match
from stacks_pulumi.emulator.server import Incoming
from tests.support.openapi import contract

__all__ = ["OPERATIONS", "Wrong", "altered", "texts"]

_Step = str | int


@dataclasses.dataclass(frozen=True)
class Wrong:
    """
    One wrong value.

    Attributes:
        operation: The operation whose answer has the value.
        path: The path of the field: names, and 0 for the first entry of a list.
        value: The value in place of the right one.
    """

    operation: str
    path: tuple[_Step, ...]
    value: Any

    def __str__(self) -> str:
        where = ".".join(map(str, self.path)) or "body"
        return f"{self.operation}: {where} = {json.dumps(self.value)}"


def _schemas() -> dict[str, dict[str, Any]]:
    found = {}
    for methods in contract()["paths"].values():
        for method, operation in methods.items():
            if method == "parameters":
                continue
            (success,) = (answer for code, answer in operation["responses"].items() if code.startswith("2"))
            found[operation["operationId"]] = success["content"]["application/json"]["schema"]
    return found


OPERATIONS: Sequence[str] = tuple(_schemas())


def texts(operation: str) -> list[tuple[_Step, ...]]:
    """Return the path of every text in the operation's answer."""
    return list(dict.fromkeys(path for path, kind in _fields(_schemas()[operation], ()) if kind == "string"))


def _fields(schema: dict[str, Any], path: tuple[_Step, ...]) -> Iterator[tuple[tuple[_Step, ...], str]]:
    if "$ref" in schema:
        named = contract()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        yield from _fields(named, path)
        return
    for part in schema.get("allOf", ()):
        yield from _fields(part, path)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(name for name in kind if name != "null")
    if kind is not None:
        yield path, kind
    for name, inner in schema.get("properties", {}).items():
        yield from _fields(inner, (*path, name))
    if isinstance(schema.get("items"), dict):
        yield from _fields(schema["items"], (*path, 0))


@contextlib.contextmanager
def altered(emulator: Emulator, wrong: Wrong) -> Iterator[list[str]]:
    """Give the operation's answers the wrong value in this context. Yields the paths of their requests."""
    right = emulator.api.respond
    given: list[str] = []

    def respond(incoming: Incoming) -> Response:
        response = right(incoming)
        with contextlib.suppress(Exception):
            operation, _ = match(incoming.method, incoming.path.removeprefix(BASE_PATH))
            if operation == wrong.operation and response.status < 300:
                body = _with(json.loads(response.payload), wrong.path, wrong.value)
                given.append(incoming.path)
                return dataclasses.replace(response, payload=json.dumps(body).encode())
        return response

    emulator.api.respond = respond  # type: ignore[method-assign]  # each test has its own emulator
    try:
        yield given
    finally:
        emulator.api.respond = right  # type: ignore[method-assign]  # as above


def _with(body: Any, path: Sequence[_Step], value: Any) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return [_with(body[0], rest, value), *body[1:]] if body else body
    return {**body, step: _with(body.get(step, {}) if rest else None, rest, value)}
