"""
The declared table of a resource's inputs: how each is validated, and what a change of it does.

`check` and `diff` work from this table alone. Comparing whole bags would show what the API added or rounded as a
change, for ever.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stacks_pulumi.resources._property_values import is_unknown, plain

__all__ = ["Field", "OnChange", "changed", "checked"]


class OnChange(enum.Enum):
    """What it means when a program changes an input."""

    UPDATE = "update"
    """Done in place."""

    REPLACE = "replace"
    """Another object takes the old one's place."""

    REFUSED = "refused"
    """A replacement that destroys data: refused unless the program opts in."""

    NONE = "none"
    """Nothing to do: it only matters at creation, or says how we work and not what there is."""


@dataclass(frozen=True)
class Field:
    """
    One input.

    Attributes:
        name: The property.
        parse: Turns what the program gave into the form that is stored and sent, or raises ValueError whose text
            says what is wrong and what to do. Must return its own results unchanged.
        on_change: What a change does.
        required: Whether the program has to give it.
        default: What stands for a value that was not given; `None` for none.
        computed: Whether the API chooses the value if the program gives none; then a missing input is no change.
        noted: Whether `check` adds it, as a note for the next `check`; it is no argument of the resource.
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
    The inputs in their normal form, and every failure by property.

    What is unknown at preview passes through untouched. A value that fails is left out of the inputs, so that
    rules over several inputs see only what is sound.
    """
    inputs: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for field in fields:
        value = plain(news.get(field.name))
        if value is None:
            value = field.default
        if value is None:
            if field.required:
                failures[field.name] = f"{field.name} is missing"
        elif is_unknown(value):
            inputs[field.name] = value
        else:
            try:
                inputs[field.name] = field.parse(value)
            except ValueError as error:
                failures[field.name] = str(error)
    return inputs, failures


def changed(fields: Iterable[Field], olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[Field]:
    """The fields whose change means something and whose values differ; an unknown differs from everything."""
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
        # A stored value that today's rules would refuse (drift, an older version): compared as it is.
        return value
