"""The tables of a resource: its inputs with the effect of a change, and its outputs."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import closing
from typing import Any, Final
from unittest import mock

import pulumi

import stacks_pulumi
from stacks_pulumi.resources._fields import Field, OnChange
from stacks_pulumi.resources.handlers import HANDLERS
from tools.docs.docstrings import attributes, described, optional, section
from tools.docs.marks import table

__all__ = ["inputs", "outputs", "secret_outputs"]

_LABEL: Final = "the name in the program"
_CHANGES: Final = {
    OnChange.UPDATE: "updates",
    OnChange.REPLACE: "replaces",
    OnChange.REFUSED: "refused",
    OnChange.NONE: "nothing",
}


def inputs(kind: str) -> str:
    """Return a row for each argument of a resource class."""
    cls = getattr(stacks_pulumi, kind)
    said = section(cls.__init__, "Args")
    parameters = [
        parameter
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if name not in {"self", "resource_name", "opts"}
    ]
    if kind not in HANDLERS:
        return table(
            ("Input", "Type", "Default", "Meaning"),
            [
                (f"`{it.name}`", described(it.annotation), _default(it, None), said[it.name])
                for it in parameters
            ],
        )
    fields = {field.name: field for field in HANDLERS[kind].fields}
    labelled = {name for name, value in _made(cls)[0].items() if value == _LABEL}
    rows = []
    for it in parameters:
        default = _LABEL if it.name in labelled else _default(it, fields[it.name])
        change = _CHANGES[fields[it.name].on_change]
        rows.append((f"`{it.name}`", described(it.annotation), default, change, said[it.name]))
    return table(("Input", "Type", "Default", "A change", "Meaning"), rows)


def outputs(kind: str) -> str:
    """Return a row for each output of a resource class, except for outputs that repeat an input."""
    cls = getattr(stacks_pulumi, kind)
    taken = {field.name for field in HANDLERS[kind].fields if not field.computed}
    return table(
        ("Output", "Type", "Meaning"),
        [
            (f"`{name}`", described(type_) + (" or `None`" if optional(type_) else ""), said)
            for name, (type_, said) in attributes(cls).items()
            if name not in taken
        ],
    )


def secret_outputs(kind: str) -> frozenset[str]:
    """Return the outputs of a resource that the engine stores encrypted."""
    return frozenset(_made(getattr(stacks_pulumi, kind))[1].additional_secret_outputs or ())


def _default(parameter: inspect.Parameter, field: Field | None) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    if field is None or field.default is None:
        return ""
    return f"`{field.default}`"


def _made(cls: Any) -> tuple[dict[str, Any], pulumi.ResourceOptions]:
    """Return the properties and options that a resource with only its required arguments registers."""
    needed = [
        name
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if name not in {"self", "resource_name"} and parameter.default is inspect.Parameter.empty
    ]

    async def declare() -> None:
        cls(_LABEL, **dict.fromkeys(needed, "given"))

    # Outputs need an event loop, and another test may have closed the loop of this thread.
    with (
        mock.patch("pulumi.dynamic.Resource.__init__") as register,
        closing(asyncio.new_event_loop()) as loop,
    ):
        loop.run_until_complete(declare())
    _provider, _name, properties, options = register.call_args.args
    return properties, options or pulumi.ResourceOptions()
