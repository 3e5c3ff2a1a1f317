"""
The page, and the control API under `/_emulator/`, which offers the methods of `Emulator` to other processes.

On a loopback address, it requires no token, but rejects requests with a different host name and requests from web pages
of a different origin. On every other address, it requires a token.

Its calls are the methods of `Controls`, `faults`, `shapes` and `drift`, with the same names, and the fields of a
request are the method's parameters. So the Python and HTTP interfaces cannot differ. The OpenAPI description is
generated from the same calls.
"""

from __future__ import annotations

import hmac
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any, get_type_hints

import msgspec

from stacks_pulumi._page import page
from stacks_pulumi._structs import convert
from stacks_pulumi.emulator.answers import OPEN, SHAPES, Refusal, Response, encode
from stacks_pulumi.emulator.app import OPERATIONS
from stacks_pulumi.emulator.controls import Controls, logged_request, snapshot
from stacks_pulumi.emulator.drift import Drift, SeedFile
from stacks_pulumi.emulator.faults import KINDS, OPTION_TYPES
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.emulator.server import Incoming

_CONTROL_PATH = "/_emulator"

_SECURITY = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


_FILES = {
    "/openapi.yaml": ("openapi.yaml", "application/yaml"),
    "/seed.schema.json": ("seed.schema.json", "application/schema+json"),
}
"""Files that are served unchanged: path -> file and type."""


class ControlApi:
    """
    Answers every request outside the API's own paths.

    Args:
        controls: The controls that the requests call.
        answers_for: Returns whether a header `Host` contains a name of the emulator.
        allows: Returns whether web pages of another origin may send requests.
        token: The bearer token that a client needs; `None` if it needs none.
    """

    def __init__(
        self,
        controls: Controls,
        answers_for: Callable[[str], bool],
        allows: Callable[[str | None], bool],
        token: str | None,
    ) -> None:
        self._answers_for = answers_for
        self._allows = allows
        self._token = token
        self._controls = controls

    # Created at the first control request: creating a type for the fields of each call takes milliseconds, and most
    # tests send no control request.
    @cached_property
    def _calls(self) -> dict[tuple[str, str], ControlCall]:
        return {(call.method, call.name): call for call in calls(self._controls)}

    def respond(self, incoming: Incoming, headers: Mapping[str, str]) -> Response:
        """Answer a request for the page, a description, the health or a control endpoint."""
        path, looking = incoming.path, incoming.method in {"GET", "HEAD"}
        if path == f"{_CONTROL_PATH}/health" and looking:
            return encode(200, _health(self._controls), _SECURITY)
        token = self._token
        if token is None and not self._is_local(headers):
            why = "The control API answers only this machine, the names of --allow-host and allowed origins"
            return _error(403, "forbidden", why)
        if path == "/" and looking:
            body, own = page("stacks_pulumi.emulator")
            return Response(200, body, {"Cache-Control": "no-store", **own})
        if path in _FILES and looking:
            return _file(*_FILES[path])
        if path == f"{_CONTROL_PATH}/openapi.json" and looking:
            return encode(200, describe(self._calls.values(), secured=token is not None), _SECURITY)
        if not path.startswith(f"{_CONTROL_PATH}/"):
            return _error(
                404, "not_found", "Not found: the API is under /api/v1, the control API under /_emulator/"
            )
        if token is not None and not _carries(headers, token):
            why = "The control API needs its token, in the header Authorization: Bearer TOKEN"
            return _error(401, "unauthorized", why)
        return self._control(incoming, path.removeprefix(_CONTROL_PATH).strip("/"))

    def _control(self, incoming: Incoming, name: str) -> Response:
        call = self._calls.get(("GET" if incoming.method == "HEAD" else incoming.method, name))
        if call is None:
            allowed = [method for method, known in self._calls if known == name]
            if allowed:
                return _error(
                    405, "method_not_allowed", "Method not allowed", headers={"Allow": ", ".join(allowed)}
                )
            return _error(
                404, "not_found", f"Not found; {_CONTROL_PATH}/openapi.json describes the control API"
            )
        try:
            return encode(200, call.run(**_given(call, incoming)), _SECURITY)
        except json.JSONDecodeError as exc:
            return _error(400, "invalid_json", f"The body is not JSON: {exc}")
        except msgspec.ValidationError as exc:
            return _invalid(str(exc), call.fields.__struct_fields__)
        except Refusal as refusal:
            code = "not_found" if refusal.status == 404 else "refused"
            return _error(refusal.status, code, str(refusal.body["error"]), refusal.body.get("field"))
        except KeyError as exc:
            return _error(404, "not_found", f"there is no {exc.args[0]!r}")
        except (ValueError, ArithmeticError) as exc:
            return _error(400, "invalid_value", str(exc))

    def _is_local(self, headers: Mapping[str, str]) -> bool:
        host, origin = headers.get("Host", ""), headers.get("Origin")
        return self._answers_for(host) and (origin in {None, f"http://{host}"} or self._allows(origin))


def _given(call: ControlCall, incoming: Incoming) -> dict[str, Any]:
    """
    Return the fields of a request that were given or have a default.

    Raises:
        ValidationError: A field is missing, unknown or of the wrong type.
        JSONDecodeError: The body is not JSON.
    """
    if incoming.method in {"GET", "HEAD"}:
        fields = convert(incoming.query, call.fields, strict=False)
    else:
        try:
            body = json.loads(incoming.payload) if incoming.payload.strip() else {}
            # JSON may contain half a surrogate pair. If it were stored, no later change could be written to the state
            # file.
            json.dumps(body, ensure_ascii=False).encode()
        except (UnicodeError, RecursionError):
            raise json.JSONDecodeError("it is not UTF-8, or is nested too deeply", "", 0) from None
        fields = convert(body, call.fields)
    given = {name: getattr(fields, name) for name in call.fields.__struct_fields__}
    return {name: value for name, value in given.items() if value is not msgspec.UNSET}


def _carries(headers: Mapping[str, str], token: str) -> bool:
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _file(name: str, content_type: str) -> Response:
    content = resources.files("stacks_pulumi.emulator").joinpath(name).read_bytes()
    return Response(200, content, {"Content-Type": content_type, **_SECURITY})


def _invalid(text: str, fields: Sequence[str]) -> Response:
    """Return the response for an invalid body, from msgspec's error text."""
    reason, _, where = text.partition(" - at `$")
    named = re.search(r"(missing required|unknown) field `(\w+)`", reason)
    inner = where.rstrip("`").lstrip(".")
    if named is None:
        field = inner or None
        return _error(400, "invalid_type", f"{field}: {reason}" if field else f"The body: {reason}", field)
    code, field = named[1].partition(" ")[0] + "_field", ".".join(filter(None, (inner, named[2])))
    if code == "missing_field":
        return _error(400, code, f"Missing field {field}", field)
    there = "" if inner else f"; there are: {', '.join(fields) or 'no fields'}"
    return _error(400, code, f"Unknown field {field}{there}", field)


def _error(
    status: int, code: str, text: str, field: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    body = {"error": text, "code": code}
    return encode(
        status, body if field is None else {**body, "field": field}, {**(headers or {}), **_SECURITY}
    )


@dataclass(frozen=True)
class ControlCall:
    """
    One endpoint of the control API.

    Attributes:
        method: HTTP method.
        name: The path below `/_emulator/`; the same as the name in Python, but with `/` instead of a dot.
        summary: Its effect.
        fields: The fields of its body; for GET, the fields of its query.
        run: Takes the fields by name, carries out the call, and returns the response.
        descriptions: The description of each field.
        examples: The allowed values of a field.
    """

    method: str
    name: str
    summary: str
    fields: type[msgspec.Struct]
    run: Callable[..., Any]
    descriptions: dict[str, str] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No fields."""


def calls(controls: Controls) -> list[ControlCall]:
    """Return every endpoint for these controls."""
    return [*_looks(controls), *_changes(controls), *_drifts(controls)]


def _looks(controls: Controls) -> Iterator[ControlCall]:
    def requests(after: int = 0, operation: str | None = None) -> Any:
        """Return the request log, optionally limited to requests after a given number and to one operation."""
        if operation is not None and operation not in OPERATIONS:
            raise ValueError(
                f"no such operation: {operation}; the operations are {', '.join(sorted(OPERATIONS))}"
            )
        records = [
            logged_request(record.describe())
            for record in controls.requests
            if record.number > after and operation in {None, record.operation}
        ]
        return {"requests": records, "calls": controls.api.log.counts()}

    yield _look(controls, "health", _health)
    yield _look(controls, "snapshot", _snapshot)
    yield _get("requests", requests)
    yield _get("request_detail", controls.request_detail)
    yield _look(controls, "key", _key)
    yield _look(controls, "faults", _faults)
    yield _look(controls, "clock", _clock)
    yield _look(controls, "shapes", _shapes)
    yield _look(controls, "pace", _pace)
    yield _look(controls, "late", _late)


def _changes(controls: Controls) -> Iterator[ControlCall]:
    def answered(answer: Callable[[Controls], Any]) -> Callable[[Any], Any]:
        return lambda _result: answer(controls)

    yield _post("advance", controls.advance, answered(_clock))
    yield _post("freeze", controls.freeze, answered(_clock))
    yield _post("resume", controls.resume, answered(_clock))
    add = controls.faults.add
    yield ControlCall(
        "POST",
        "faults/add",
        _summary(add),
        _fault_fields(),
        _then(add, answered(_faults)),
        {**_descriptions(add), "kind": "A kind of fault, or a status code."},
        {"operation": ["*", *OPERATIONS], "kind": list(KINDS)},
    )
    yield _post("faults/clear", controls.faults.clear, answered(_faults))
    shape = controls.shapes.set
    yield ControlCall(
        "POST",
        "shapes/set",
        _summary(shape),
        _fields(shape),
        _then(shape, answered(_shapes)),
        examples={"operation": ["*", *sorted(OPEN)], "shape": list(SHAPES)},
    )
    yield _post("set_pace", controls.set_pace, answered(_pace))
    yield _post("new_account", controls.new_account, lambda account: {"account": account})
    yield _post("new_key", controls.new_key, lambda key: {"key": key, "label": controls.label_of(key)})
    yield _post("set_lag", controls.set_lag, answered(_late))
    yield _post("set_gap", controls.set_gap, answered(_late))
    for change in (
        controls.set_rate_limit,
        controls.set_spending_cap,
        controls.fail_boot,
        controls.fail_backup,
        controls.reset,
    ):
        yield _post(change.__name__, change)
    # The call has the fields of a seed file, so that the file itself can be sent.
    run = _then(
        lambda containers, connections, **_: controls.load(containers, connections), lambda ids: {"ids": ids}
    )
    told = {
        **_descriptions(controls.load),
        "$schema": "As in a seed file.",
        "version": "The version of the format.",
    }
    yield ControlCall("POST", "load", _summary(controls.load), SeedFile, run, told)


def _drifts(controls: Controls) -> Iterator[ControlCall]:
    for name, method in vars(Drift).items():
        if not name.startswith("_"):
            yield _post(f"drift/{name}", getattr(controls.drift, method.__name__))


def _look(controls: Controls, name: str, function: Callable[[Controls], Any]) -> ControlCall:
    return ControlCall("GET", name, _summary(function), _Nothing, lambda: function(controls))


def _get(name: str, function: Callable[..., Any]) -> ControlCall:
    return ControlCall("GET", name, _summary(function), _fields(function), function, _descriptions(function))


def _post(name: str, function: Callable[..., Any], answer: Callable[[Any], Any] | None = None) -> ControlCall:
    run = _then(function, answer or (lambda _result: {"done": True}))
    return ControlCall("POST", name, _summary(function), _fields(function), run, _descriptions(function))


def _then(function: Callable[..., Any], answer: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda **fields: answer(function(**fields))


def _fields(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return the parameters of a function as a type that checks them."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    fields: list[Any] = [
        (it.name, hints[it.name], msgspec.NODEFAULT if it.default is it.empty else it.default)
        for it in parameters
    ]
    return msgspec.defstruct(function.__name__, fields, kw_only=True, forbid_unknown_fields=True)


def _fault_fields() -> type[msgspec.Struct]:
    options = sorted({option for options in KINDS.values() for option in options})
    fields: list[Any] = [
        ("operation", str),
        ("kind", int | str),
        ("times", int | None, 1),
        ("match", str | None, None),
    ]
    for option in options:
        hint: Any = None
        for part in OPTION_TYPES.get(option, (Any,)):
            hint = part if part is Any else hint | part if hint else part | None
        fields.append((option, hint | msgspec.UnsetType if hint is not Any else Any, msgspec.UNSET))
    return msgspec.defstruct("fault", fields, kw_only=True, forbid_unknown_fields=True)


def _summary(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")


def _descriptions(function: Callable[..., Any]) -> dict[str, str]:
    """Return the docstring's description of each parameter."""
    section = re.search(r"^Args:\n((?: {4}.*\n?)+)", inspect.getdoc(function) or "", re.MULTILINE)
    pairs = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE)
    # JSON writes `null` for `None`.
    return {name: re.sub(r"\s+", " ", text).replace("`None`", "null") for name, text in pairs}


def _health(controls: Controls) -> Any:
    """Return the base URL of the API when the emulator is ready. Needs no token."""
    return {"status": "ok", "url": controls.url}


def _snapshot(controls: Controls) -> Any:
    """Return the complete state, without secrets."""
    return snapshot(controls.api)


def _key(controls: Controls) -> Any:
    """Return the first key, which has every scope, with its label and account."""
    return {"key": controls.key, "label": controls.key_label, "account": controls.account}


def _faults(controls: Controls) -> Any:
    """Return three lists of faults: `all`, `left` (faults that must still fire) and `fired`."""
    faults = controls.faults
    return {
        "all": [fault.describe() for fault in faults.all()],
        "left": [fault.describe() for fault in faults.left()],
        "fired": [{"operation": it.operation, "kind": it.kind, "path": it.path} for it in faults.fired()],
    }


def _clock(controls: Controls) -> Any:
    """Return the time and whether it is frozen."""
    now = controls.platform.settle()
    return {"now": now, "iso": iso(now), "frozen": controls.clock.frozen}


def _shapes(controls: Controls) -> Any:
    """Return the shape of each response that the guide does not specify."""
    return {operation: controls.shapes.of(operation) for operation in sorted(OPEN)}


def _late(controls: Controls) -> Any:
    """Return the lag of answers in seconds, and how many rows the list of containers shows."""
    return {"seconds": controls.api.late.seconds, "rows": controls.api.late.rows}


def _pace(controls: Controls) -> Any:
    """Return the durations of operations, in seconds."""
    return msgspec.to_builtins(controls.platform.pace)


_CODES = (
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
    """Return the OpenAPI description of the calls."""
    calls = list(calls)
    schemas, components = msgspec.json.schema_components(
        [call.fields for call in calls], ref_template="#/components/schemas/{name}"
    )
    bodies = [_inlined(schema, components) for schema in schemas]
    paths: dict[str, Any] = {}
    for call, body in zip(calls, bodies, strict=True):
        for name, text in call.descriptions.items():
            if name in body["properties"]:
                body["properties"][name]["description"] = text
        for name, values in call.examples.items():
            body["properties"][name]["examples"] = values
        paths.setdefault(f"/{call.name}", {})[call.method.lower()] = _operation(call, body)
    used = {it.__name__ for it in {call.fields for call in calls}}
    description: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Control API of the STACKS emulator",
            "version": "1.0.0",
            "description": "The methods of the Python class `Emulator`, with the same names.",
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
                        "code": {"type": "string", "enum": list(_CODES)},
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
    fields = components[schema["$ref"].rpartition("/")[2]]
    return {
        "type": "object",
        "properties": {
            name: dict(it) if "$ref" not in it else {"allOf": [it]}
            for name, it in fields["properties"].items()
        },
        "required": fields["required"],
        "additionalProperties": False,
    }


def _operation(call: ControlCall, body: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    operation: dict[str, Any] = {
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
    if call.name == "health":
        operation["security"] = []
    if call.method == "GET":
        operation["parameters"] = [
            {"name": name, "in": "query", "required": name in body["required"], "schema": schema}
            for name, schema in body["properties"].items()
        ]
    else:
        operation["requestBody"] = {
            "required": bool(body["required"]),
            "content": {"application/json": {"schema": body}},
        }
    return operation


def _tag(call: ControlCall) -> str:
    return call.name.partition("/")[0] if "/" in call.name else "emulator"
