"""Turn a resource class into a read-only look-up, as `get` of every Pulumi resource does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pulumi

from stacks_pulumi.errors import StacksError
from stacks_pulumi.resources._fields import Field

__all__ = ["LOOKED_UP", "is_lookup", "lookup_options", "refuse_malformed"]

LOOKED_UP: Final = ""
"""What a look-up gives for an input that is required: the id says it all, and no managed resource has this."""


def lookup_options(id_: pulumi.Input[str], opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """The caller's options with the id to read."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id_))


def is_lookup(fields: Iterable[Field], props: Mapping[str, Any]) -> bool:
    """Whether properties come from a look-up, and not from the state of something that is managed."""
    return any(props.get(field.name) == LOOKED_UP for field in fields if field.required)


def refuse_malformed(kind: str, form: str, id_: str) -> None:
    """
    Check an id that a person gave, for a look-up or an import.

    Args:
        kind: What is looked for.
        form: What its ids look like; empty if the API has no such object.
        id_: The id.

    Raises:
        StacksError: It cannot be one.
    """
    if not form:
        msg = (
            f"a {kind} cannot be imported or looked up, because the API does not list them: declare a new one"
        )
        raise StacksError(msg)
    if ("/" in id_) != ("/" in form):
        msg = f"{id_!r} is not the id of a {kind}, which looks like {form}"
        raise StacksError(msg)
