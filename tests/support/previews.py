"""Previews and exports in the formats of Pulumi."""

from __future__ import annotations

import json
from typing import Any

CONTAINER = "pulumi-python:dynamic/stacks:Container"
CONNECTION = "pulumi-python:dynamic/stacks:Connection"
BUCKET = "aws:s3/bucket:Bucket"
STACK = "pulumi:pulumi:Stack"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SECRET = "[secret]"

Inputs = dict[str, Any]


def urn(name: str, type: str = CONTAINER) -> str:
    return f"urn:pulumi:dev::shop::{type}::{name}"


def web(plan: Any = "basic", template: Any = "nodejs", **more: Any) -> Inputs:
    """Return inputs of a container in the form that check returns."""
    return {"__provider": SECRET, "name": "web", "template": template, "plan": plan, **more}


def state(name: str, inputs: Inputs, type: str = CONTAINER, **more: Any) -> dict[str, Any]:
    return {"urn": urn(name, type), "custom": type != STACK, "type": type, "inputs": inputs, **more}


def step(
    op: str,
    name: str,
    old: Inputs | None = None,
    new: Inputs | None = None,
    type: str = CONTAINER,
    **more: Any,
) -> dict[str, Any]:
    """Return a step of a preview; `more` is added to the states."""
    result: dict[str, Any] = {"op": op, "urn": urn(name, type), "detailedDiff": None}
    if old is not None:
        result["oldState"] = state(name, old, type, id=f"id-{name}", **more)
    if new is not None:
        result["newState"] = state(name, new, type, **more)
    return result


def preview(*steps: dict[str, Any], same: int | None = None, errors: tuple[str, ...] = ()) -> bytes:
    """Return the output of `pulumi preview --json`; `same` replaces the summary's number of unchanged resources."""
    root = step("same", "shop-dev", {}, {}, STACK)
    listed = [root, *steps]
    summary: dict[str, int] = {}
    for op in (op for op, _ in {(one["op"], one["urn"]) for one in listed}):
        summary[op] = summary.get(op, 0) + 1
    if same is not None:
        summary["same"] = same
    diagnostics = [{"message": f"error: {text}\n", "severity": "error"} for text in errors]
    return json.dumps(
        {"config": {}, "steps": listed, "diagnostics": diagnostics, "duration": 1, "changeSummary": summary}
    ).encode()


def events(
    *steps: dict[str, Any],
    policies: tuple[dict[str, Any], ...] = (),
    errors: tuple[str, ...] = (),
    finished: bool = True,
    root: bool = True,
) -> bytes:
    """Return the same preview as streaming events."""
    lines: list[dict[str, Any]] = [{"preludeEvent": {"config": {}}}]
    for one in (*([step("same", "shop-dev", {}, {}, STACK)] if root else []), *steps):
        metadata = {
            "op": one["op"],
            "urn": one["urn"],
            "type": one["urn"].split("::")[2],
            "old": one.get("oldState"),
            "new": one.get("newState"),
            "detailedDiff": None,
        }
        lines += [{"resourcePreEvent": {"metadata": metadata, "planning": True}}]
        lines += [{"resOutputsEvent": {"metadata": metadata, "planning": True}}]
    lines += [{"policyEvent": policy} for policy in policies]
    lines += [
        {"diagnosticEvent": {"message": f"{text}\n", "severity": "error", "color": "never"}}
        for text in errors
    ]
    if finished:
        result = "failed" if errors else "succeeded"
        lines += [
            {"summaryEvent": {"isPreview": True, "result": result, "resourceChanges": {}}},
            {"cancelEvent": {}},
        ]
    return "".join(
        json.dumps({"sequence": number, "timestamp": 0, **line}) + "\n" for number, line in enumerate(lines)
    ).encode()


def violation(
    policy: str, resource: str, message: str, level: str = "mandatory", pack: str = "stacks"
) -> dict[str, Any]:
    """Return a policy event."""
    return {
        "resourceUrn": urn(resource),
        "message": message,
        "policyName": policy,
        "policyPackName": pack,
        "policyPackVersion": "0.1.0",
        "enforcementLevel": level,
        "severity": "high",
    }


def export(*states: dict[str, Any]) -> bytes:
    """Return the output of `pulumi stack export`."""
    resources = [state("shop-dev", {}, STACK), *states]
    return json.dumps({"version": 3, "deployment": {"manifest": {}, "resources": resources}}).encode()
