"""The OpenAPI description of the control API, generated from its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacks_pulumi.emulator.control_calls import ControlCall

__all__ = ["describe"]

CODES = (
    "forbidden",
    "invalid_json",
    "invalid_type",
    "invalid_value",
    "method_not_allowed",
    "missing_field",
    "not_found",
    "refused",
    "unauthorized",
    "unknown_field",
)
"""Every code of an error."""


def describe(calls: Iterable[ControlCall], *, secured: bool) -> dict[str, Any]:
    """
    Return the description.

    Args:
        calls: The endpoints.
        secured: Whether a token is needed.
    """
    calls = list(calls)
    schemas, components = msgspec.json.schema_components(
        [call.fields for call in calls], ref_template="#/components/schemas/{name}"
    )
    bodies = [_inlined(schema, components) for schema in schemas]
    paths: dict[str, Any] = {}
    for call, body in zip(calls, bodies, strict=True):
        for name, text in call.told.items():
            if name in body["properties"]:
                body["properties"][name]["description"] = text
        for name, values in call.offered.items():
            body["properties"][name]["examples"] = values
        paths.setdefault(f"/{call.name}", {})[call.method.lower()] = _operation(call, body)
    used = {it.__name__ for it in {call.fields for call in calls}}
    description: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Control API of the STACKS emulator",
            "version": "1.0.0",
            "description": "The methods of the Python class `Emulator`, by the same names.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/_emulator"}],
        "security": [{"token": []}] if secured else [],
        "tags": [{"name": name} for name in sorted({_tag(call) for call in calls})],
        "paths": paths,
        "components": {
            "schemas": {
                **{name: schema for name, schema in components.items() if name not in used},
                "Error": {
                    "type": "object",
                    "required": ["error", "code"],
                    "properties": {
                        "error": {"type": "string", "description": "One sentence."},
                        "code": {"type": "string", "enum": list(CODES)},
                        "field": {"type": "string", "description": "The field with the error."},
                    },
                },
            }
        },
    }
    if secured:
        description["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return description


def _inlined(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    found = components[schema["$ref"].rpartition("/")[2]]
    return {
        "type": "object",
        "properties": {
            name: dict(it) if "$ref" not in it else {"allOf": [it]}
            for name, it in found["properties"].items()
        },
        "required": found["required"],
        "additionalProperties": False,
    }


def _operation(call: ControlCall, body: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    described: dict[str, Any] = {
        "operationId": call.name.replace("/", ".") if call.method == "POST" else f"get.{call.name}",
        "tags": [_tag(call)],
        "summary": call.summary.rstrip("."),
        "responses": {
            "200": {
                "description": "Done.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "4XX": {"description": "Refused; nothing has changed.", "content": error},
        },
    }
    if call.method == "GET":
        described["parameters"] = [
            {"name": name, "in": "query", "required": name in body["required"], "schema": schema}
            for name, schema in body["properties"].items()
        ]
    else:
        described["requestBody"] = {
            "required": bool(body["required"]),
            "content": {"application/json": {"schema": body}},
        }
    return described


def _tag(call: ControlCall) -> str:
    return call.name.partition("/")[0] if "/" in call.name else "emulator"
