"""Errors for which Pulumi shows only the message when they end a program, and no traceback."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pulumi

from stacks_pulumi.errors import StacksError

__all__ = ["shown_alone"]


def shown_alone(error: StacksError) -> StacksError:
    """Return an equal error that is a `pulumi.RunError` as well."""
    kind = _shown_alone(type(error))  # type: ignore[arg-type]  # mypy treats a class as not hashable
    return kind(**_fields_of(error))


@functools.cache
def _shown_alone(kind: type[StacksError]) -> type[StacksError]:
    """Return one class for each kind. No module contains it, so an error is pickled as its original class."""

    def reduce(error: StacksError) -> tuple[Any, ...]:
        return shown_alone, (kind(**_fields_of(error)),)

    return type(
        kind.__name__,
        (kind, pulumi.RunError),
        {"__doc__": kind.__doc__, "__module__": kind.__module__, "__reduce__": reduce},
    )


def _fields_of(error: StacksError) -> dict[str, Any]:
    return {field.name: getattr(error, field.name) for field in dataclasses.fields(error)}
