"""
The table of a resource's inputs and outputs, and what a change of an input does.

`check` and `diff` use only this table. A comparison of all properties would show a change in every preview, because the
API adds and rounds values.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from stacks_pulumi.errors import with_code
from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources._values import UNKNOWN, plain, secret

CHANGED_OUTSIDE: Final = "changed_outside"
"""
The property that lists inputs whose drift is not visible in their values, for instance `["plan"]` after a resize.

The engine detects most drift itself, because a read returns the inputs with the API's values. Two cases need this list.
First, the API may have undone the effect of an input (`revoke_auto_added`: the address is allowed again). Second, the
value does not show who changed it (`plan`: the guard against a replacement needs to know that). A read then returns the
list among the outputs and among the inputs. `diff` reports an update as long as the state contains the list; an update
removes the list.
"""

_FOUND: Final = ("additional_storage_tier", "name", "plan", "revoke_auto_added")
"""The inputs that `changed_outside` may contain."""


def found_changed(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the output that lists these inputs as changed; an empty mapping if the list is empty."""
    listed = sorted(set(names))
    return {CHANGED_OUTSIDE: listed} if listed else {}


def changed_outside(state: Mapping[str, Any]) -> list[str]:
    """Return the inputs that `changed_outside` lists in the state; ignore any other content of that property."""
    listed = plain(state.get(CHANGED_OUTSIDE))
    return [name for name in _FOUND if isinstance(listed, list) and name in listed]


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


class Field(msgspec.Struct, frozen=True):
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
        noted: Whether `check` itself adds the input, for use by the next `check`; the input is then not an argument of
            the resource.
    """

    name: str
    parse: Callable[[Any], Any]
    on_change: OnChange
    required: bool = False
    default: Any = None
    computed: bool = False
    noted: bool = False


ANY_UPDATE: Final = "any update"
"""The value of `changes_with` for an output that every update reads from the API again."""

REPAIR: Final = "a repair"
"""
The value of `changes_with` for an output that changes if an update completes a creation or adopts a different object.
"""


class Output(msgspec.Struct, frozen=True):
    """
    An output that is not an input, or an input whose value the API may choose.

    At preview, an update shows the output as unknown if one of the reasons in `changes_with` applies. Otherwise, the
    update keeps the value in the state, even if the API returns a different value; only a refresh changes it. So a
    preview announces every change of an output.

    Attributes:
        name: The property.
        changes_with: The inputs whose update may change the output, or `ANY_UPDATE`, or `REPAIR`.
        secret: Whether the engine stores it encrypted.
    """

    name: str
    changes_with: tuple[str, ...] = ()
    secret: bool = False

    def marked(self, value: Any) -> Any:
        """Return the value in the form that the engine receives: marked as a secret if the output is secret."""
        return secret(value) if self.secret else value


def checked(fields: Iterable[Field], news: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """
    Return the inputs in their normal form, and the failures by property.

    A value that is unknown at preview stays unknown, and so does any list that contains it. Otherwise, an `up` with an
    update plan would fail if the value proves to be a secret, because the engine compares complete lists. Invalid
    values are omitted, so that rules about several inputs see only valid values.
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
            inputs[field.name] = UNKNOWN
        else:
            try:
                inputs[field.name] = field.parse(value)
            except ValueError as error:
                failures[field.name] = with_code(str(error), "invalid-input")
    return inputs, failures


def changed(fields: Iterable[Field], olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[Field]:
    """Return the fields that differ and whose change has an effect; an unknown value differs from every value."""
    return [field for field in fields if field.on_change is not OnChange.NONE and _differs(field, olds, news)]


def _differs(field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    old, new = olds.get(field.name), news.get(field.name)
    if old == new:
        # The most frequent case: equal values have equal normal forms.
        return is_unknown(new)
    old, new = plain(old), plain(new)
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
