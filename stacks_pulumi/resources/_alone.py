"""Errors that a program ends with their message alone, and not with a traceback."""

from __future__ import annotations

from typing import Any, Final

import pulumi

from stacks_pulumi.errors import StacksError

__all__ = ["shown_alone"]

_shown: Final[dict[type[StacksError], type[StacksError]]] = {}


def shown_alone(kind: type[StacksError]) -> type[StacksError]:
    """
    The kind of error, made one that is a `pulumi.RunError` as well.

    One class for each kind, however often it is raised. No module has it, so it is pickled as what it was made from.
    """

    def reduce(error: StacksError) -> tuple[Any, ...]:
        _, (_, message, attributes) = StacksError.__reduce__(error)
        return _rebuild, (kind, message, attributes)

    if kind not in _shown:
        made = type(kind.__name__, (kind, pulumi.RunError), {"__doc__": kind.__doc__, "__reduce__": reduce})
        _shown.setdefault(kind, made)
    return _shown[kind]


def _rebuild(kind: type[StacksError], message: str, attributes: dict[str, Any]) -> StacksError:
    return shown_alone(kind)(message, **attributes)
