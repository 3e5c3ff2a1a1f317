"""Read-only look-ups of resources, for the method `get` of each class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pulumi

from stacks_pulumi.errors import StacksError
from stacks_pulumi.resources._fields import Field

__all__ = ["LOOKED_UP", "is_lookup", "lookup_options", "refuse_malformed"]

LOOKED_UP: Final = ""
"""The value of a required input in a look-up, which has only an id. No managed resource has this value."""


def lookup_options(id_: pulumi.Input[str], opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Return the caller's options with the id to read."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id_))


def is_lookup(fields: Iterable[Field], props: Mapping[str, Any]) -> bool:
    """Return whether properties belong to a look-up and not to a managed resource."""
    return any(props.get(field.name) == LOOKED_UP for field in fields if field.required)


def refuse_malformed(kind: str, form: str, id_: str) -> None:
    """
    Check the form of an id that the user gave for a look-up or an import.

    Args:
        kind: The resource's kind.
        form: The form of its ids; empty if the API lists no such objects.
        id_: The id.

    Raises:
        StacksError: The id is malformed.
    """
    if not form:
        msg = (
            f"a {kind} cannot be imported or looked up, because the API does not list them: declare a new one"
        )
        raise StacksError(msg, code="no-import")
    if ("/" in id_) != ("/" in form):
        msg = f"{id_!r} is not the id of a {kind}, which has the form {form}"
        raise StacksError(msg, code="invalid-id")
