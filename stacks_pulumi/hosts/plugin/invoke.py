"""The data functions for other languages: conversion of their arguments and results."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any, Final

from stacks_pulumi import config, functions
from stacks_pulumi.errors import StacksError
from stacks_pulumi.functions import results
from stacks_pulumi.functions.questions import QUESTIONS, answer
from stacks_pulumi.hosts.spelling import camel_case, snake_case
from stacks_pulumi.resources._engine_call import EngineCall
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._property_values import secret
from stacks_pulumi.resources._session import session_for

__all__ = ["answered"]

_TIMEOUT: Final = 300.0
_TYPES: Final[Mapping[type, str]] = {str: "text", int: "a whole number"}


def answered(
    call: EngineCall, settings: Mapping[str, str | None], token: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Call a data function, and return its result by names.

    Args:
        call: The engine's call.
        settings: The provider's settings.
        token: The function, for instance `getContainer`.
        given: Its arguments, with Python's names.

    Raises:
        StacksError: The function or an argument is unknown, an argument is invalid, or the request to the API failed.
    """
    name = snake_case(token)
    if name not in QUESTIONS:
        raise StacksError(
            "stacks has no such function: check the name, or install a newer plugin", code="unknown-type"
        )
    session = session_for(config.load(settings))
    now = session.clock.now()
    with Operation(call, session.clock, now, now + _TIMEOUT).running():
        found = _spelt(results.result(answer(session, name, _arguments(name, given))))
    values = found if isinstance(found, dict) else {"result": found}
    if not QUESTIONS[name].secret:
        return values
    return {key: secret(value) for key, value in values.items()}


def _spelt(found: Any) -> Any:
    """Return a result in the protocol's form; the keys of a mapping are not changed."""
    if isinstance(found, results.Result):
        return {camel_case(name): _spelt(value) for name, value in vars(found).items() if value is not None}
    return [_spelt(item) for item in found] if isinstance(found, list) else found


def _arguments(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments, completed with the defaults of the Python function."""
    function = getattr(functions, name)
    parameters = dict(inspect.signature(function).parameters)
    del parameters["provider"]
    unknown = sorted(map(camel_case, given.keys() - parameters.keys()))
    if unknown:
        msg = f"unknown argument {unknown[0]}; the arguments are {', '.join(map(camel_case, parameters)) or 'none'}"
        raise StacksError(msg, code="invalid-input")
    types = typing.get_type_hints(function)
    return {key: _argument(key, types[key], given.get(key, it.default)) for key, it in parameters.items()}


def _argument(name: str, type_: type, value: Any) -> Any:
    if value is inspect.Parameter.empty:
        msg = f"{camel_case(name)} is missing: set it"
        raise StacksError(msg, code="missing-input")
    if isinstance(value, float) and value.is_integer():
        # On the wire every number is a float.
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, type_):
        msg = f"{camel_case(name)} is {value!r}: it must be {_TYPES[type_]}"
        raise StacksError(msg, code="invalid-input")
    return value
