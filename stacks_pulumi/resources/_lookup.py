"""Turn a resource class into a read-only look-up, as `get` of every Pulumi resource does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pulumi

from stacks_pulumi.resources._fields import Field

__all__ = ["LOOKED_UP", "is_lookup", "lookup_options"]

LOOKED_UP: Final = ""
"""What a look-up gives for an input that is required: the id says it all, and no managed resource has this."""


def lookup_options(id_: pulumi.Input[str], opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """The caller's options with the id to read."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id_))


def is_lookup(fields: Iterable[Field], props: Mapping[str, Any]) -> bool:
    """Whether properties come from a look-up, and not from the state of something that is managed."""
    return any(props.get(field.name) == LOOKED_UP for field in fields if field.required)
