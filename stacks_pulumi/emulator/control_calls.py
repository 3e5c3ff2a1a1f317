"""
The endpoints of the control API: the methods of `Controls`, `faults`, `shapes` and `drift`, by the same names.

The fields of a request are the method's parameters, so Python and HTTP cannot differ. The served description
(`control_spec`) is generated from them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from stacks_pulumi.emulator import seeding
from stacks_pulumi.emulator.answer_shapes import OPEN, SHAPES
from stacks_pulumi.emulator.clock import iso
from stacks_pulumi.emulator.drift import Drift
from stacks_pulumi.emulator.faults import KINDS, OPTION_TYPES
from stacks_pulumi.emulator.page_data import logged_request, snapshot
from stacks_pulumi.emulator.routes.operations import OPERATIONS

if TYPE_CHECKING:
    from stacks_pulumi.emulator.controls import Controls

__all__ = ["ControlCall", "calls"]


@dataclass(frozen=True)
class ControlCall:
    """
    One endpoint of the control API.

    Attributes:
        method: HTTP method.
        name: The path below `/_emulator/`; the same as in Python, with `/` for a dot.
        summary: What it does.
        fields: The fields of its body, or of its query for GET.
        run: Takes the fields by name, carries out the call, and returns the response.
        told: The description of each field.
        offered: The allowed values of a field.
    """

    method: str
    name: str
    summary: str
    fields: type[msgspec.Struct]
    run: Callable[..., Any]
    told: dict[str, str] = field(default_factory=dict)
    offered: dict[str, list[str]] = field(default_factory=dict)


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No fields."""


def calls(controls: Controls) -> list[ControlCall]:
    """Return every endpoint for these controls."""
    return [*_looks(controls), *_changes(controls), *_drifts(controls)]


def _looks(controls: Controls) -> Iterator[ControlCall]:
    def requests(after: int = 0, operation: str | None = None) -> Any:
        """Return the request journal; optionally only the requests after a number, and of one operation."""
        found = [
            logged_request(record.describe())
            for record in controls.requests
            if record.number > after and operation in {None, record.operation}
        ]
        return {"requests": found, "calls": controls.api.log.counts()}

    yield ControlCall(
        "GET",
        "snapshot",
        "Return the whole state as the page shows it: plain values, without secrets.",
        _Nothing,
        lambda: snapshot(controls.api),
    )
    yield _get("requests", requests)
    yield _get("request_detail", controls.request_detail)
    yield ControlCall(
        "GET",
        "key",
        "Return the first key, which has every scope, and its account.",
        _Nothing,
        lambda: {"key": controls.key, "account": controls.account},
    )
    yield ControlCall(
        "GET", "faults", "Return the faults: all, left, fired.", _Nothing, lambda: _faults(controls)
    )
    yield ControlCall(
        "GET", "clock", "Return the time and whether it is frozen.", _Nothing, lambda: _clock(controls)
    )
    yield ControlCall(
        "GET",
        "shapes",
        "Return the shape of each response that the guide does not specify.",
        _Nothing,
        lambda: _shapes(controls),
    )
    yield ControlCall(
        "GET", "pace", "Return how long things take, in seconds.", _Nothing, lambda: _pace(controls)
    )


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
        {**_told(add), "kind": "A kind of fault, or a status code."},
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
        offered={"operation": ["*", *sorted(OPEN)], "shape": list(SHAPES)},
    )
    yield _post("set_pace", controls.set_pace, answered(_pace))
    yield _post("new_account", controls.new_account, lambda account: {"account": account})
    yield _post("new_key", controls.new_key, lambda key: {"key": key})
    for change in (
        controls.set_rate_limit,
        controls.set_spending_cap,
        controls.fail_boot,
        controls.fail_backup,
        controls.reset,
    ):
        yield _post(change.__name__, change)
    load = msgspec.defstruct(
        "load",
        [("containers", list[seeding.SeedContainer]), ("connections", list[seeding.SeedConnection], ())],
        forbid_unknown_fields=True,
    )
    run = _then(controls.load, lambda ids: {"ids": ids})
    yield ControlCall("POST", "load", _summary(controls.load), load, run, _told(controls.load))


def _drifts(controls: Controls) -> Iterator[ControlCall]:
    for name, method in vars(Drift).items():
        if not name.startswith("_"):
            yield _post(f"drift/{name}", getattr(controls.drift, method.__name__))


def _get(name: str, function: Callable[..., Any]) -> ControlCall:
    return ControlCall("GET", name, _summary(function), _fields(function), function, _told(function))


def _post(name: str, function: Callable[..., Any], answer: Callable[[Any], Any] | None = None) -> ControlCall:
    run = _then(function, answer or (lambda _result: {"done": True}))
    return ControlCall("POST", name, _summary(function), _fields(function), run, _told(function))


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


def _told(function: Callable[..., Any]) -> dict[str, str]:
    """Return the docstring's description of each parameter."""
    section = re.search(r"^Args:\n((?: {4}.*\n?)+)", inspect.getdoc(function) or "", re.MULTILINE)
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE)
    # JSON's name for `None`.
    return {name: re.sub(r"\s+", " ", text).replace("`None`", "null") for name, text in found}


def _faults(controls: Controls) -> Any:
    faults = controls.faults
    return {
        "all": [fault.describe() for fault in faults.all()],
        "left": [fault.describe() for fault in faults.left()],
        "fired": [{"operation": it.operation, "kind": it.kind, "path": it.path} for it in faults.fired()],
    }


def _clock(controls: Controls) -> Any:
    now = controls.platform.settle()
    return {"now": now, "iso": iso(now), "frozen": controls.clock.frozen}


def _shapes(controls: Controls) -> Any:
    return {operation: controls.shapes.of(operation) for operation in sorted(OPEN)}


def _pace(controls: Controls) -> Any:
    return msgspec.to_builtins(controls.platform.pace)
