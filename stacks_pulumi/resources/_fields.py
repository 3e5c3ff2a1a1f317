"""
The table of a resource's inputs: how each input is validated, and what a change of it does.

`check` and `diff` use only this table. A comparison of whole property bags would show values that the API adds or
rounds as a change in every preview.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stacks_pulumi.error_codes import with_code
from stacks_pulumi.resources._property_values import is_unknown, plain

__all__ = ["Field", "OnChange", "changed", "checked"]


class OnChange(enum.Enum):
    """The effect of a change of an input."""

    UPDATE = "update"
    """The object is updated in place."""

    REPLACE = "replace"
    """The object is replaced by a new one."""

    REFUSED = "refused"
    """A replacement would destroy data: it is refused unless the program opts in."""

    NONE = "none"
    """No effect: the input matters only at creation, or controls the provider and not the object."""


@dataclass(frozen=True)
class Field:
    """
    One input.

    Attributes:
        name: The property.
        parse: Converts the program's value into the form that is stored and sent, or raises ValueError with the problem
            and the fix. It must return its own results unchanged.
        on_change: The effect of a change.
        required: Whether the program must set it.
        default: The value if the program sets none; `None` for no default.
        computed: Whether the API chooses the value if the program sets none; then a missing input is not a change.
        noted: Whether `check` adds it, as a note for the next `check`; it is not an argument of the resource.
    """

    name: str
    parse: Callable[[Any], Any]
    on_change: OnChange
    required: bool = False
    default: Any = None
    computed: bool = False
    noted: bool = False


def checked(fields: Iterable[Field], news: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """
    Return the inputs in their normal form, and every failure by property.

    A value that is unknown at preview is returned unchanged. An invalid value is left out of the inputs, so that
    rules over several inputs see only valid ones.
    """
    inputs: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for field in fields:
        value = plain(news.get(field.name))
        if value is None:
            value = field.default
        if value is None:
            if field.required:
                failures[field.name] = with_code(f"{field.name} is missing: set it", "missing-input")
        elif is_unknown(value):
            inputs[field.name] = value
        else:
            try:
                inputs[field.name] = field.parse(value)
            except ValueError as error:
                failures[field.name] = with_code(str(error), "invalid-input")
    return inputs, failures


def changed(fields: Iterable[Field], olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[Field]:
    """Return the fields that differ and whose change has an effect; an unknown differs from every value."""
    return [field for field in fields if field.on_change is not OnChange.NONE and _differs(field, olds, news)]


def _differs(field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    old, new = plain(olds.get(field.name)), plain(news.get(field.name))
    if new is None and field.computed:
        return False
    if is_unknown(new):
        return True
    return bool(_normal(field, old) != _normal(field, new))


def _normal(field: Field, value: Any) -> Any:
    if value is None:
        return None
    try:
        return field.parse(value)
    except ValueError:
        # The current rules may refuse a stored value (drift, an older version): compare it unchanged.
        return value
